//! The registers' logs: what is in them only, what is torn off, what has rotted.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use shoal_ports::{RegisterPut, Store};
use shoal_types::{Ballot, Error, RegisterEntry, RegisterKey, RegisterKind, RegisterPlace, RegisterSpan, wire};

use super::{config, entry};
use crate::{LocalDisk, LocalStore, StoreConfig};

const LOG: &str = "registers.0.log";

fn open_with(dir: &Path, register_log_bytes: u64) -> shoal_types::Result<LocalStore> {
    let config = StoreConfig { register_log_bytes, ..config() };
    LocalStore::open(Arc::new(LocalDisk::open(dir).unwrap()), config)
}

fn key(name: &str) -> RegisterKey {
    RegisterKey::Object(name.parse().unwrap())
}

/// The counters of what is found under `b/`.
fn counters(store: &LocalStore, limit: usize) -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    let mut after: Option<RegisterPlace> = None;
    loop {
        let span = RegisterSpan::under(RegisterKind::Object, "b/");
        let page = store.register_scan(&span, after.as_ref(), limit).unwrap();
        let Some(last) = page.last() else { return all };
        after = last.key.place();
        for entry in page {
            assert!(all.insert(entry.key.to_string(), entry.accepted.counter).is_none(), "met twice");
        }
    }
}

/// A store with three records in its log, and the log's file.
fn three(dir: &Path) -> Vec<u8> {
    let store = open_with(dir, 1 << 20).unwrap();
    for n in 1..4 {
        store.register_put(&[entry(&format!("b/{n}"), n).into()]).unwrap();
    }
    std::fs::read(dir.join(LOG)).unwrap()
}

#[test]
fn what_is_in_the_log_only_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    three(dir.path());
    for _ in 0..3 {
        let store = open_with(dir.path(), 1 << 20).unwrap();
        assert_eq!(counters(&store, 10).into_values().collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(store.register_get(&key("b/2")).unwrap(), Some(entry("b/2", 2)));
    }
}

#[test]
fn an_end_that_was_torn_off_was_not_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let whole = three(dir.path());
    for lost in [1, 20, 60] {
        let torn = &whole[..whole.len() - lost];
        std::fs::write(dir.path().join(LOG), torn).unwrap();
        let copy = tempfile::tempdir().unwrap();
        for file in ["registers.redb", LOG] {
            std::fs::copy(dir.path().join(file), copy.path().join(file)).unwrap();
        }
        let store = open_with(copy.path(), 1 << 20).unwrap();
        assert_eq!(counters(&store, 10).into_values().collect::<Vec<_>>(), [1, 2]);
        store.register_put(&[entry("b/3", 33).into()]).unwrap();
        drop(store);
        let store = open_with(copy.path(), 1 << 20).unwrap();
        assert_eq!(counters(&store, 10).into_values().collect::<Vec<_>>(), [1, 2, 33]);
    }
}

#[test]
fn a_record_that_has_rotted_is_damage_and_nothing_is_lost_silently() {
    let dir = tempfile::tempdir().unwrap();
    let whole = three(dir.path());
    // Behind the headers: in the first record, and where the second begins.
    for at in [8192 + 30, 8192 + 3] {
        let mut rotten = whole.clone();
        rotten[at] ^= 4;
        std::fs::write(dir.path().join(LOG), &rotten).unwrap();
        let Err(Error::Invalid { what, .. }) = open_with(dir.path(), 1 << 20) else { panic!("it opened") };
        assert!(what.contains("damaged") && what.contains("others follow it"), "{what}");
        assert_eq!(std::fs::read(dir.path().join(LOG)).unwrap(), rotten, "it is left as it was");
    }
    // One header of two may rot.
    let mut rotten = whole.clone();
    rotten[20] ^= 1;
    std::fs::write(dir.path().join(LOG), &rotten).unwrap();
    assert_eq!(counters(&open_with(dir.path(), 1 << 20).unwrap(), 10).len(), 3);
}

/// The files of a store as a kill at this moment leaves them.
fn killed(dir: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for file in ["registers.redb", LOG, "registers.1.log"] {
        std::fs::copy(dir.join(file), copy.path().join(file)).unwrap();
    }
    copy
}

