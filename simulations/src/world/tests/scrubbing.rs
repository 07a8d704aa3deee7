//! All copies are read, however often a peer starts again.

use super::asking::{GRACE, SECOND, mesh_with};
use super::*;
use crate::host::Death;

/// It began at the first copy at each start, so that a machine that is switched
/// off each night never read the last ones.
#[test]
fn a_peer_that_starts_again_and_again_reads_all_of_its_copies() {
    let interval = 300 * SECOND;
    let configure = |config: &mut WorldConfig| config.timing.scrub = interval;
    mesh_with(4, configure, 31, |mesh| async move {
        mesh.put(0, "b/x", 1).await;
        mesh.put(0, "b/y", 2).await;
        mesh.pass(GRACE).await;
        let victim = HostId(2);
        let held = mesh.world.state().ledger.copies.on(victim) as u64;
        assert!(held > 4);
        let start_again = async || {
            mesh.world.crash(victim, Death::Kill);
            mesh.world.start(victim);
            // Time for one copy, and not for two.
            mesh.pass(interval / (held as u32 + 1) * 3 / 2).await;
        };
        for _ in 0..held + 2 {
            start_again().await;
        }
        let report = mesh.checkup(0, true).await;
        let id = mesh.peer(victim.0).id();
        let found = report.members.into_iter().find(|member| member.id == id).unwrap();
        let last = found.condition.unwrap().last_scrub.unwrap();
        assert_eq!((last.copies, last.bad), (held, 0));
    });
}
