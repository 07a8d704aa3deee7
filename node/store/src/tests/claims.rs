use std::path::Path;
use std::sync::Arc;

use shoal_ports::Store;
use shoal_types::{Error, MeshId, RegisterKey, RegisterKind, RegisterPlace, RegisterSpan};

use super::{chunk, config, entry};
use crate::{LocalDisk, LocalStore, StoreConfig};

fn open(dir: &Path) -> LocalStore {
    open_with(dir, config())
}

fn open_with(dir: &Path, config: StoreConfig) -> LocalStore {
    LocalStore::open(Arc::new(LocalDisk::open(dir).unwrap()), config).unwrap()
}

fn file_of(dir: &Path, n: u64) -> std::path::PathBuf {
    let name = chunk(n).0.to_string();
    dir.join("chunks").join(&name[..2]).join(&name[2..])
}

#[test]
fn everything_survives_a_reopen() {
    let dir = tempfile::tempdir().unwrap();
    let (id, bytes) = chunk(1);
    let layout = RegisterKey::Layout(MeshId::from_bytes([1; 16]), 3);
    let mut of_layout = entry("b/layout", 4);
    of_layout.key = layout.clone();
    {
        let store = open(dir.path());
        store.chunk_put(id, &bytes).unwrap();
        store.register_put(&[entry("b/x", 1).into(), of_layout.clone().into()]).unwrap();
        store.register_put(&[entry("b/x", 2).into()]).unwrap();
        store.note_put("addresses", b"a:1").unwrap();
    }
    let store = open(dir.path());
    assert_eq!(store.chunk_get(id, None).unwrap().unwrap(), bytes);
    assert_eq!(store.chunk_len(id).unwrap(), Some(bytes.len() as u32));
    assert_eq!(store.register_get(&RegisterKey::Object("b/x".parse().unwrap())).unwrap(), Some(entry("b/x", 2)));
    assert_eq!(store.register_get(&layout).unwrap(), Some(of_layout));
    assert_eq!(store.register_get(&RegisterKey::Object("b/y".parse().unwrap())).unwrap(), None);
    assert_eq!(store.note_get("addresses").unwrap().unwrap(), &b"a:1"[..]);
    let usage = store.usage().unwrap();
    assert_eq!((usage.chunks, usage.chunk_bytes), (1, bytes.len() as u64));
    assert!(usage.free_bytes > 0);
}

#[test]
fn a_chunk_that_is_deleted_is_gone_and_may_come_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (id, bytes) = chunk(1);
    for _ in 0..2 {
        store.chunk_put(id, &bytes).unwrap();
        store.chunk_put(id, &bytes).unwrap();
        assert_eq!(store.usage().unwrap().chunks, 1);
        assert!(store.chunk_get(id, Some((0, 1))).unwrap().is_some());
        store.chunk_delete(id).unwrap();
        store.chunk_delete(id).unwrap();
        assert_eq!(store.chunk_get(id, Some((0, 1))).unwrap(), None, "the cache forgot it too");
        assert_eq!(store.usage().unwrap().chunk_bytes, 0);
    }
}

#[test]
fn a_range_is_start_and_end_cut_to_the_chunk() {
    let dir = tempfile::tempdir().unwrap();
    let (id, bytes) = chunk(5);
    let len = bytes.len() as u32;
    for cache_bytes in [0, 1 << 20] {
        let store = open_with(dir.path(), StoreConfig { cache_bytes, ..config() });
        store.chunk_put(id, &bytes).unwrap();
        for (start, end) in [(0, 10), (10, 20), (0, len), (5, u32::MAX), (len, len + 1), (9, 3), (len + 9, len + 5)] {
            let wanted = bytes.get(start as usize..end.min(len) as usize).unwrap_or_default();
            assert_eq!(store.chunk_get(id, Some((start, end))).unwrap().unwrap(), wanted, "{start}..{end}");
        }
    }
}

