use std::sync::Arc;
use std::sync::atomic::Ordering;

use shoal_ports::Store;
use shoal_types::{DiskState, Error, RegisterKey};

use super::faulty::{Faulty, Switches};
use super::{chunk, config, entry, peer};
use crate::{LocalDisk, LocalStore};

struct Bench {
    store: LocalStore,
    switches: Arc<Switches>,
    dir: tempfile::TempDir,
}

/// A store with chunk 1 and register `b/x` in it.
fn bench() -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let disk = Faulty::new(Arc::new(LocalDisk::open(dir.path()).unwrap()));
    let switches = disk.switches.clone();
    let store = LocalStore::open(Arc::new(disk), config()).unwrap();
    store.chunk_put(chunk(1).0, &chunk(1).1).unwrap();
    store.register_put(&[entry("b/x", 1).into()]).unwrap();
    Bench { store, switches, dir }
}

fn key() -> RegisterKey {
    RegisterKey::Object("b/x".parse().unwrap())
}

#[test]
fn below_the_reserve_chunks_are_refused_with_numbers_and_registers_still_go() {
    let Bench { store, switches, dir: _dir } = bench();
    let (id, bytes) = chunk(2);
    switches.free_bytes.store(1 << 20, Ordering::Relaxed);
    let needed_bytes = (1 << 20) + bytes.len() as u64;
    assert_eq!(store.chunk_put(id, &bytes), Err(Error::DiskFull { peer: peer(), free_bytes: 1 << 20, needed_bytes }));
    store.register_put(&[entry("b/x", 2).into()]).unwrap();
    assert!(store.chunk_get(chunk(1).0, None).unwrap().is_some());
    store.chunk_delete(chunk(1).0).unwrap();
    switches.free_bytes.store(1000, Ordering::Relaxed);
    assert!(matches!(store.register_put(&[entry("b/x", 3).into()]), Err(Error::DiskFull { .. })));
    assert_eq!(store.register_get(&key()).unwrap(), Some(entry("b/x", 2)));
    switches.free_bytes.store(0, Ordering::Relaxed);
    store.chunk_put(id, &bytes).unwrap();
}

#[test]
fn a_disk_that_fills_in_the_middle_of_a_write_is_full_and_not_failed() {
    let Bench { store, switches, dir } = bench();
    let (id, bytes) = chunk(2);
    switches.no_room.store(true, Ordering::Relaxed);
    assert!(matches!(store.chunk_put(id, &bytes), Err(Error::DiskFull { .. })));
    assert_eq!(std::fs::read_dir(dir.path().join("tmp")).unwrap().count(), 0, "its rest is removed");
    let result = store.register_put(&[entry("b/x", 2).into()]);
    assert!(matches!(result, Err(Error::DiskFull { .. })), "{result:?}");
    switches.no_room.store(false, Ordering::Relaxed);
    assert_eq!(store.register_get(&key()).unwrap(), Some(entry("b/x", 1)), "all or none");
    store.chunk_put(id, &bytes).unwrap();
    store.register_put(&[entry("b/x", 2).into()]).unwrap();
    assert_eq!(store.register_get(&key()).unwrap(), Some(entry("b/x", 2)));
}

#[test]
fn after_a_failed_sync_nothing_is_written_any_more_and_chunks_are_still_read() {
    for of_dir in [false, true] {
        let Bench { store, switches, dir: _dir } = bench();
        let switch = if of_dir { &switches.dir_syncs_fail } else { &switches.syncs_fail };
        switch.store(true, Ordering::Relaxed);
        let (id, bytes) = chunk(2);
        assert!(matches!(store.chunk_put(id, &bytes), Err(Error::DiskFailed { .. })));
        assert_eq!(store.chunk_len(id).unwrap(), None, "it was not acknowledged");
        switch.store(false, Ordering::Relaxed);
        assert!(matches!(store.chunk_put(id, &bytes), Err(Error::DiskFailed { .. })), "a sync is not tried again");
        assert!(matches!(store.chunk_delete(chunk(1).0), Err(Error::DiskFailed { .. })));
        assert!(matches!(store.register_put(&[entry("b/x", 2).into()]), Err(Error::DiskFailed { .. })));
        assert!(store.chunk_get(chunk(1).0, None).unwrap().is_some());
        assert_eq!(store.register_get(&key()).unwrap(), Some(entry("b/x", 1)));
    }
}

#[test]
fn registers_that_could_not_be_synced_are_not_answered_from() {
    let Bench { store, switches, dir: _dir } = bench();
    switches.syncs_fail.store(true, Ordering::Relaxed);
    assert!(matches!(store.register_put(&[entry("b/x", 2).into()]), Err(Error::DiskFailed { .. })));
    switches.syncs_fail.store(false, Ordering::Relaxed);
    let result = store.register_get(&key());
    assert!(matches!(result, Err(Error::DiskFailed { .. })), "{result:?}");
    assert!(matches!(store.chunk_put(chunk(2).0, &chunk(2).1), Err(Error::DiskFailed { .. })));
    assert!(store.chunk_get(chunk(1).0, None).unwrap().is_some());
}

