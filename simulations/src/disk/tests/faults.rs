use std::time::Duration;

use shoal_ports::Store;
use shoal_store::{LocalStore, StoreConfig};
use shoal_types::Error;

use super::{chunk, config, disk, entry, key, open};
use crate::disk::{Outage, SimDisk};

/// A store with chunks 0 to 2 and register 0 at 1.
fn filled(disk: &SimDisk, config: StoreConfig) -> LocalStore {
    let store = LocalStore::open(disk.mount(), config).unwrap();
    for n in 0..3 {
        let (id, bytes) = chunk(n, 4096);
        store.chunk_put(id, &bytes).unwrap();
    }
    store.register_put(&[entry(0, 1).into()]).unwrap();
    store
}

#[test]
fn a_full_disk_refuses_until_there_is_room() {
    let disk = disk(1);
    // Without a reserve the store believes what is free, and meets the end of the disk.
    let store = filled(&disk, StoreConfig { reserve_bytes: Some(0), ..config() });
    let (id, bytes) = chunk(9, 5000);
    disk.set_free_bytes(Some(6000));
    assert_eq!(store.usage().unwrap().free_bytes, 6000);
    assert!(matches!(store.chunk_put(id, &bytes), Err(Error::DiskFull { .. })));
    // A few would find room in the database.
    let many: Vec<_> = (0..100).map(|name| entry(name, 2).into()).collect();
    assert!(matches!(store.register_put(&many), Err(Error::DiskFull { .. })));
    assert_eq!(store.register_get(&key(0)).unwrap(), Some(entry(0, 1)), "all or nothing");
    assert!(store.chunk_get(chunk(0, 4096).0, None).unwrap().is_some());
    disk.set_free_bytes(None);
    store.chunk_put(id, &bytes).unwrap();
    store.register_put(&many).unwrap();
    assert_eq!(store.register_get(&key(0)).unwrap(), Some(entry(0, 2)));
}

#[test]
fn what_is_removed_becomes_free() {
    let disk = disk(2);
    let store = filled(&disk, config());
    let before = disk.counters().used_bytes;
    for n in 10..200 {
        let (id, bytes) = chunk(n, 4096);
        store.chunk_put(id, &bytes).unwrap();
    }
    assert_eq!(disk.counters().used_bytes, before + 190 * 4096);
    for n in 10..200 {
        store.chunk_delete(chunk(n, 4096).0).unwrap();
    }
    // The last ones may still be in the journal of the directory for temporary files.
    assert!(disk.counters().used_bytes <= before + 32 * 4096);
}

#[test]
fn a_failed_sync_ends_all_writing_and_loses_nothing_acknowledged() {
    for seed in 0..20 {
        let disk = disk(seed);
        let store = filled(&disk, config());
        let (id, bytes) = chunk(9, 4096);
        disk.fail_syncs(true);
        assert!(matches!(store.register_put(&[entry(0, 2).into()]), Err(Error::DiskFailed { .. })));
        disk.fail_syncs(false);
        assert!(matches!(store.chunk_put(id, &bytes), Err(Error::DiskFailed { .. })));
        assert!(matches!(store.register_get(&key(0)), Err(Error::DiskFailed { .. })));
        disk.outage(if seed % 2 == 0 { Outage::Power } else { Outage::Process });
        drop(store);
        let store = open(&disk).unwrap();
        let found = store.register_get(&key(0)).unwrap();
        assert!(found == Some(entry(0, 1)) || found == Some(entry(0, 2)), "{found:?}");
        for n in 0..3 {
            assert!(store.chunk_get(chunk(n, 4096).0, None).unwrap().is_some());
        }
        store.chunk_put(id, &bytes).unwrap();
    }
}

