//! A bucket says how many copies there are of what is in it, and how many of
//! them a put waits for.

use std::collections::BTreeSet;

use futures::StreamExt;
use shoal_placement::PlacementKey;
use shoal_runtime::{CheckupUpdate, CopyVersion, PutCondition};
use shoal_types::ChunkId;

use super::asking::{CHUNKS, GRACE, SECOND, content, mesh_of, mesh_with, name, piece};
use super::*;
use crate::host::Death;
use crate::network::{HostSet, LinkQuality, Rule};

#[test]
fn a_chunk_has_as_many_copies_as_its_bucket_says_also_after_deaths() {
    mesh_of(7, 21, |mesh| async move {
        mesh.keep("scratch", 1, 0).await;
        mesh.keep("dear", 5, 0).await;
        mesh.put(0, "scratch/one", 1).await;
        assert_eq!(mesh.copies(), CHUNKS);
        mesh.put(1, "dear/five", 2).await;
        assert_eq!(mesh.copies(), 6 * CHUNKS);
        mesh.put(2, "plain/three", 3).await;
        assert_eq!(mesh.copies(), 9 * CHUNKS);
        // Nothing of it is taken for too much or too little.
        mesh.pass(8 * GRACE).await;
        assert_eq!(mesh.copies(), 9 * CHUNKS);
        mesh.world.crash(HostId(6), Death::Kill);
        mesh.pass(8 * GRACE).await;
        let lost = mesh.world.state().ledger.copies.on(HostId(6));
        let there = mesh.copies() - lost;
        // Of what had one copy, some may be away with it.
        assert!((8 * CHUNKS..=9 * CHUNKS).contains(&there), "{there}");
        assert_eq!(mesh.length(0, "dear/five").await.unwrap(), content(2).len());
        for host in [5, 4] {
            mesh.world.crash(HostId(host), Death::Kill);
        }
        mesh.pass(2 * GRACE).await;
        assert_eq!(mesh.length(0, "dear/five").await.unwrap(), content(2).len());
    });
}

#[test]
fn what_a_second_bucket_lists_has_as_many_copies_as_that_one_wants() {
    mesh_of(5, 22, |mesh| async move {
        mesh.keep("scratch", 1, 0).await;
        mesh.put(0, "scratch/one", 1).await;
        mesh.put(1, "scratch/two", 2).await;
        assert_eq!(mesh.copies(), 2 * CHUNKS);
        // The same content put elsewhere, and a copy without any.
        mesh.put(3, "plain/one", 1).await;
        assert_eq!(mesh.copies(), 4 * CHUNKS);
        let (peer, always) = (mesh.peer(2), PutCondition::Always);
        mesh.ask(async move { peer.copy(name("scratch/two"), name("plain/two"), CopyVersion::Now, always).await })
            .await
            .unwrap();
        assert_eq!(mesh.copies(), 6 * CHUNKS);
        mesh.remove(0, "scratch/one").await;
        mesh.pass(5 * GRACE).await;
        assert_eq!(mesh.copies(), 6 * CHUNKS);
    });
}

#[test]
fn a_put_that_waits_for_one_copy_is_followed_by_the_others() {
    mesh_of(5, 23, |mesh| async move {
        mesh.keep("feed", 3, 1).await;
        mesh.put(0, "feed/x", 1).await;
        let first = mesh.copies();
        assert!(first >= CHUNKS);
        mesh.pass(10 * SECOND).await;
        assert_eq!(mesh.copies(), 3 * CHUNKS, "there were {first} when it returned");
    });
}

#[test]
fn an_owner_that_was_away_when_more_copies_were_wanted_hears_of_it() {
    mesh_of(5, 24, |mesh| async move {
        mesh.keep("scratch", 1, 0).await;
        mesh.put(0, "scratch/one", 1).await;
        let held = |host: u32| mesh.world.state().ledger.copies.on(HostId(host));
        let holder = (1..5).find(|host| held(*host) > 0).unwrap();
        mesh.world.crash(HostId(holder), Death::Kill);
        mesh.pass(3 * SECOND).await;
        mesh.put(0, "plain/one", 1).await;
        mesh.world.start(HostId(holder));
        mesh.pass(8 * GRACE).await;
        // The number is in the name of a copy's file.
        let of_one = |host: u32| {
            let files = mesh.world.state().hosts[host as usize].disk.durable_files("chunks/");
            files.into_iter().filter(|file| file.ends_with(".r1")).count()
        };
        assert_eq!((0..5).map(of_one).sum::<usize>(), 0);
        assert_eq!(mesh.copies(), 3 * CHUNKS);
    });
}

/// Health told for ever that copies are missing, and nobody made them: holders
/// went by the number with which it was put.
#[test]
fn more_copies_of_what_is_there_are_made_once_health_has_looked() {
    mesh_of(5, 30, |mesh| async move {
        mesh.keep("scratch", 1, 0).await;
        mesh.put(0, "scratch/one", 1).await;
        mesh.keep("scratch", 3, 0).await;
        let first = mesh.checkup(2, false).await;
        assert_eq!((first.copies, first.copies_missing, first.chunks_lost), (CHUNKS as u64, 2 * CHUNKS as u64, 0));
        assert!(!first.is_full());
        mesh.pass(150 * SECOND).await;
        let holders = |n| mesh.world.state().ledger.copies.holders(ChunkId::of(&piece(1, n))).count();
        assert_eq!((0..CHUNKS).map(holders).collect::<Vec<_>>(), [3; CHUNKS]);
        let then = mesh.checkup(3, false).await;
        assert!(then.is_full(), "{then:?}");
        // Fewer are for what is put from then on, and nothing is taken for too much.
        mesh.keep("scratch", 1, 0).await;
        assert!(mesh.checkup(4, false).await.is_full());
        mesh.pass(8 * GRACE).await;
        assert_eq!(mesh.copies(), 3 * CHUNKS);
    });
}

