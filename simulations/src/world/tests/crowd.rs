//! Peers that change one name at the same time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::{StreamExt, stream};
use shoal_runtime::PutCondition;

use super::asking::{Mesh, SECOND, mesh, mesh_of, name};
use super::*;
use crate::host::Death;

/// What one peer came to.
#[derive(Debug, Clone, Default)]
struct Busy {
    made: u32,
    longest: Duration,
    failed: BTreeMap<String, u32>,
}

/// For so long peers change the name.
const BUSY: Duration = Duration::from_secs(20);

impl Mesh {
    /// A peer changes a name again and again, for [`BUSY`].
    fn keep_busy(&self, host: u32) -> Arc<Mutex<Busy>> {
        let (busy, peer, world) = (Arc::new(Mutex::new(Busy::default())), self.peer(host), self.world.clone());
        let (shown, until) = (busy.clone(), world.now() + BUSY);
        tokio::spawn(async move {
            for nth in 0_u32.. {
                let began = world.now();
                if began >= until {
                    break;
                }
                let bytes = Bytes::from([host.to_le_bytes(), nth.to_le_bytes()].concat());
                let put = peer.put(name("b/crowded"), None, PutCondition::Always, stream::iter([Ok(bytes)]).boxed());
                let put = put.await;
                let mut busy = busy.lock().unwrap();
                busy.longest = busy.longest.max(world.now() - began);
                match put {
                    Ok(_) => busy.made += 1,
                    Err(error) => *busy.failed.entry(error.to_string()).or_default() += 1,
                }
            }
        });
        shown
    }
}

/// They refused each other, and waited the longer the more often they had been
/// refused: one made 7 changes where another made 4,907, and some were told
/// that their change had not been made.
#[test]
fn peers_that_change_one_name_take_turns() {
    for peers in [4, 9] {
        mesh_of(peers, 31, |mesh| async move {
            let busy: Vec<_> = (0..peers as u32).map(|host| mesh.keep_busy(host)).collect();
            mesh.pass(BUSY + 15 * SECOND).await;
            let busy: Vec<_> = busy.into_iter().map(|busy| busy.lock().unwrap().clone()).collect();
            let (least, most) = (busy.iter().map(|busy| busy.made).min(), busy.iter().map(|busy| busy.made).max());
            assert!(least > Some(100) && most < least.map(|least| 2 * least), "{busy:?}");
            for Busy { longest, failed, .. } in &busy {
                assert!(*longest < SECOND, "{busy:?}");
                // Before they knew of each other.
                assert!(failed.iter().all(|(error, count)| *count < 3 && error.contains("unknown")), "{busy:?}");
            }
        });
    }
}

/// Each is once the one that keeps the queue, and once the one whose turn it is.
#[test]
fn a_peer_that_stands_still_or_dies_keeps_the_others_from_their_turns_for_a_moment() {
    for (stops, dies) in (0..4).flat_map(|host| [(host, false), (host, true)]) {
        mesh(32, |mesh| async move {
            let busy = [0, 1, 2, 3].map(|host| mesh.keep_busy(host));
            mesh.pass(5 * SECOND).await;
            match dies {
                true => mesh.world.crash(HostId(stops), Death::Power),
                false => mesh.world.pause(HostId(stops), 8 * SECOND),
            }
            let before = busy.clone().map(|busy| busy.lock().unwrap().made);
            mesh.pass(BUSY + 15 * SECOND).await;
            for (host, busy) in busy.iter().enumerate().filter(|(host, _)| *host != stops as usize) {
                let busy = busy.lock().unwrap();
                let told = format!("{stops}, dies: {dies}; {host}: {} before, then {busy:?}", before[host]);
                assert!(busy.made > before[host] + 500 && busy.longest < 2 * SECOND, "{told}");
                assert!(busy.failed.iter().all(|(error, count)| *count < 3 && error.contains("unknown")), "{told}");
            }
        });
    }
}
