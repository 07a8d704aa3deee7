//! Peers that change one name at the same time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::{StreamExt, stream};
use shoal_register::linearizability::{Kind, Op, is_linearizable};
use shoal_runtime::PutCondition;
use shoal_types::{AppendId, BucketChange, Error, Etag, Manifest, Result};

use super::asking::{Mesh, SECOND, mesh, mesh_of, mesh_with, name};
use super::*;
use crate::host::Death;

/// What one peer came to: between two changes it took so long at most.
#[derive(Debug, Clone, Default)]
struct Busy {
    made: u32,
    longest: Duration,
    failed: BTreeMap<String, u32>,
}

/// For so long peers change the name.
const BUSY: Duration = Duration::from_secs(6);

/// What they do to it.
#[derive(Debug, Clone, Copy)]
enum Change {
    Put,
    Append,
    /// To what was read before, if that stands still.
    Swap,
}

impl Mesh {
    /// A peer changes a name again and again, for [`BUSY`].
    fn keep_busy(&self, host: u32, name: &'static str, change: Change) -> Arc<Mutex<Busy>> {
        let (busy, peer, world) = (Arc::new(Mutex::new(Busy::default())), self.peer(host), self.world.clone());
        let (shown, until, clock) = (busy.clone(), world.now() + BUSY, world.clone());
        tokio::spawn(async move {
            let mut since = world.now();
            for nth in (0_u32..).take_while(|_| clock.now() < until) {
                let bytes = Bytes::from([host.to_le_bytes(), nth.to_le_bytes()].concat());
                let (name, body) = (name.parse().unwrap(), stream::iter([Ok(bytes)]).boxed());
                let made = match change {
                    Change::Put => peer.put(name, None, PutCondition::Always, body).await.map(drop),
                    Change::Append => {
                        let id = AppendId::drawn(u64::from(host) << 32 | u64::from(nth));
                        peer.append(name, None, id, None, body).await.map(drop)
                    }
                    Change::Swap => {
                        let condition = match peer.stat(name.clone()).await {
                            Ok(there) => PutCondition::IfMatch(there.etag),
                            Err(_) => PutCondition::IfAbsent,
                        };
                        peer.put(name, None, condition, body).await.map(drop)
                    }
                };
                let mut busy = busy.lock().unwrap();
                match made {
                    Ok(()) => {
                        busy.made += 1;
                        busy.longest = busy.longest.max(world.now() - since);
                        since = world.now();
                    }
                    // Others were faster: what such a change is told.
                    Err(Error::Conflict { found, .. }) if found.starts_with("it has ETag") => {}
                    Err(error) => *busy.failed.entry(error.to_string()).or_default() += 1,
                }
            }
        });
        shown
    }
}

impl Busy {
    /// That it went on, and was told each time whether it had.
    fn check(&self, longest: Duration, told: &str) {
        assert!(self.longest < longest, "{told}");
        // Before they knew of each other.
        assert!(self.failed.iter().all(|(error, count)| *count < 4 && error.contains("unknown")), "{told}");
    }
}

/// They refused each other, and waited the longer the more often they had been
/// refused: one made 7 changes where another made 4,907, and some were told
/// that their change had not been made.
#[test]
fn peers_that_change_one_name_take_turns() {
    let cases =
        [("b/put", Change::Put), ("b/append", Change::Append), ("h/put", Change::Put), ("b/swap", Change::Swap)];
    for (peers, (name, change)) in [4, 9].into_iter().flat_map(|peers| cases.map(|case| (peers, case))) {
        mesh_of(peers, 31, |mesh| async move {
            let (peer, bucket) = (mesh.peer(0), "h".parse().unwrap());
            let history = BucketChange { history_s: Some(1_000_000), ..BucketChange::default() };
            mesh.ask(async move { peer.change_bucket(bucket, history).await }).await.unwrap();
            let busy: Vec<_> = (0..peers as u32).map(|host| mesh.keep_busy(host, name, change)).collect();
            mesh.pass(BUSY + 10 * SECOND).await;
            let busy: Vec<_> = busy.into_iter().map(|busy| busy.lock().unwrap().clone()).collect();
            let (least, most) = (busy.iter().map(|busy| busy.made).min(), busy.iter().map(|busy| busy.made).max());
            let (least, most, told) = (least.unwrap(), most.unwrap(), format!("{peers}, {name}: {busy:?}"));
            if let Change::Swap = change {
                // Of those that read the same one goes on; it is not always the same one.
                let goes_on = |busy: &Busy| busy.longest < 3 * SECOND && busy.failed.is_empty();
                assert!(least > 10 && busy.iter().all(goes_on), "{told}");
            } else {
                assert!(least > 50 && most < 2 * least, "{told}");
                busy.iter().for_each(|busy| busy.check(SECOND, &told));
            }
        });
    }
}

