//! What the ledger alone shows.

use std::time::Duration;

use shoal_types::ChunkId;

use super::{check, world};
use crate::host::HostId;
use crate::invariants::{Invariant, Moment, bounded, durable, jobs, linearizable};
use crate::ledger::{Damage, JobEnd, JobRecord, Operation, OperationKind, Outcome};
use crate::world::World;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_chunk_without_a_copy_is_lost_unless_all_copies_came_to_harm() {
    let (world, chunk) = (world(4), ChunkId::of(b"x"));
    let mut durable = durable::Durable;
    for host in 0..3 {
        world.state().ledger.copies.synced(HostId(host), chunk);
    }
    world.state().ledger.copies.promise(SECOND, &"b/x".parse().unwrap(), chunk);
    check(&world, &mut durable, Moment::Tick, &[]);
    world.state().ledger.copies.gone(HostId(0), chunk);
    world.state().ledger.copies.disk_lost(2 * SECOND, HostId(1));
    check(&world, &mut durable, Moment::Tick, &[]);
    world.state().ledger.copies.harmed(3 * SECOND, HostId(2), chunk, Damage::Rotten);
    check(&world, &mut durable, Moment::Tick, &["no copy left", "peer-1 lost at 2.000 s, peer-2 rotten"]);
    let chunk = ChunkId::of(b"y");
    for host in 0..3 {
        world.state().ledger.copies.synced(HostId(host), chunk);
    }
    world.state().ledger.copies.promise(SECOND, &"b/x".parse().unwrap(), chunk);
    for host in 0..3 {
        world.state().ledger.copies.disk_lost(6 * SECOND, HostId(host));
    }
    let lost: Vec<ChunkId> = world.state().ledger.copies.lost().collect();
    assert!(lost.contains(&chunk));
    assert!(durable::is_excused(&world, &world.state(), chunk));
}

#[test]
fn a_chunk_that_is_only_on_hosts_that_are_down_is_short_of_copies() {
    let (world, chunk) = (world(4), ChunkId::of(b"x"));
    world.state().ledger.copies.synced(HostId(1), chunk);
    world.state().ledger.copies.promise(SECOND, &"b/x".parse().unwrap(), chunk);
    let mut durable = durable::Durable;
    assert!(!durable.is_whole(&world));
    let symptom = durable.symptom(&world).unwrap();
    assert!(symptom.contains(&chunk.short()) && symptom.contains("peer-1 (down)"), "{symptom}");
}

fn operation(world: &World, at: u64, kind: OperationKind, outcome: Outcome) {
    let mut state = world.state();
    let invoked = SECOND * at as u32;
    let id = state.ledger.history.begin(Operation {
        name: "names/1".into(),
        at: HostId(at as u32 % 3),
        kind,
        invoked,
        returned: None,
        outcome: Outcome::Unknown,
    });
    state.ledger.history.end(id, invoked + SECOND / 2, outcome);
}

#[test]
fn a_read_of_what_was_overwritten_is_shown_with_what_it_contradicts() {
    let world = world(3);
    // The clock of an idle world: everything above has been.
    world.state().heap.pop_until(100 * SECOND);
    let mut linearizable = linearizable::Linearizable::default();
    let done = Outcome::Done { was_there: true };
    operation(&world, 1, OperationKind::Put { content: 0xa }, done.clone());
    operation(&world, 2, OperationKind::Get, Outcome::Saw(Some(0xa)));
    operation(&world, 3, OperationKind::PutIfMatch { content: 0xb, expected: 0xa }, done.clone());
    operation(&world, 4, OperationKind::Put { content: 0xc }, Outcome::Unknown);
    check(&world, &mut linearizable, Moment::Tick, &[]);
    operation(&world, 5, OperationKind::Remove, Outcome::Failed("no".into()));
    operation(&world, 6, OperationKind::Get, Outcome::Saw(Some(0xa)));
    let words = ["'names/1'", "put a: done", "3.000–   3.500 s  peer-0  put if match b over a: done", "get: saw a"];
    check(&world, &mut linearizable, Moment::End, &words);
}

#[test]
fn what_may_still_end_is_waited_for() {
    let world = world(3);
    world.state().heap.pop_until(100 * SECOND);
    let mut linearizable = linearizable::Linearizable::default();
    let begun = Operation {
        name: "names/1".into(),
        at: HostId(0),
        kind: OperationKind::Put { content: 0xa },
        invoked: SECOND,
        returned: None,
        outcome: Outcome::Unknown,
    };
    let id = world.state().ledger.history.begin(begun);
    operation(&world, 2, OperationKind::Get, Outcome::Saw(None));
    operation(&world, 3, OperationKind::Get, Outcome::Saw(Some(0xa)));
    assert!(!linearizable.check(&world, Moment::Tick));
    world.state().ledger.history.end(id, SECOND * 3 / 2, Outcome::Done { was_there: true });
    check(&world, &mut linearizable, Moment::Tick, &["put a: done", "get: saw nothing"]);
}

#[test]
fn a_job_that_failed_or_never_ends_is_not_right() {
    let world = world(3);
    let mut jobs = jobs::JobsEndRight;
    let record = JobRecord { title: "count".into(), submitted: SECOND, runs: Vec::new(), end: None };
    world.state().ledger.jobs.records.push(record);
    check(&world, &mut jobs, Moment::Tick, &[]);
    assert!(!jobs.is_whole(&world));
    assert!(jobs.symptom(&world).unwrap().contains("'count', asked for at 1.000 s, is taken by nobody"));
    check(&world, &mut jobs, Moment::End, &["has not ended"]);
    world.state().ledger.jobs.records[0].end = Some((SECOND, JobEnd::Failed("why".into())));
    check(&world, &mut jobs, Moment::Tick, &["'count' failed: why"]);
    world.state().ledger.jobs.records[0].end = Some((SECOND, JobEnd::Right));
    check(&world, &mut jobs, Moment::End, &[]);
    assert!(jobs.is_whole(&world));
}

#[test]
fn a_queue_that_was_full_is_found() {
    let world = world(3);
    let mut bounded = bounded::Bounded::default();
    world.state().hosts[1].stats.inbound_max = 4096;
    check(&world, &mut bounded, Moment::Tick, &[]);
    world.state().hosts[1].stats.inbound_max = 4097;
    check(&world, &mut bounded, Moment::Tick, &["peer-1", "4096"]);
}