#[test]
fn a_write_whose_sync_failed_is_not_brought_by_the_next_sync() {
    let lost = (0..40).filter(|seed| {
        let disk = disk(*seed);
        let mount = disk.mount();
        let file = mount.open("x", true).unwrap();
        mount.sync_dir("").unwrap();
        file.write_at(0, b"first").unwrap();
        disk.fail_syncs(true);
        assert!(file.sync().is_err());
        disk.fail_syncs(false);
        file.sync().unwrap();
        disk.outage(Outage::Power);
        disk.read_durable("x").unwrap() != b"first"
    });
    assert!((10..35).contains(&lost.count()));
}

#[test]
fn a_copy_that_cannot_be_read_is_set_aside_and_registers_come_back() {
    let disk = disk(4);
    let store = filled(&disk, StoreConfig { register_cache_bytes: 0, ..config() });
    // What is in a log only is not read from the disk.
    store.register_settle().unwrap();
    disk.fail_reads(true);
    assert_eq!(store.chunk_get(chunk(0, 4096).0, None).unwrap(), None);
    assert!(matches!(store.register_get(&key(0)), Err(Error::DiskFailed { .. })));
    disk.fail_reads(false);
    assert_eq!(store.register_get(&key(0)).unwrap(), Some(entry(0, 1)));
    assert!(store.chunk_get(chunk(1, 4096).0, None).unwrap().is_some());
}

#[test]
fn rot_is_found_on_reading_and_set_aside() {
    let disk = disk(5);
    let store = filled(&disk, config());
    let rotten = disk.rot(2);
    assert_eq!(rotten.len(), 2);
    let lost: Vec<String> = (0..3)
        .map(|n| chunk(n, 4096).0)
        .filter(|id| store.chunk_get(*id, None).unwrap().is_none())
        .map(|id| format!("chunks/{}/{}", &id.to_string()[..2], &id.to_string()[2..]))
        .collect();
    assert_eq!(lost.iter().collect::<std::collections::BTreeSet<_>>(), rotten.iter().collect());
    assert_eq!(disk.durable_files("chunks/").len(), 1);
    assert_eq!(disk.rot(9).len(), 1, "there is but one left");
    assert_eq!(disk.rot(0), Vec::<String>::new());
}

#[test]
fn rot_outlasts_a_power_cut() {
    let disk = disk(6);
    let store = filled(&disk, config());
    assert_eq!(disk.rot(3).len(), 3);
    disk.outage(Outage::Power);
    drop(store);
    let store = open(&disk).unwrap();
    assert!((0..3).all(|n| store.chunk_get(chunk(n, 4096).0, None).unwrap().is_none()));
}

#[test]
fn a_lost_directory_is_an_empty_store_after_the_next_mount() {
    let disk = disk(7);
    let store = filled(&disk, config());
    disk.lose_everything();
    assert!(store.chunk_get(chunk(0, 4096).0, None).is_err());
    drop(store);
    assert_eq!((disk.counters().used_bytes, disk.durable_files("")), (0, vec![]));
    let store = open(&disk).unwrap();
    assert_eq!(store.chunk_list(None, 9).unwrap(), []);
    assert_eq!(store.register_get(&key(0)).unwrap(), None);
    store.register_put(&[entry(0, 3).into()]).unwrap();
}

#[test]
fn a_slow_disk_costs_so_much_more_time() {
    let cost = |percent| {
        let disk = disk(8);
        let store = open(&disk).unwrap();
        disk.take_cost();
        disk.set_slowness(percent);
        let (id, bytes) = chunk(1, 300_000);
        store.chunk_put(id, &bytes).unwrap();
        let put = disk.take_cost();
        assert_eq!(disk.take_cost(), Duration::ZERO);
        assert!(store.chunk_get(id, None).unwrap().is_some());
        (put, disk.take_cost())
    };
    // A file, the chunks' directory and that of the chunk are synced.
    assert_eq!(cost(100), (Duration::from_millis(3 * 2 + 1), Duration::from_micros(600 + 100)));
    assert_eq!(cost(2000), (Duration::from_millis(20 * 7), Duration::from_millis(14)));
}
