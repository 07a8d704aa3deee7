//! Two peers with no link between them, both alive for everybody else.

use super::repair::{INTERVAL, mesh_of_copies};
use super::*;
use crate::network::{HostSet, Rule};

/// Nothing gets from one to the other, nor back.
fn part(world: &World, one: u32, other: u32) {
    for (from, to) in [(one, other), (other, one)] {
        world.impose(Rule::Block { from: HostSet::of([HostId(from)]), to: HostSet::of([HostId(to)]) });
    }
}

/// Once each brought what the other is to have to a third peer, who let go of
/// it as the owners had it all; and again, for ever.
#[test]
fn two_without_a_link_bring_to_nobody_what_the_other_has() {
    // Of two copies the two are all the owners that some chunks have.
    for replicas in [2, 3] {
        bring_to_nobody(replicas);
    }
}

fn bring_to_nobody(replicas: u32) {
    mesh_of_copies(replicas, 5, 41, |mesh| async move {
        part(&mesh.world, 0, 3);
        mesh.pass(INTERVAL).await;
        mesh.put_many(0).await;
        mesh.pass(5 * INTERVAL).await;
        assert_eq!([0, 1].map(|host| mesh.peer(host).live().len()), [3, 4]);
        let asked = mesh.asked(10 * INTERVAL).await;
        assert_eq!(asked.brought, 0, "{asked:?}");
        let (peer, lacks) = (mesh.peer(0), HostId(3).name());
        let status = mesh.ask(async move { peer.status().await }).await.unwrap();
        let says = |notice: &String| notice.starts_with(&format!("there is no link to {lacks}"));
        assert!(status.notices.iter().any(says), "{:?}", status.notices);
    });
}