/// With four peers 54 of 1,300 were told that this is unknown, after half a
/// second of asking in vain; with nine 117.
#[test]
fn whoever_changes_what_it_has_read_is_told_whether_it_did() {
    for (replicas, peers, seed) in [(1, 9, 31), (2, 3, 32), (3, 4, 33)] {
        mesh_with(
            peers,
            |config| config.replicas = replicas,
            seed,
            |mesh| async move {
                let busy: Vec<_> = (0..peers as u32).map(|host| mesh.keep_busy(host, "b/swap", Change::Swap)).collect();
                mesh.pass(BUSY + 10 * SECOND).await;
                let busy: Vec<_> = busy.into_iter().map(|busy| busy.lock().unwrap().clone()).collect();
                let made: u32 = busy.iter().map(|busy| busy.made).sum();
                assert!(made > 400 && busy.iter().all(|busy| busy.failed.is_empty()), "{made}: {busy:?}");
            },
        );
    }
}

/// What peers were told of one name, numbered as they asked.
type History = Arc<Mutex<BTreeMap<usize, Op>>>;

/// What an object holds, if it is there. By its ETag, which is what it hashes to.
fn held(there: &Result<Manifest>, put: &Mutex<BTreeMap<Etag, u64>>) -> Option<u64> {
    there.as_ref().ok().map(|there| put.lock().unwrap()[&there.etag])
}

impl Mesh {
    /// A peer changes what it has read for so long, and notes what it is told.
    fn note_swaps(&self, host: u32, busy: Duration, history: &History, put: &Arc<Mutex<BTreeMap<Etag, u64>>>) {
        let (peer, world, history, put) = (self.peer(host), self.world.clone(), history.clone(), put.clone());
        let (until, clock) = (world.now() + busy, world.clone());
        let now = move || world.now().as_nanos() as u64;
        tokio::spawn(async move {
            for nth in (0_u64..).take_while(|_| clock.now() < until) {
                let (new, invoked) = (u64::from(host) << 32 | nth, now());
                let there = peer.stat(name("b/swap")).await;
                if !matches!(there, Ok(_) | Err(Error::NotFound { .. })) {
                    continue;
                }
                let expected = held(&there, &put);
                let at = history.lock().unwrap().last_key_value().map_or(0, |(last, _)| last / 2 + 1);
                let read = Op { invoked, returned: Some(now()), kind: Kind::Read { saw: expected } };
                history.lock().unwrap().insert(2 * at, read);
                let (bytes, invoked) = (Bytes::copy_from_slice(&new.to_le_bytes()), now());
                put.lock().unwrap().insert(Etag(blake3::hash(&bytes).to_hex().to_string()), new);
                let condition = there.map_or(PutCondition::IfAbsent, |there| PutCondition::IfMatch(there.etag));
                // It may be made for as long as nobody says anything.
                let swap = Op { invoked, returned: None, kind: Kind::Swap { expected, new } };
                history.lock().unwrap().insert(2 * at + 1, swap);
                let made = peer.put(name("b/swap"), None, condition, stream::iter([Ok(bytes)]).boxed()).await;
                let mut history = history.lock().unwrap();
                match made {
                    Ok(_) => drop(history.insert(2 * at + 1, Op { returned: Some(now()), ..swap })),
                    Err(error) if error.is_in_doubt() => {}
                    Err(Error::Conflict { found, .. }) if found.starts_with("it ") => {
                        let kind = Kind::Mismatch { expected };
                        history.insert(2 * at + 1, Op { returned: Some(now()), kind, ..swap });
                    }
                    // It was not, and never will be: nobody may read it.
                    Err(_) => drop(history.remove(&(2 * at + 1))),
                }
            }
        });
    }
}