#[test]
fn a_database_without_what_its_logs_go_on_from_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    three(dir.path());
    // The log of those three was taken over, and its file is another's now.
    let store = open_with(dir.path(), 1 << 20).unwrap();
    store.register_put(&[entry("b/4", 4).into()]).unwrap();
    let whole = killed(dir.path());
    assert_eq!(counters(&open_with(whole.path(), 1 << 20).unwrap(), 10).len(), 4);

    let damage = |dir: &Path| match open_with(dir, 1 << 20) {
        Err(Error::Invalid { what, .. }) if what.contains("damaged") => what,
        other => panic!("{:?}", other.map(|store| counters(&store, 10))),
    };
    let lost = killed(dir.path());
    std::fs::remove_file(lost.path().join("registers.redb")).unwrap();
    assert!(damage(lost.path()).contains("it ends with log 0"));

    // Bits that rot in what was taken over last, wherever they are.
    let pages = std::fs::read(dir.path().join("registers.redb")).unwrap();
    let value = b"b/2 2";
    let found: Vec<usize> = (0..pages.len() - value.len()).filter(|at| pages[*at..].starts_with(value)).collect();
    assert!(!found.is_empty());
    let rotten = killed(dir.path());
    let mut flipped = pages.clone();
    found.iter().for_each(|at| flipped[*at] ^= 1);
    std::fs::write(rotten.path().join("registers.redb"), flipped).unwrap();
    damage(rotten.path());
}

#[test]
fn what_was_in_the_file_of_a_log_is_no_part_of_the_next() {
    let dir = tempfile::tempdir().unwrap();
    // Names and values that are as long as their like in every generation:
    // old records lie exactly where new ones will.
    for round in 1..6 {
        let store = open_with(dir.path(), 1 << 20).unwrap();
        for n in 0..(8 - round) {
            store.register_put(&[entry(&format!("b/{n}"), round * 10).into()]).unwrap();
        }
    }
    let found: Vec<u64> = counters(&open_with(dir.path(), 1 << 20).unwrap(), 10).into_values().collect();
    assert_eq!(found, [50, 50, 50, 40, 30, 20, 10]);
}

#[test]
fn a_promise_is_kept_without_the_value() {
    let dir = tempfile::tempdir().unwrap();
    let value = vec![7; 100_000];
    let accepted = RegisterEntry { value: Some(value.clone().into()), ..entry("b/x", 1) };
    let promised = |counter| Ballot { counter, ..accepted.promised };
    let promise = |counter| RegisterPut {
        entry: RegisterEntry { promised: promised(counter), ..accepted.clone() },
        accepts: false,
    };
    {
        let store = open_with(dir.path(), 1 << 20).unwrap();
        store.register_put(&[accepted.clone().into()]).unwrap();
        let before = std::fs::metadata(dir.path().join(LOG)).unwrap().len();
        for counter in 2..12 {
            store.register_put(&[promise(counter)]).unwrap();
        }
        assert!(std::fs::metadata(dir.path().join(LOG)).unwrap().len() < before + 2_000);
        let nothing = RegisterEntry { value: None, accepted: Ballot::ZERO, ..entry("b/new", 9) };
        store.register_put(&[RegisterPut { entry: nothing.clone(), accepts: false }]).unwrap();
        assert_eq!(store.register_get(&key("b/new")).unwrap(), Some(nothing));
    }
    let store = open_with(dir.path(), 1 << 20).unwrap();
    assert_eq!(store.register_get(&key("b/x")).unwrap().unwrap(), promise(11).entry);
    assert_eq!(counters(&store, 10).len(), 1, "who has only promised holds nothing");
    // What is accepted later is promised too.
    let later = RegisterEntry { promised: promised(12), accepted: promised(12), ..accepted };
    store.register_put(&[later.clone().into()]).unwrap();
    assert_eq!(store.register_get(&key("b/x")).unwrap().unwrap(), later);
}

#[test]
fn registers_are_the_same_whatever_has_been_settled() {
    let dir = tempfile::tempdir().unwrap();
    let mut wanted = BTreeMap::new();
    let mut store = open_with(dir.path(), 600).unwrap();
    let mut random = 1u64;
    for counter in 1..600u64 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let name = format!("b/{:03}", (random >> 33) % 60);
        store.register_put(&[entry(&name, counter).into()]).unwrap();
        wanted.insert(name, counter);
        match random >> 60 {
            0..3 => store.register_settle().unwrap(),
            3 => {
                drop(store);
                store = open_with(dir.path(), 600).unwrap();
            }
            _ => {}
        }
        if counter % 7 == 0 {
            assert_eq!(counters(&store, 1 + (random >> 40) as usize % 20), wanted);
        }
    }
    let logs = |name| std::fs::metadata(dir.path().join(name)).unwrap().len();
    assert!(logs(LOG).max(logs("registers.1.log")) < 8192 + 6 * 600, "logs are settled and used again");
}