#[test]
fn bytes_that_are_not_the_chunk_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let result = store.chunk_put(chunk(1).0, &chunk(2).1);
    assert!(matches!(result, Err(Error::BadFrame { .. })), "{result:?}");
    assert_eq!(store.chunk_len(chunk(1).0).unwrap(), None);
}

#[test]
fn a_corrupt_copy_is_set_aside_and_counts_as_absent_until_it_is_put_again() {
    let dir = tempfile::tempdir().unwrap();
    for (n, range) in [(1, None), (2, Some((0, 4)))] {
        let store = open(dir.path());
        let (id, bytes) = chunk(n);
        store.chunk_put(id, &bytes).unwrap();
        let mut rotten = bytes.clone();
        rotten[500] ^= 1;
        std::fs::write(file_of(dir.path(), n), &rotten).unwrap();
        assert_eq!(store.chunk_get(id, range).unwrap(), None, "bytes that were not verified are not handed out");
        assert_eq!(store.chunk_len(id).unwrap(), None);
        let kept = dir.path().join("quarantine").join(format!("{id}.{}", n - 1));
        assert_eq!(std::fs::read(kept).unwrap(), rotten);
        store.chunk_put(id, &bytes).unwrap();
        assert_eq!(store.chunk_get(id, None).unwrap().unwrap(), bytes);
    }
}

#[test]
fn a_copy_cut_short_or_gone_is_absent() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for n in [1, 2] {
        store.chunk_put(chunk(n).0, &chunk(n).1).unwrap();
    }
    std::fs::write(file_of(dir.path(), 1), &chunk(1).1[..100]).unwrap();
    std::fs::remove_file(file_of(dir.path(), 2)).unwrap();
    for n in [1, 2] {
        assert_eq!(store.chunk_get(chunk(n).0, None).unwrap(), None);
    }
    assert_eq!(store.usage().unwrap().chunks, 0);
}

#[test]
fn a_directory_in_the_place_of_a_copy_is_set_aside_and_each_bad_copy_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (id, bytes) = chunk(1);
    store.chunk_put(id, &bytes).unwrap();
    std::fs::remove_file(file_of(dir.path(), 1)).unwrap();
    std::fs::create_dir(file_of(dir.path(), 1)).unwrap();
    // Nor does it keep a peer from starting.
    drop(store);
    let store = open(dir.path());
    assert_eq!(store.chunk_get(id, None).unwrap(), None);
    assert_eq!(store.usage().unwrap().bad_copies, 1);
    assert_eq!(store.chunk_get(id, None).unwrap(), None);
    assert!(store.chunk_is_set_aside(id).unwrap());
    store.chunk_delete(id).unwrap();
    assert!(!store.chunk_is_set_aside(id).unwrap(), "now it is not here for another reason");
    assert_eq!(store.usage().unwrap().bad_copies, 1, "what is not here is not bad");
    store.chunk_put(id, &bytes).unwrap();
    assert_eq!(store.chunk_get(id, None).unwrap().unwrap(), bytes);
}

#[test]
fn the_quarantine_does_not_grow_without_end() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (id, bytes) = chunk(1);
    for _ in 0..70 {
        store.chunk_put(id, &bytes).unwrap();
        std::fs::write(file_of(dir.path(), 1), b"rot").unwrap();
        assert!(!store.chunk_is_set_aside(id).unwrap());
        assert_eq!(store.chunk_get(id, None).unwrap(), None);
        assert!(store.chunk_is_set_aside(id).unwrap());
    }
    assert_eq!(std::fs::read_dir(dir.path().join("quarantine")).unwrap().count(), 64);
}