#[test]
fn what_is_said_of_a_change_is_true_whoever_stands_still_or_dies() {
    for (seed, replicas) in [(41, 2), (42, 3), (43, 2), (44, 3)] {
        mesh_with(
            4,
            |config| config.replicas = replicas,
            seed,
            |mesh| async move {
                let (history, put) = (History::default(), Arc::default());
                for host in 0..4 {
                    mesh.note_swaps(host, 4 * SECOND, &history, &put);
                }
                for host in [seed as u32 % 4, (seed as u32 + 1) % 4] {
                    mesh.pass(SECOND / 2).await;
                    mesh.world.pause(HostId(host), SECOND);
                }
                mesh.pass(SECOND).await;
                mesh.world.crash(HostId(2), Death::Power);
                mesh.pass(SECOND / 2).await;
                mesh.world.start(HostId(2));
                mesh.pass(12 * SECOND).await;
                mesh.note_swaps(3, SECOND / 10, &history, &put);
                mesh.pass(2 * SECOND).await;
                let history: Vec<Op> = history.lock().unwrap().values().copied().collect();
                let made = history.iter().filter(|op| matches!((op.returned, op.kind), (Some(_), Kind::Swap { .. })));
                let (made, doubts) = (made.count(), history.iter().filter(|op| op.returned.is_none()).count());
                assert!(made > 100 && doubts < 10, "{made} made, {doubts} in doubt");
                assert!(is_linearizable(&history), "seed {seed}: {made} made, {doubts} in doubt");
            },
        );
    }
}

/// It was refused by its own last ballot, and took that for others.
#[test]
fn whoever_changes_a_name_alone_asks_nobody_for_a_turn() {
    mesh(33, |mesh| async move {
        mesh.world.state().network.calls.asked = Some(Default::default());
        let busy = mesh.keep_busy(0, "b/alone", Change::Put);
        mesh.pass(BUSY + 10 * SECOND).await;
        let turns = mesh.world.state().network.calls.asked.take().unwrap().turns;
        assert!(turns == 0 && busy.lock().unwrap().made > 100, "{turns} turns, {busy:?}");
    });
}

/// Each is once the one that keeps the queue, and once the one whose turn it is.
#[test]
fn a_peer_that_stands_still_or_dies_keeps_the_others_from_their_turns_for_a_moment() {
    for (stops, dies) in (0..4).flat_map(|host| [(host, false), (host, true)]) {
        mesh(32, |mesh| async move {
            let busy = [0, 1, 2, 3].map(|host| mesh.keep_busy(host, "b/put", Change::Put));
            mesh.pass(2 * SECOND).await;
            match dies {
                true => mesh.world.crash(HostId(stops), Death::Power),
                false => mesh.world.pause(HostId(stops), 8 * SECOND),
            }
            let before = busy.clone().map(|busy| busy.lock().unwrap().made);
            mesh.pass(BUSY + 10 * SECOND).await;
            for (host, busy) in busy.iter().enumerate().filter(|(host, _)| *host != stops as usize) {
                let busy = busy.lock().unwrap();
                let told = format!("{stops}, dies: {dies}; {host}: {} before, then {busy:?}", before[host]);
                assert!(busy.made > before[host] + 50, "{told}");
                busy.check(2 * SECOND, &told);
            }
        });
    }
}
