//! How many copies there are to be of a chunk is remembered with it.

use std::path::Path;

use shoal_ports::Store;
use shoal_types::{ChunkId, Copies, HashedChunk};

use super::config;
use crate::{LocalDisk, LocalStore};

fn open(dir: &Path) -> LocalStore {
    LocalStore::open(std::sync::Arc::new(LocalDisk::open(dir).unwrap()), config()).unwrap()
}

fn chunk(n: u8) -> HashedChunk {
    HashedChunk::of(vec![n; 1_000].into())
}

fn copies(store: &LocalStore, chunk: &HashedChunk) -> Option<u8> {
    store.chunk_copies(chunk.id()).unwrap().unwrap().number()
}

/// Files of chunks.
fn files(dir: &Path) -> usize {
    let shards = std::fs::read_dir(dir.join("chunks")).unwrap();
    shards.map(|shard| std::fs::read_dir(shard.unwrap().path()).unwrap().count()).sum()
}

#[test]
fn the_number_is_only_raised_and_outlives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let [one, five, plain] = [1, 2, 3].map(chunk);
    {
        let store = open(dir.path());
        store.chunk_keep(&one, Copies::from(1)).unwrap();
        store.chunk_keep(&five, Copies::from(1)).unwrap();
        store.chunk_keep(&five, Copies::from(5)).unwrap();
        store.chunk_keep(&five, Copies::from(2)).unwrap();
        store.chunk_put(plain.id(), plain.bytes()).unwrap();
        assert!(store.chunk_want(plain.id(), Copies::from(2)).unwrap());
        assert!(!store.chunk_want(ChunkId::of(b"nothing"), Copies::from(2)).unwrap());
        assert_eq!(store.chunk_copies(ChunkId::of(b"nothing")).unwrap(), None);
    }
    let store = open(dir.path());
    assert_eq!((copies(&store, &one), copies(&store, &five), copies(&store, &plain)), (Some(1), Some(5), None));
    assert_eq!(files(dir.path()), 3);
    // As everywhere is three here, and more than one.
    assert!(store.chunk_want(one.id(), Copies::DEFAULT).unwrap());
    assert_eq!(copies(&store, &one), None);
    for chunk in [&one, &five, &plain] {
        assert_eq!(&store.chunk_get(chunk.id(), None).unwrap().unwrap(), chunk.bytes());
        store.chunk_delete(chunk.id()).unwrap();
    }
    assert_eq!((files(dir.path()), store.usage().unwrap().chunks), (0, 0));
}

#[test]
fn what_is_more_depends_on_how_many_copies_the_mesh_has() {
    let dir = tempfile::tempdir().unwrap();
    let (chunk, store) = (chunk(1), open(dir.path()));
    store.chunk_copies_usual(1);
    store.chunk_keep(&chunk, Copies::from(2)).unwrap();
    assert!(store.chunk_want(chunk.id(), Copies::DEFAULT).unwrap());
    assert_eq!(copies(&store, &chunk), Some(2));
    store.chunk_copies_usual(5);
    assert!(store.chunk_want(chunk.id(), Copies::DEFAULT).unwrap());
    assert_eq!(copies(&store, &chunk), None);
    store.chunk_keep(&chunk, Copies::from(4)).unwrap();
    assert_eq!(copies(&store, &chunk), None);
}

#[test]
fn of_two_names_of_one_chunk_the_one_that_wants_more_stays() {
    let dir = tempfile::tempdir().unwrap();
    let chunk = chunk(1);
    open(dir.path()).chunk_keep(&chunk, Copies::from(2)).unwrap();
    let text = chunk.id().to_string();
    let shard = dir.path().join("chunks").join(&text[..2]);
    let name = |copies: &str| shard.join(format!("{}{copies}", &text[2..]));
    for other in ["", ".r1", ".r7"] {
        std::fs::copy(name(".r2"), name(other)).unwrap();
    }
    let store = open(dir.path());
    assert_eq!((copies(&store, &chunk), files(dir.path()), store.usage().unwrap().chunks), (Some(7), 1, 1));
}

#[test]
fn a_copy_that_rots_is_set_aside_whatever_number_it_has() {
    let dir = tempfile::tempdir().unwrap();
    let (chunk, store) = (chunk(1), open(dir.path()));
    store.chunk_keep(&chunk, Copies::from(1)).unwrap();
    let text = chunk.id().to_string();
    let file = dir.path().join("chunks").join(&text[..2]).join(format!("{}.r1", &text[2..]));
    std::fs::write(&file, b"rot").unwrap();
    assert_eq!(store.chunk_get(chunk.id(), None).unwrap(), None);
    assert!(!file.exists());
    store.chunk_keep(&chunk, Copies::from(1)).unwrap();
    assert_eq!(copies(&store, &chunk), Some(1));
}

#[test]
fn what_takes_the_place_of_a_copy_that_rotted_is_as_wanted_as_that_was() {
    let dir = tempfile::tempdir().unwrap();
    let (chunk, store) = (chunk(1), open(dir.path()));
    let text = chunk.id().to_string();
    let rot = || std::fs::write(dir.path().join("chunks").join(&text[..2]).join(format!("{}.r5", &text[2..])), b"rot");
    store.chunk_keep(&chunk, Copies::from(5)).unwrap();
    rot().unwrap();
    // It is found by whoever puts the chunk again, or by a read before that.
    store.chunk_keep(&chunk, Copies::from(1)).unwrap();
    assert_eq!(copies(&store, &chunk), Some(5));
    rot().unwrap();
    assert_eq!(store.chunk_get(chunk.id(), None).unwrap(), None);
    store.chunk_keep(&chunk, Copies::from(1)).unwrap();
    assert_eq!(copies(&store, &chunk), Some(5));
    store.chunk_delete(chunk.id()).unwrap();
    store.chunk_keep(&chunk, Copies::from(1)).unwrap();
    assert_eq!(copies(&store, &chunk), Some(1), "it begins anew");
}

#[test]
fn many_threads_may_want_one_chunk_more_and_more_often() {
    let dir = tempfile::tempdir().unwrap();
    let (chunk, store) = (chunk(1), open(dir.path()));
    std::thread::scope(|scope| {
        for thread in 0..6u8 {
            let (store, chunk) = (&store, &chunk);
            scope.spawn(move || {
                for n in 0..20 {
                    store.chunk_keep(chunk, Copies::from(1 + (thread + n) % 5)).unwrap();
                    assert_eq!(&store.chunk_get(chunk.id(), None).unwrap().unwrap(), chunk.bytes());
                }
            });
        }
    });
    assert_eq!((copies(&store, &chunk), files(dir.path())), (Some(5), 1));
    assert_eq!(store.usage().unwrap().bad_copies, 0);
}