#[test]
fn what_an_interrupted_write_left_is_removed_and_strangers_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (id, bytes) = chunk(1);
    open(dir.path()).chunk_put(id, &bytes).unwrap();
    std::fs::write(dir.path().join("tmp/0"), &bytes[..10]).unwrap();
    let stranger = dir.path().join("chunks").join(&id.to_string()[..2]).join("notes.txt");
    std::fs::write(&stranger, "mine").unwrap();
    std::fs::write(dir.path().join("chunks/.DS_Store"), "somebody looked").unwrap();
    let store = open(dir.path());
    assert_eq!(std::fs::read_dir(dir.path().join("tmp")).unwrap().count(), 0);
    assert!(stranger.exists());
    assert_eq!(store.chunk_list(None, 10).unwrap(), [id]);
}

#[test]
fn chunks_are_listed_in_the_order_of_their_ids_page_by_page() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for n in 0..20 {
        store.chunk_put(chunk(n).0, &chunk(n).1).unwrap();
    }
    let mut wanted: Vec<_> = (0..20).map(|n| chunk(n).0).collect();
    wanted.sort();
    let mut found = Vec::new();
    loop {
        let page = store.chunk_list(found.last().copied(), 7).unwrap();
        if page.is_empty() {
            break;
        }
        found.extend(page);
    }
    assert_eq!(found, wanted);
}

#[test]
fn registers_are_scanned_in_byte_order_within_the_prefix_page_by_page() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let names = ["a/z", "b/!", "b/10", "b/9", "b/a", "b/a/b", "b/é", "b0/x", "c/x"];
    let mut layout = entry("b/layout", 1);
    layout.key = RegisterKey::Layout(MeshId::from_bytes([255; 16]), 1);
    let mut entries: Vec<_> = names.iter().rev().map(|name| entry(name, 1).into()).collect();
    entries.push(layout.into());
    store.register_put(&entries).unwrap();
    let scan = |prefix: &str, after: Option<&str>, limit: usize| -> Vec<String> {
        let (span, after) = (RegisterSpan::under(RegisterKind::Object, prefix), after.map(RegisterPlace::of_name));
        let found = store.register_scan(&span, after.as_ref(), limit).unwrap();
        found.iter().map(|entry| entry.key.to_string()).collect()
    };
    assert_eq!(scan("", None, 100), names);
    assert_eq!(scan("b/", None, 100), &names[1..7]);
    assert_eq!(scan("b/", None, 2), ["b/!", "b/10"]);
    assert_eq!(scan("b/", Some("b/10"), 2), ["b/9", "b/a"]);
    assert_eq!(scan("b/", Some("b/95"), 1), ["b/a"], "what comes after need not be there");
    assert_eq!(scan("b/", Some("a"), 1), ["b/!"], "nor within the prefix");
    assert_eq!(scan("b/", Some("c"), 1), Vec::<String>::new());
    assert_eq!(scan("d", None, 1), Vec::<String>::new());
}

#[test]
fn the_last_of_several_entries_for_one_key_holds() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.register_put(&[entry("b/x", 1).into(), entry("b/x", 2).into()]).unwrap();
    assert_eq!(store.register_get(&RegisterKey::Object("b/x".parse().unwrap())).unwrap(), Some(entry("b/x", 2)));
    store.register_put(&[]).unwrap();
}

#[test]
fn many_threads_may_put_the_same_and_different_things() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    std::thread::scope(|scope| {
        for thread in 0..8u64 {
            let store = &store;
            scope.spawn(move || {
                for n in 0..12 {
                    let (id, bytes) = chunk(n);
                    store.chunk_put(id, &bytes).unwrap();
                    assert_eq!(store.chunk_get(id, Some((1, 3))).unwrap().unwrap(), bytes[1..3]);
                    store.register_put(&[entry(&format!("b/{thread}/{n}"), n).into()]).unwrap();
                    let key = RegisterKey::Object(format!("b/{thread}/{n}").parse().unwrap());
                    assert_eq!(store.register_get(&key).unwrap(), Some(entry(&format!("b/{thread}/{n}"), n)));
                }
            });
        }
    });
    assert_eq!(store.usage().unwrap().chunks, 12);
    assert_eq!(store.register_scan(&RegisterSpan::under(RegisterKind::Object, "b/"), None, 1000).unwrap().len(), 96);
}

