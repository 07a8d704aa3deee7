use std::collections::{BTreeMap, BTreeSet};

use shoal_ports::Store;
use shoal_store::LocalStore;

use super::{chunk, disk, entry, key, open};
use crate::disk::{Outage, SimDisk};

/// What a store was asked to keep, and what it acknowledged.
#[derive(Default)]
struct Work {
    chunks: BTreeSet<u64>,
    /// Per register the last change acknowledged and the last one tried.
    registers: BTreeMap<u64, (u64, u64)>,
}

impl Work {
    /// Four chunks and six changes of three registers; false when the store refuses.
    fn go_on(&mut self, store: &LocalStore, round: u64) -> bool {
        for step in 0..6 {
            let (name, counter) = (step % 3, round * 10 + step + 1);
            let known = self.registers.entry(name).or_default();
            known.1 = counter;
            if store.register_put(&[entry(name, counter).into()]).is_err() {
                return false;
            }
            known.0 = counter;
            if step < 4 {
                let n = round * 10 + step;
                let (id, bytes) = chunk(n, 3000);
                if store.chunk_put(id, &bytes).is_err() {
                    return false;
                }
                self.chunks.insert(n);
            }
        }
        true
    }

    /// What is lost or was made up, if anything.
    fn verify(&self, disk: &SimDisk) -> Result<(), String> {
        let store = open(disk).map_err(|error| error.to_string())?;
        for n in &self.chunks {
            let (id, bytes) = chunk(*n, 3000);
            if !matches!(store.chunk_get(id, None), Ok(Some(found)) if found == bytes) {
                return Err(format!("chunk {n}"));
            }
        }
        for (name, (acknowledged, tried)) in &self.registers {
            let found = store.register_get(&key(*name)).map_err(|error| error.to_string())?;
            let counter = found.map_or(0, |entry| entry.promised.counter);
            if !(*acknowledged..=*tried).contains(&counter) {
                return Err(format!("register {name}: {counter}, not {acknowledged} to {tried}"));
            }
        }
        Ok(())
    }
}

/// Runs until the power goes in the change after `changes`, and looks what is
/// left; `None` when there were no more changes.
fn cut_after(seed: u64, changes: u64, lying: bool) -> Option<Result<(), String>> {
    let disk = disk(seed);
    disk.lie_about_syncs(lying);
    disk.power_off_after(changes);
    let mut work = Work::default();
    if let Ok(store) = open(&disk) {
        work.go_on(&store, 0);
    }
    if !disk.is_off() {
        return None;
    }
    // And again while it recovers, or soon after.
    let recovered = work.verify(&disk).and_then(|()| {
        disk.power_off_after(changes % 23);
        if let Ok(store) = open(&disk) {
            work.go_on(&store, 1);
        }
        work.verify(&disk)
    });
    Some(recovered)
}

#[test]
fn what_was_acknowledged_survives_a_power_cut_in_any_change() {
    let mut cuts = 0;
    while let Some(recovered) = cut_after(cuts, cuts, false) {
        assert_eq!(recovered, Ok(()), "power cut in change {cuts}");
        cuts += 1;
    }
    assert!(cuts > 100, "{cuts}");
}

#[test]
fn a_disk_that_lies_about_syncs_loses_what_was_acknowledged() {
    let cuts = (50..110).step_by(5);
    let lost = cuts.clone().filter(|changes| matches!(cut_after(1, *changes, true), Some(Err(_)))).count();
    assert!(lost > cuts.count() / 2, "{lost}");
}

#[test]
fn a_killed_process_loses_nothing_even_if_syncs_lied() {
    let disk = disk(5);
    disk.lie_about_syncs(true);
    let mut work = Work::default();
    for round in 0..3 {
        let store = open(&disk).unwrap();
        assert!(work.go_on(&store, round));
        disk.outage(Outage::Process);
        assert!(!disk.is_off());
        assert!(store.register_put(&[entry(0, 99).into()]).is_err(), "its incarnation is over");
        assert!(store.chunk_get(chunk(0, 3000).0, None).is_err());
        drop(store);
        work.verify(&disk).unwrap();
    }
}