#[test]
fn a_read_that_fails_for_another_reason_than_the_copy_leaves_the_copy_alone() {
    let Bench { store, switches, dir: _dir } = bench();
    switches.reads_fail.store(true, Ordering::Relaxed);
    assert!(matches!(store.chunk_get(chunk(1).0, None), Err(Error::DiskFailed { .. })));
    switches.reads_fail.store(false, Ordering::Relaxed);
    assert!(store.chunk_get(chunk(1).0, None).unwrap().is_some());
}

#[test]
fn the_disk_says_that_it_is_full_until_what_was_refused_would_fit() {
    let Bench { store, switches, dir: _dir } = bench();
    let (id, bytes) = chunk(2);
    let reserve = 1 << 20;
    assert_eq!(store.disk(), DiskState::Fine);
    // Above the reserve, and still too little for this chunk.
    switches.free_bytes.store(reserve + 1000, Ordering::Relaxed);
    assert_eq!(store.disk(), DiskState::Fine);
    assert!(matches!(store.chunk_put(id, &bytes), Err(Error::DiskFull { .. })));
    let needed_bytes = reserve + bytes.len() as u64;
    assert_eq!(store.disk(), DiskState::Full { free_bytes: reserve + 1000, needed_bytes });
    switches.free_bytes.store(needed_bytes, Ordering::Relaxed);
    assert_eq!(store.disk(), DiskState::Fine);
    switches.free_bytes.store(reserve - 1, Ordering::Relaxed);
    assert_eq!(store.disk(), DiskState::Full { free_bytes: reserve - 1, needed_bytes });
}

/// It counted as full for chunks only, or as fine, and names could not change.
#[test]
fn a_disk_that_takes_no_names_says_so_until_there_is_room_for_them() {
    let Bench { store, switches, dir: _dir } = bench();
    let needed_bytes = (1 << 20) / 8;
    for free_bytes in [1000, needed_bytes - 1] {
        switches.free_bytes.store(free_bytes, Ordering::Relaxed);
        assert_eq!(store.disk(), DiskState::FullForNames { free_bytes, needed_bytes });
    }
    switches.free_bytes.store(needed_bytes, Ordering::Relaxed);
    assert!(store.disk().takes_names());
    // A little more than there is.
    assert!(matches!(store.register_put(&[entry("b/x", 2).into()]), Err(Error::DiskFull { .. })));
    assert!(matches!(store.disk(), DiskState::FullForNames { .. }), "{:?}", store.disk());
    switches.free_bytes.store(needed_bytes * 2, Ordering::Relaxed);
    assert!(store.disk().takes_names());
}

/// As where a quota is full.
#[test]
fn a_disk_that_takes_no_names_though_it_says_that_it_has_room_is_not_fine_until_it_takes_some() {
    let Bench { store, switches, dir: _dir } = bench();
    switches.no_room.store(true, Ordering::Relaxed);
    assert!(matches!(store.register_put(&[entry("b/x", 2).into()]), Err(Error::DiskFull { .. })));
    assert!(matches!(store.disk(), DiskState::FullForNames { .. }), "{:?}", store.disk());
    switches.no_room.store(false, Ordering::Relaxed);
    store.register_put(&[entry("b/x", 2).into()]).unwrap();
    assert_eq!(store.disk(), DiskState::Fine);
}

#[test]
fn a_disk_that_failed_says_so_with_the_cause_for_ever() {
    let Bench { store, switches, dir: _dir } = bench();
    switches.syncs_fail.store(true, Ordering::Relaxed);
    store.chunk_put(chunk(2).0, &chunk(2).1).unwrap_err();
    switches.syncs_fail.store(false, Ordering::Relaxed);
    let DiskState::Failed { why } = store.disk() else { panic!("{:?}", store.disk()) };
    assert!(why.contains("could not be synced") && why.contains("planned"), "{why}");
}

/// Files that are open are written to without complaint after their directory
/// is gone: promises went to a database that nobody would find again.
#[test]
fn a_directory_that_is_gone_or_replaced_takes_nothing_and_its_copies_are_not_forgotten() {
    let Bench { store, switches: _switches, dir } = bench();
    let (root, elsewhere) = (dir.path().join("data"), dir.path().join("elsewhere"));
    drop(store);
    let store = LocalStore::open(Arc::new(LocalDisk::open(&root).unwrap()), config()).unwrap();
    store.chunk_put(chunk(1).0, &chunk(1).1).unwrap();
    store.register_put(&[entry("b/x", 1).into()]).unwrap();
    std::fs::rename(&root, &elsewhere).unwrap();
    for replaced in [false, true] {
        if replaced {
            std::fs::create_dir(&root).unwrap();
        }
        assert!(matches!(store.disk(), DiskState::Gone { .. }), "{replaced} {:?}", store.disk());
        let words = if replaced { "is another directory" } else { "is not there any more" };
        for refused in [store.register_put(&[entry("b/x", 2).into()]), store.chunk_put(chunk(2).0, &chunk(2).1)] {
            let Err(error @ Error::DiskFailed { .. }) = refused else { panic!("{refused:?}") };
            assert!(error.to_string().contains(words), "{error}");
        }
        assert!(matches!(store.chunk_get(chunk(1).0, None), Err(Error::DiskFailed { .. })));
    }
    // A file system that was away for a moment is as before.
    std::fs::remove_dir(&root).unwrap();
    std::fs::rename(&elsewhere, &root).unwrap();
    assert_eq!((store.disk(), store.usage().unwrap().bad_copies), (DiskState::Fine, 0));
    assert!(store.chunk_get(chunk(1).0, None).unwrap().is_some());
    store.register_put(&[entry("b/x", 2).into()]).unwrap();
}

