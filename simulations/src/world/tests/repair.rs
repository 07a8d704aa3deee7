//! Repair asks for what somebody lacks, and not for all that there is.

use shoal_runtime::Timing;
use shoal_types::ChunkId;

use super::asking::{CHUNKS, Mesh, mesh_with};
use super::*;
use crate::host::Death;
use crate::network::Asked;

/// So many objects.
const OBJECTS: usize = 40;

const PEERS: usize = 5;

pub(super) const INTERVAL: Duration = Duration::from_secs(60);

const HOUR: Duration = Duration::from_secs(3600);

fn mesh<F: Future<Output = ()>>(seed: u64, test: impl FnOnce(Mesh) -> F) {
    mesh_of_peers(PEERS, seed, test);
}

/// Runs a test on peers who wait for one another for hours.
pub(super) fn mesh_of_peers<F: Future<Output = ()>>(peers: usize, seed: u64, test: impl FnOnce(Mesh) -> F) {
    mesh_of_copies(3, peers, seed, test);
}

/// The same with so many copies of each chunk.
pub(super) fn mesh_of_copies<F: Future<Output = ()>>(
    replicas: u32,
    peers: usize,
    seed: u64,
    test: impl FnOnce(Mesh) -> F,
) {
    let timing = Timing { repair_interval: INTERVAL, repair_delay: 5 * HOUR, ..Timing::default() };
    let configure = |config: &mut WorldConfig| {
        config.timing = timing;
        config.replicas = replicas;
    };
    mesh_with(peers, configure, seed, test);
}

impl Mesh {
    pub(super) async fn put_many(&self, from: usize) {
        for n in from..from + OBJECTS {
            self.put((n % 3) as u32, &format!("b/{n}"), n as u8).await;
        }
    }

    /// What is asked while so much time goes by.
    pub(super) async fn asked(&self, time: Duration) -> Asked {
        self.world.state().network.calls.asked = Some(Asked::default());
        self.pass(time).await;
        self.world.state().network.calls.asked.take().unwrap()
    }

    /// Takes copies from a host behind its back; so many at most.
    fn take(&self, host: u32, most: usize) -> Vec<ChunkId> {
        let store = self.world.state().hosts[host as usize].running.as_ref().unwrap().store.clone();
        let taken = store.chunk_list(None, most).unwrap();
        taken.iter().for_each(|chunk| store.chunk_delete(*chunk).unwrap());
        taken
    }

    fn holds(&self, host: u32, chunks: &[ChunkId]) -> bool {
        chunks.iter().all(|chunk| self.world.state().ledger.copies.is_here(HostId(host), *chunk))
    }
}

#[test]
fn at_rest_nobody_is_asked_for_any_chunk() {
    mesh(31, |mesh| async move {
        mesh.put_many(0).await;
        assert_eq!(mesh.copies(), 3 * OBJECTS * CHUNKS);
        mesh.pass(2 * INTERVAL).await;
        let asked = mesh.asked(10 * INTERVAL).await;
        // Each asks each, once an interval.
        let calls = 10 * PEERS * (PEERS - 1);
        assert!((calls / 2..=calls + PEERS * PEERS).contains(&asked.sums), "{asked:?}");
        assert_eq!(asked.ids, 0, "{asked:?}");
        assert!(asked.bytes < asked.sums * 64, "{asked:?}");
    });
}

#[test]
fn copies_that_vanished_unnoticed_are_found_by_sums_and_brought_again() {
    mesh(32, |mesh| async move {
        mesh.put_many(0).await;
        mesh.pass(2 * INTERVAL).await;
        let copies = mesh.copies();
        for count in [1, 20] {
            let taken = mesh.take(4, count);
            assert_eq!((taken.len(), mesh.copies()), (count, copies - count));
            let asked = mesh.asked(3 * INTERVAL).await;
            assert!(mesh.holds(4, &taken), "{asked:?}");
            assert_eq!(mesh.copies(), copies);
            // Each of them is asked for by its two other holders, twice at most;
            // and until sums are new again perhaps in another pass.
            assert!((count..=12 * count).contains(&asked.ids), "{asked:?}");
        }
        assert_eq!(mesh.asked(3 * INTERVAL).await.ids, 0);
    });
}

#[test]
fn whoever_was_away_for_an_hour_is_asked_for_what_it_missed_and_not_for_what_it_has() {
    // Of three nobody can stand in for another.
    mesh_of_peers(3, 33, |mesh| async move {
        mesh.put_many(0).await;
        mesh.put_many(OBJECTS).await;
        let has = 2 * OBJECTS * CHUNKS;
        assert_eq!(mesh.copies(), 3 * has);
        // It only starts again.
        mesh.world.crash(HostId(2), Death::Kill);
        mesh.pass(INTERVAL / 10).await;
        mesh.world.start(HostId(2));
        let asked = mesh.asked(2 * INTERVAL).await;
        assert!(asked.ids == 0 && asked.sums > 0, "{asked:?}");
        // It is away while others put objects.
        mesh.world.crash(HostId(2), Death::Power);
        mesh.pass(HOUR).await;
        for n in 0..3 {
            mesh.put(n % 2, &format!("b/missed-{n}"), 250 + n as u8).await;
        }
        assert_eq!(mesh.peer(0).layout().unwrap().members.len(), 3, "it is still waited for");
        assert_eq!(mesh.copies(), 3 * has + 2 * 3 * CHUNKS);
        mesh.world.start(HostId(2));
        let asked = mesh.asked(INTERVAL / 2).await;
        let missed = 3 * CHUNKS;
        assert_eq!(mesh.copies(), 3 * (has + missed), "{asked:?}");
        // By ids alone each peer would ask each other for all that it has.
        assert!((missed..has).contains(&asked.ids), "{asked:?}");
        // Sums that were made before it was brought these are not told for long.
        mesh.pass(2 * INTERVAL).await;
        assert_eq!(mesh.asked(2 * INTERVAL).await.ids, 0);
    });
}

/// Once each of its holders brought it each chunk, at the same time.
#[test]
fn whoever_comes_back_is_brought_each_chunk_once() {
    mesh(34, |mesh| async move {
        mesh.put_many(0).await;
        mesh.pass(2 * INTERVAL).await;
        mesh.world.crash(HostId(4), Death::Kill);
        mesh.pass(INTERVAL / 4).await;
        mesh.put_many(OBJECTS).await;
        mesh.pass(INTERVAL).await;
        let held = || mesh.world.state().ledger.copies.on(HostId(4));
        let before = held();
        mesh.world.start(HostId(4));
        let asked = mesh.asked(INTERVAL).await;
        let missed = held() - before;
        assert!(missed > OBJECTS, "{missed}");
        assert!(asked.brought * 5 <= missed * 6, "{missed} missed, {asked:?}");
    });
}

/// Once its first owner was to bring a copy that this one lacked itself, so
/// that all others did.
#[test]
fn copies_that_vanished_are_brought_once() {
    mesh(35, |mesh| async move {
        mesh.put_many(0).await;
        mesh.pass(2 * INTERVAL).await;
        let taken = mesh.take(4, OBJECTS);
        let asked = mesh.asked(3 * INTERVAL).await;
        assert!(mesh.holds(4, &taken), "{asked:?}");
        assert!(asked.brought * 5 <= taken.len() * 6, "{asked:?}");
    });
}
