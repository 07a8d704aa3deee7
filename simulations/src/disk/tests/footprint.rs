use shoal_ports::Store;
use shoal_store::LocalStore;

use super::{chunk, disk, entry, open};
use crate::disk::{Outage, SimDisk};

fn filled(disk: &SimDisk) -> LocalStore {
    let store = open(disk).unwrap();
    for n in 0..20 {
        store.register_put(&[entry(n, 1).into()]).unwrap();
    }
    for n in 0..5 {
        let (id, bytes) = chunk(n, 4096);
        store.chunk_put(id, &bytes).unwrap();
    }
    store
}

#[test]
fn a_store_is_small_in_memory() {
    let disk = disk(1);
    let _store = filled(&disk);
    let counters = disk.counters();
    assert!(counters.resident_bytes < 100_000, "{counters:?}");
}

/// The order in which the store and its B-tree use the disk must not depend
/// on a hash table's seed or on addresses: then no seed would replay.
#[test]
fn equal_histories_use_the_disk_in_equal_order() {
    let history = |seed| {
        let disk = disk(seed);
        let mut digests = Vec::new();
        for round in 0..4 {
            let store = filled(&disk);
            for n in 0..80 {
                let many: Vec<_> = (0..n % 7 + 1).map(|k| entry(n * k % 91, round * 1000 + n).into()).collect();
                store.register_put(&many).unwrap();
            }
            for n in 0..20 {
                let (id, bytes) = chunk(round * 100 + n, 2000);
                store.chunk_put(id, &bytes).unwrap();
                if n % 3 == 0 {
                    store.chunk_delete(id).unwrap();
                }
            }
            if round % 2 == 0 {
                disk.outage(Outage::Power);
            }
            drop(store);
            digests.push(disk.counters().digest);
        }
        digests
    };
    let digests = history(1);
    assert_eq!(digests, history(1));
    assert_ne!(digests, history(2), "what a power cut leaves is another seed's");
}