#[test]
fn a_mount_ends_the_one_before() {
    let disk = disk(6);
    let old = open(&disk).unwrap();
    let new = open(&disk).unwrap();
    assert!(old.register_put(&[entry(0, 1).into()]).is_err());
    drop(old);
    new.register_put(&[entry(0, 2).into()]).unwrap();
    assert_eq!(new.register_get(&key(0)).unwrap(), Some(entry(0, 2)));
}

#[test]
fn durable_is_what_the_store_acknowledged_and_nothing_before() {
    let disk = disk(7);
    let store = open(&disk).unwrap();
    let (id, bytes) = chunk(1, 5000);
    disk.lie_about_syncs(true);
    store.chunk_put(id, &bytes).unwrap();
    assert_eq!(disk.durable_files("chunks/"), Vec::<String>::new());
    disk.lie_about_syncs(false);
    let (id, bytes) = chunk(2, 5000);
    store.chunk_put(id, &bytes).unwrap();
    let path = format!("chunks/{}/{}", &id.to_string()[..2], &id.to_string()[2..]);
    assert_eq!(disk.durable_files("chunks/").iter().filter(|found| **found == path).count(), 1);
    assert_eq!(disk.read_durable(&path), Some(bytes));
    disk.lie_about_syncs(true);
    store.chunk_delete(id).unwrap();
    assert_eq!(disk.read_durable(&path), None, "it may be gone");
}

/// What a file of ten sectors, all `1`, is after sectors 0 to 7 were
/// overwritten by `2` without a sync, and after a power cut.
fn overwritten(seed: u64) -> Vec<u8> {
    let disk = disk(seed);
    let mount = disk.mount();
    let file = mount.open("x", true).unwrap();
    file.write_at(0, &[1; 5120]).unwrap();
    file.sync().unwrap();
    mount.sync_dir("").unwrap();
    file.write_at(100, &[2; 4000]).unwrap();
    disk.outage(Outage::Power);
    assert!(file.sync().is_err(), "the handle is fenced");
    let file = disk.mount().open("x", false).unwrap();
    let mut bytes = vec![0; file.len().unwrap() as usize];
    file.read_at(0, &mut bytes).unwrap();
    bytes
}

#[test]
fn an_unsynced_write_is_kept_or_lost_or_torn_at_a_sector() {
    let (mut kept, mut lost, mut torn) = (0, 0, 0);
    for seed in 0..200 {
        let bytes = overwritten(seed);
        assert_eq!(bytes.len(), 5120);
        assert_eq!(bytes, overwritten(seed));
        match bytes.iter().filter(|byte| **byte == 2).count() {
            0 => lost += 1,
            4000 => kept += 1,
            part => {
                assert_eq!((100 + part) % 512, 0);
                assert!(bytes[100..100 + part].iter().all(|byte| *byte == 2), "a prefix");
                torn += 1;
            }
        }
    }
    assert!(kept > 40 && lost > 40 && torn > 20, "{kept} {lost} {torn}");
}

#[test]
fn an_unsynced_rename_happened_or_not_and_never_half() {
    let mut outcomes = BTreeMap::new();
    for seed in 0..100 {
        let disk = disk(seed);
        let mount = disk.mount();
        mount.make_dir("d/e").unwrap();
        mount.open("d/a", true).unwrap();
        for dir in ["", "d"] {
            mount.sync_dir(dir).unwrap();
        }
        mount.rename("d/a", "d/e/b").unwrap();
        disk.outage(Outage::Power);
        let mount = disk.mount();
        let names = (mount.list("d").unwrap(), mount.list("d/e").unwrap());
        *outcomes.entry(names).or_insert(0) += 1;
    }
    let names = |names: &[&str]| names.iter().map(|name| name.to_string()).collect::<Vec<_>>();
    let both = [(names(&["a", "e"]), names(&[])), (names(&["e"]), names(&["b"]))];
    assert!(outcomes.keys().eq(&both), "{outcomes:?}");
    assert!(outcomes.values().all(|count| *count > 20), "{outcomes:?}");
}
