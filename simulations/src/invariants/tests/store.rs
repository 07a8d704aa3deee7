//! What a store shows that does not keep its word.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use shoal_ports::{RegisterPut, Store, StoreUsage};
use shoal_types::{
    Ballot, ChunkId, Copies, DiskState, HashedChunk, Layout, Member, MeshId, PeerId, RegisterEntry, RegisterKey,
    RegisterPlace, RegisterSpan, Result, wire,
};

use super::{broken, world};
use crate::host::HostId;
use crate::ports::WitnessedStore;
use crate::world::World;

/// Gives back what it is told to, whatever was put.
struct Liar {
    horizon: Mutex<Ballot>,
    chunk: Mutex<Option<Bytes>>,
    register: Mutex<Option<RegisterEntry>>,
}

impl Store for Liar {
    fn chunk_put(&self, _: ChunkId, _: &[u8]) -> Result<()> {
        Ok(())
    }
    fn chunk_keep(&self, chunk: &HashedChunk, _: Copies) -> Result<()> {
        self.chunk_put(chunk.id(), chunk.bytes())
    }

    fn chunk_want(&self, id: ChunkId, _: Copies) -> Result<bool> {
        Ok(self.chunk_len(id)?.is_some())
    }

    fn chunk_copies(&self, id: ChunkId) -> Result<Option<Copies>> {
        Ok(self.chunk_len(id)?.map(|_| Copies::DEFAULT))
    }

    fn chunk_len(&self, _: ChunkId) -> Result<Option<u32>> {
        Ok(None)
    }
    fn chunk_get(&self, _: ChunkId, _: Option<(u32, u32)>) -> Result<Option<Bytes>> {
        Ok(self.chunk.lock().unwrap().clone())
    }
    fn chunk_delete(&self, _: ChunkId) -> Result<()> {
        Ok(())
    }
    fn chunk_list(&self, _: Option<ChunkId>, _: usize) -> Result<Vec<ChunkId>> {
        Ok(Vec::new())
    }
    fn register_get(&self, _: &RegisterKey) -> Result<Option<RegisterEntry>> {
        Ok(self.register.lock().unwrap().clone())
    }
    fn register_put(&self, _: &[RegisterPut]) -> Result<()> {
        Ok(())
    }
    fn register_forget(&self, _: &[RegisterKey], _: Ballot) -> Result<()> {
        Ok(())
    }
    fn register_horizon(&self) -> Result<Ballot> {
        Ok(*self.horizon.lock().unwrap())
    }
    fn register_clear(&self) -> Result<()> {
        Ok(())
    }
    fn register_scan(&self, _: &RegisterSpan, _: Option<&RegisterPlace>, _: usize) -> Result<Vec<RegisterEntry>> {
        Ok(Vec::new())
    }
    fn note_get(&self, _: &str) -> Result<Option<Bytes>> {
        Ok(None)
    }
    fn note_put(&self, _: &str, _: &[u8]) -> Result<()> {
        Ok(())
    }
    fn usage(&self) -> Result<StoreUsage> {
        Ok(StoreUsage::default())
    }
    fn disk(&self) -> DiskState {
        DiskState::Fine
    }
}

fn witnessed(world: &World) -> (Arc<Liar>, WitnessedStore) {
    let liar =
        Arc::new(Liar { horizon: Mutex::new(Ballot::ZERO), chunk: Mutex::default(), register: Mutex::default() });
    (liar.clone(), WitnessedStore::new(world.clone(), HostId(0), liar))
}

fn found(world: &World, invariant: &str, words: &str) {
    let broken = broken(world);
    assert_eq!(broken.len(), 1, "{broken:?}");
    assert_eq!(broken[0].0, invariant);
    assert!(broken[0].1.contains(words), "{broken:?}");
    world.state().broken.clear();
}

#[test]
fn rot_that_is_handed_out_is_found() {
    let world = world(3);
    let (liar, store) = witnessed(&world);
    let chunk = ChunkId::of(b"right");
    *liar.chunk.lock().unwrap() = Some(Bytes::from_static(b"right"));
    store.chunk_get(chunk, None).unwrap();
    assert_eq!(broken(&world), []);
    *liar.chunk.lock().unwrap() = Some(Bytes::from_static(b"wrong"));
    store.chunk_get(chunk, None).unwrap();
    found(&world, "reads-are-whole", "the store handed out 5 bytes");
}

#[test]
fn a_chunk_that_was_synced_and_is_gone_is_found_unless_the_disk_was_lost_or_lies() {
    let world = world(3);
    let (_, store) = witnessed(&world);
    let chunk = ChunkId::of(b"x");
    let lose = || {
        store.chunk_put(chunk, b"x").unwrap();
        store.chunk_get(chunk, None).unwrap();
    };
    lose();
    found(&world, "synced-stays", "it is gone");
    store.chunk_put(chunk, b"x").unwrap();
    let now = world.now();
    world.state().ledger.copies.disk_lost(now, HostId(0));
    store.chunk_get(chunk, None).unwrap();
    world.state().ledger.copies.distrust(HostId(0));
    lose();
    assert_eq!(broken(&world), []);
}

#[test]
fn a_promise_that_is_forgotten_is_found() {
    let world = world(3);
    let (liar, store) = witnessed(&world);
    let entry = |counter| RegisterEntry {
        key: RegisterKey::Object("b/x".parse().unwrap()),
        promised: Ballot { counter, proposer: PeerId::from_bytes([1; 32]) },
        accepted: Ballot::ZERO,
        value: None,
    };
    store.register_put(&[entry(2).into()]).unwrap();
    *liar.register.lock().unwrap() = Some(entry(2));
    store.register_get(&entry(2).key).unwrap();
    assert_eq!(broken(&world), []);
    *liar.register.lock().unwrap() = Some(entry(1));
    store.register_get(&entry(1).key).unwrap();
    found(&world, "synced-stays", "had promised ballot 2");
    // Another disk owes nothing.
    let now = world.now();
    world.state().ledger.copies.disk_lost(now, HostId(0));
    store.register_get(&entry(1).key).unwrap();
    assert_eq!(broken(&world), []);
}

#[test]
fn a_false_layout_on_a_disk_is_found() {
    let world = world(3);
    let (_, store) = witnessed(&world);
    let member = |n: u8| Member {
        id: PeerId::from_bytes([n; 32]),
        name: String::new(),
        zone: String::new(),
        weight: 1,
        revision: 0,
        since: 0,
    };
    let layout = |n| Layout { version: 2, ..Layout::first(MeshId::from_bytes([1; 16]), member(n), 3) };
    store.note_put("layout", &wire::encode(&layout(1)).unwrap()).unwrap();
    store.note_put("addresses", b"whatever").unwrap();
    assert_eq!(broken(&world), []);
    store.note_put("layout", &wire::encode(&layout(2)).unwrap()).unwrap();
    found(&world, "same-owners", "is not the one that others have");
}