#[test]
fn a_second_user_of_the_directory_is_told_who_has_it() {
    let dir = tempfile::tempdir().unwrap();
    let first = LocalDisk::open(dir.path()).unwrap();
    let Err(Error::Invalid { what, hint }) = LocalDisk::open(dir.path()) else { panic!("it was let in") };
    assert!(what.contains(&format!("process {}", std::process::id())), "{what}");
    assert!(what.contains(&dir.path().display().to_string()), "{what}");
    assert!(!hint.is_empty());
    drop(first);
    LocalDisk::open(dir.path()).unwrap();
}

#[test]
fn the_directory_is_closed_to_others_unless_it_was_somebodys() {
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let dir = tempfile::tempdir().unwrap();
    let ours = dir.path().join("deep/data");
    drop(open(&ours));
    assert_eq!(mode(&ours), 0o700);
    assert_eq!(mode(&ours.join("registers.redb")), 0o600);
    let home = dir.path().join("home");
    std::fs::create_dir(&home).unwrap();
    std::fs::write(home.join("letter"), "").unwrap();
    let before = mode(&home);
    drop(open(&home));
    assert_eq!(mode(&home), before);
    assert_eq!(mode(&home.join("chunks")), 0o700);
}

#[test]
fn a_path_that_leads_out_of_the_directory_is_refused() {
    use shoal_ports::Disk;
    let dir = tempfile::tempdir().unwrap();
    let disk = LocalDisk::open(dir.path()).unwrap();
    for path in ["../x", "/etc/passwd", "a/../../x"] {
        assert!(disk.open(path, false).is_err(), "{path}");
    }
}

#[test]
fn damaged_registers_are_an_error_and_stay_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    {
        let store = open(dir.path());
        for n in 0..200 {
            store.register_put(&[entry(&format!("b/{n}"), n).into()]).unwrap();
        }
    }
    let file = dir.path().join("registers.redb");
    let whole = std::fs::read(&file).unwrap();
    let mut rotten = whole.clone();
    for byte in rotten.iter_mut().skip(4096) {
        *byte ^= 0x55;
    }
    for (name, bytes) in [("empty", Vec::new()), ("text", b"not a database".repeat(500)), ("rotten", rotten)] {
        std::fs::write(&file, &bytes).unwrap();
        let result = LocalStore::open(Arc::new(LocalDisk::open(dir.path()).unwrap()), config()).err();
        let Some(Error::Invalid { what, hint }) = result else { panic!("{name}: {result:?}") };
        assert!(what.contains("registers.redb") && what.contains("damaged"), "{name}: {what}");
        assert!(!hint.is_empty());
        assert_eq!(std::fs::read(&file).unwrap().len(), bytes.len(), "{name}");
    }
    std::fs::write(&file, &whole).unwrap();
    assert_eq!(
        open(dir.path()).register_scan(&RegisterSpan::under(RegisterKind::Object, "b/"), None, 1000).unwrap().len(),
        200
    );
}

#[test]
fn registers_of_another_format_version_are_not_touched() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    let file = dir.path().join("registers.redb");
    {
        let redb = redb::Database::open(&file).unwrap();
        let commit = redb.begin_write().unwrap();
        let meta = redb::TableDefinition::<&str, u32>::new("meta");
        commit.open_table(meta).unwrap().insert("format", 4).unwrap();
        commit.commit().unwrap();
    }
    let result = LocalStore::open(Arc::new(LocalDisk::open(dir.path()).unwrap()), config()).err();
    let Some(Error::Invalid { what, .. }) = result else { panic!("{result:?}") };
    assert!(what.contains("format 4"), "{what}");
}