#[test]
fn others_write_and_read_while_a_log_is_settled() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_with(dir.path(), 2_000).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            let store = &store;
            scope.spawn(move || {
                for n in 0..100 {
                    let name = format!("b/{thread}/{n}");
                    store.register_put(&[entry(&name, n + 1).into()]).unwrap();
                    assert_eq!(store.register_get(&key(&name)).unwrap(), Some(entry(&name, n + 1)));
                }
            });
        }
        let store = &store;
        scope.spawn(move || {
            for _ in 0..50 {
                store.register_settle().unwrap();
                store.register_scan(&RegisterSpan::under(RegisterKind::Object, "b/"), None, 50).unwrap();
            }
        });
    });
    assert_eq!(counters(&store, 33).len(), 400);
}

#[test]
fn registers_of_the_format_before_are_read_and_become_this_one() {
    let dir = tempfile::tempdir().unwrap();
    let accepted = entry("b/old", 3);
    {
        let redb = redb::Database::create(dir.path().join("registers.redb")).unwrap();
        let commit = redb.begin_write().unwrap();
        let (meta, rows) = (redb::TableDefinition::<&str, u32>::new("meta"), "registers");
        commit.open_table(meta).unwrap().insert("format", 1).unwrap();
        let rows = redb::TableDefinition::<&[u8], &[u8]>::new(rows);
        let row = [&[1][..], b"b/old"].concat();
        commit.open_table(rows).unwrap().insert(&row[..], &wire::encode(&accepted).unwrap()[..]).unwrap();
        commit.open_table(redb::TableDefinition::<&[u8], &[u8]>::new("notes")).unwrap();
        commit.commit().unwrap();
    }
    for _ in 0..2 {
        let store = open_with(dir.path(), 1 << 20).unwrap();
        assert_eq!(store.register_get(&key("b/old")).unwrap(), Some(accepted.clone()));
        store.register_put(&[entry("b/new", 1).into()]).unwrap();
        assert_eq!(counters(&store, 10).len(), 2);
    }
}

/// Whoever may store objects chooses bytes of records. What is left of an
/// earlier log behind the end could look like the heads of long records, one in
/// the other, and each was hashed to its end: hours for a log of 16 MiB.
#[test]
fn what_looks_like_many_long_records_does_not_keep_a_peer_from_starting() {
    let dir = tempfile::tempdir().unwrap();
    let mut file = three(dir.path());
    // Both a length and a sequence number.
    file.extend((512u32 << 10).to_le_bytes().repeat(2 << 20));
    std::fs::write(dir.path().join(LOG), file).unwrap();
    let store = open_with(dir.path(), 1 << 20).unwrap();
    assert_eq!(counters(&store, 10).into_values().collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn what_is_forgotten_is_gone_with_a_horizon_that_only_rises() {
    let dir = tempfile::tempdir().unwrap();
    let ballot = |counter| entry("b/x", counter).promised;
    {
        let store = open_with(dir.path(), 600).unwrap();
        assert_eq!(store.register_horizon().unwrap(), Ballot::ZERO);
        for n in 1..40 {
            store.register_put(&[entry(&format!("b/{n:02}"), n).into()]).unwrap();
            if n % 9 == 0 {
                store.register_settle().unwrap();
            }
        }
        // Some of them are in the database by now, and some in a log.
        let some: Vec<RegisterKey> = (1..38).map(|n| key(&format!("b/{n:02}"))).collect();
        store.register_forget(&some[..20], ballot(37)).unwrap();
        store.register_forget(&some[20..], ballot(5)).unwrap();
        assert_eq!(counters(&store, 7).into_values().collect::<Vec<_>>(), [38, 39]);
        assert_eq!(store.register_horizon().unwrap(), ballot(37));
        store.register_put(&[entry("b/07", 41).into()]).unwrap();
    }
    for _ in 0..3 {
        let store = open_with(dir.path(), 600).unwrap();
        assert_eq!(counters(&store, 7).into_values().collect::<Vec<_>>(), [41, 38, 39]);
        assert_eq!(store.register_get(&key("b/09")).unwrap(), None);
        assert_eq!(store.register_horizon().unwrap(), ballot(37));
        store.register_settle().unwrap();
    }
    let store = open_with(dir.path(), 600).unwrap();
    let promise = RegisterPut { entry: entry("b/promised", 50), accepts: false };
    let decided = RegisterKey::Layout(shoal_types::MeshId::from_bytes([0xff; 16]), u64::MAX);
    let layout = RegisterEntry { key: decided.clone(), ..entry("b/x", 60) };
    store.register_put(&[promise, layout.clone().into()]).unwrap();
    store.register_clear().unwrap();
    drop(store);
    let store = open_with(dir.path(), 600).unwrap();
    assert_eq!((counters(&store, 7).len(), store.register_horizon().unwrap()), (0, Ballot::ZERO));
    assert_eq!(store.register_get(&key("b/promised")).unwrap(), None);
    assert_eq!(store.register_get(&decided).unwrap(), Some(layout));
}