#[test]
fn many_registers_cost_as_few_syncs_as_one() {
    let Bench { store, switches, dir: _dir } = bench();
    let syncs = |entries: &[_]| {
        let before = switches.syncs.load(Ordering::Relaxed);
        store.register_put(entries).unwrap();
        switches.syncs.load(Ordering::Relaxed) - before
    };
    let one = syncs(&[entry("b/one", 1).into()]);
    let many: Vec<_> = (0..100).map(|n| entry(&format!("b/{n}"), 1).into()).collect();
    assert_eq!(syncs(&many), one);
    assert!(one <= 2, "{one}");
}

#[test]
fn a_peer_starts_on_a_disk_that_is_full_and_notes_are_still_taken() {
    let Bench { store, switches: _switches, dir } = bench();
    drop(store);
    let disk = Faulty::new(Arc::new(LocalDisk::open(dir.path()).unwrap()));
    disk.switches.free_bytes.store(1000, Ordering::Relaxed);
    let store = LocalStore::open(Arc::new(disk), config()).unwrap();
    store.note_put("incarnation", b"2").unwrap();
    assert!(matches!(store.register_put(&[entry("b/x", 3).into()]), Err(Error::DiskFull { .. })));
    assert_eq!(store.register_get(&key()).unwrap(), Some(entry("b/x", 1)));
}

#[test]
fn a_file_system_that_has_become_read_only_is_read_and_is_failed() {
    let Bench { store, switches, dir: _dir } = bench();
    switches.read_only.store(true, Ordering::Relaxed);
    assert!(matches!(store.chunk_put(chunk(2).0, &chunk(2).1), Err(Error::DiskFailed { .. })));
    assert!(matches!(store.disk(), DiskState::Failed { .. }), "{:?}", store.disk());
    assert!(store.chunk_get(chunk(1).0, None).unwrap().is_some());
}

/// Each found room for itself, and together they took what registers need.
#[test]
fn chunks_that_come_at_the_same_time_leave_the_reserve_to_registers() {
    const BYTES: usize = 100_000;
    let Bench { store, switches, dir: _dir } = bench();
    // Room for two beside the reserve.
    switches.free_bytes.store((1 << 20) + 2 * BYTES as u64 + 1, Ordering::Relaxed);
    switches.fills.store(true, Ordering::Relaxed);
    let begin = std::sync::Barrier::new(8);
    let kept = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8u8)
            .map(|n| {
                let (store, begin) = (&store, &begin);
                scope.spawn(move || {
                    let bytes = vec![n; BYTES];
                    begin.wait();
                    store.chunk_put(shoal_types::ChunkId::of(&bytes), &bytes)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).filter(Result::is_ok).count()
    });
    assert!((1..=2).contains(&kept), "{kept} of 8 were kept");
    assert!(switches.free_bytes.load(Ordering::Relaxed) >= 1 << 20);
    store.register_put(&[entry("b/x", 2).into()]).unwrap();
}

/// Once those beyond the first 64 were removed, the last copies of some among
/// them: the cable to the disk was loose.
#[test]
fn copies_that_could_not_be_read_for_a_while_are_there_again_after_the_next_start() {
    let Bench { store, switches, dir } = bench();
    let chunks: Vec<_> = (1..=100).map(chunk).collect();
    for (id, bytes) in &chunks {
        store.chunk_put(*id, bytes).unwrap();
    }
    switches.medium_fails.store(true, Ordering::Relaxed);
    for (id, _) in &chunks {
        assert_eq!(store.chunk_get(*id, None).unwrap(), None);
        assert_eq!(store.chunk_len(*id).unwrap(), None, "nobody counts on it");
    }
    switches.medium_fails.store(false, Ordering::Relaxed);
    // One that is brought again meanwhile takes its place.
    store.chunk_put(chunks[0].0, &chunks[0].1).unwrap();
    assert_eq!(store.usage().unwrap().chunks, 1);
    drop(store);
    let store = LocalStore::open(Arc::new(LocalDisk::open(dir.path()).unwrap()), config()).unwrap();
    assert_eq!(store.usage().unwrap().chunks, 100);
    for (id, bytes) in &chunks {
        assert_eq!(store.chunk_get(*id, None).unwrap().as_deref(), Some(&bytes[..]));
    }
}