/// It was told that they are lost, and not that somebody may still have them.
#[test]
fn what_a_member_holds_that_is_late_to_say_so_may_still_be_there() {
    mesh_of(5, 32, |mesh| async move {
        mesh.keep("scratch", 1, 0).await;
        mesh.put(0, "scratch/one", 1).await;
        let held = |host: u32| mesh.world.state().ledger.copies.on(HostId(host));
        let late = (1..5).find(|host| held(*host) > 0).unwrap();
        let slow = LinkQuality { latency: 2 * SECOND, ..LinkQuality::default() };
        let (one, other) = (HostSet::of([HostId(0)]), HostSet::of([HostId(late)]));
        let rule = mesh.world.impose(Rule::Worse { between: one, and: other, by: slow });
        let mut updates = mesh.peer(0).checkup(false);
        let (names, updates) = mesh.ask(async move { (updates.next().await, updates) }).await;
        assert!(matches!(names, Some(Ok(CheckupUpdate::Progress { names: 1, .. }))), "{names:?}");
        // It says how it is, and is not asked again what it has.
        mesh.world.lift(rule);
        let mut rest = mesh.ask(updates.collect::<Vec<_>>()).await;
        let Some(Ok(CheckupUpdate::Report(report))) = rest.pop() else { panic!("it ends without a report") };
        assert_eq!(report.chunks_lost, held(late) as u64);
        let id = mesh.peer(late).id();
        let away: Vec<_> =
            report.members.iter().filter(|member| member.is_away()).map(|it| (it.id, it.health)).collect();
        assert_eq!(away, [(id, Health::Alive)]);
        // It is as soon as it answers in time.
        assert!(mesh.checkup(0, false).await.is_full());
    });
}

// It had asked the owners that the chunk has with one copy, and let go of the
// copy on which the put counted meanwhile.
#[test]
fn a_copy_that_a_put_counts_on_stays_though_its_owner_was_just_asked_for_fewer() {
    for phase in 0..12 {
        raise_while_owners_are_asked(phase);
    }
}

fn raise_while_owners_are_asked(phase: u32) {
    mesh_with(
        5,
        |config| config.timing.repair_interval = 10 * SECOND,
        25,
        |mesh| async move {
            mesh.keep("scratch", 1, 0).await;
            let bytes = piece(7, 0);
            let chunk = ChunkId::of(&bytes);
            let layout = mesh.peer(0).layout().unwrap();
            let ranked = shoal_placement::rank(PlacementKey::of_chunk(chunk), &layout.members);
            let hosts: Vec<HostId> = ranked.iter().map(|member| mesh.world.state().by_id[&member.id]).collect();
            let holders = || mesh.world.state().ledger.copies.holders(chunk).collect::<Vec<_>>();
            // The next one stands in for its owner.
            mesh.world.crash(hosts[0], Death::Kill);
            mesh.pass(10 * SECOND).await;
            mesh.put_bytes(hosts[4].0, "scratch/x", bytes.clone(), PutCondition::Always).await.unwrap();
            mesh.world.start(hosts[0]);
            while holders().len() < 2 {
                mesh.pass(SECOND / 100).await;
            }
            // For as long as that takes it asks.
            let slow = LinkQuality { latency: SECOND, ..LinkQuality::default() };
            let (one, other) = (HostSet::of([hosts[0]]), HostSet::of([hosts[1]]));
            mesh.world.impose(Rule::Worse { between: one, and: other, by: slow });
            mesh.pass(phase * 13 * SECOND / 10).await;
            mesh.put_bytes(hosts[4].0, "plain/x", bytes, PutCondition::Always).await.unwrap();
            for _ in 0..100 {
                mesh.pass(SECOND / 10).await;
                let owners = BTreeSet::from_iter(hosts[..3].iter().copied());
                assert_eq!(BTreeSet::from_iter(holders()), owners, "phase {phase}");
            }
        },
    );
}

/// A process was killed before it had said that a copy is synced. It says so
/// when it starts again, and others let go of theirs: that was told as a loss.
#[test]
fn a_copy_that_is_found_on_a_disk_counts_though_nobody_said_that_it_was_made() {
    for has_rotted in [false, true] {
        mesh_of(5, 29, |mesh| async move {
            mesh.put(0, "plain/one", 1).await;
            let chunk = ChunkId::of(&piece(1, 0));
            let host = mesh.world.state().ledger.copies.holders(chunk).next().unwrap();
            mesh.world.crash(host, Death::Kill);
            mesh.world.state().ledger.copies.gone(host, chunk);
            if has_rotted {
                mesh.world.state().hosts[host.index()].disk.rot(usize::MAX);
            }
            mesh.world.start(host);
            assert_eq!(mesh.world.state().ledger.copies.is_here(host, chunk), !has_rotted);
        });
    }
}
