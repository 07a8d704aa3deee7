use std::sync::Arc;

use bytes::Bytes;
use shoal_ports::{RegisterPut, Store, StoreUsage};
use shoal_types::{
    Ballot, ChunkId, Copies, DiskState, HashedChunk, Layout, PeerId, RegisterEntry, RegisterKey, RegisterPlace,
    RegisterSpan, Result, wire,
};

use crate::disk::chunk_at;
use crate::host::HostId;
use crate::ledger::{Damage, Place};
use crate::world::{State, World};

/// The note in which a peer keeps the layout.
const LAYOUT_NOTE: &str = "layout";

/// The real store, with the world looking over its shoulder: what its disk has
/// acknowledged, and whether it keeps its word.
pub(crate) struct WitnessedStore {
    world: World,
    host: HostId,
    peer: PeerId,
    /// Which of the host's disks it is on.
    disk: usize,
    store: Arc<dyn Store>,
}

impl WitnessedStore {
    pub(crate) fn new(world: World, host: HostId, store: Arc<dyn Store>) -> Self {
        let (peer, disk) = {
            let mut state = world.state();
            let State { hosts, ledger, .. } = &mut *state;
            let files = &hosts[host.index()].disk;
            let found = files.durable_files("chunks/").into_iter().filter_map(|file| Some((chunk_at(&file)?.0, file)));
            let unheard = found.filter(|(chunk, _)| !ledger.copies.is_here(host, *chunk)).collect::<Vec<_>>();
            for (chunk, file) in unheard {
                // A put that came to an end only on the disk: others may count on it from now on.
                if files.read_durable(&file).is_some_and(|bytes| ChunkId::of(&bytes) == chunk) {
                    ledger.copies.synced(host, chunk);
                }
            }
            (hosts[host.index()].id, ledger.copies.disk_of(host))
        };
        Self { world, host, peer, disk, store }
    }

    /// A chunk was handed out, or looked for in vain.
    fn judge_chunk(&self, chunk: ChunkId, range: Option<(u32, u32)>, found: Option<&Bytes>) {
        let mut state = self.world.state();
        let now = state.heap.now();
        let ledger = &mut state.ledger;
        ledger.looks.kept += 1;
        match found {
            Some(bytes) if range.is_none() => {
                ledger.looks.chunks += 1;
                if ChunkId::of(bytes) == chunk {
                    // Perhaps it could not be read when the store was opened.
                    if !ledger.copies.is_here(self.host, chunk) && ledger.copies.disk_of(self.host) == self.disk {
                        ledger.copies.synced(self.host, chunk);
                    }
                } else {
                    drop(state);
                    let what = format!("the store handed out {} bytes as chunk {}", bytes.len(), chunk.short());
                    self.world.violate("reads-are-whole", &[self.host], format!("{what}, which they are not"));
                }
            }
            Some(_) => {}
            None if !ledger.copies.is_here(self.host, chunk) => {}
            None if !ledger.copies.is_reliable(self.host) => {
                ledger.copies.harmed(now, self.host, chunk, Damage::Lost);
            }
            None => {
                ledger.copies.gone(self.host, chunk);
                drop(state);
                let what = format!("chunk {} was synced here, no fault has touched it, and it is gone", chunk.short());
                self.world.violate("synced-stays", &[self.host], what);
            }
        }
    }

    /// A register was found, or is about to be written.
    fn judge_register(&self, key: &RegisterKey, entry: Option<&RegisterEntry>) {
        let horizon = self.store.register_horizon().unwrap_or(Ballot::ZERO);
        let wrong = {
            let mut state = self.world.state();
            let ledger = &mut state.ledger;
            ledger.looks.kept += 1;
            let judged = ledger.copies.is_reliable(self.host) && ledger.copies.disk_of(self.host) == self.disk;
            if judged { ledger.registers.judge(self.host, self.disk, key, entry, horizon) } else { None }
        };
        if let Some(wrong) = wrong {
            self.world.violate("synced-stays", &[self.host], wrong);
        }
    }

    /// A layout is on disk from now on, or none is any more.
    fn judge_layout(&self, note: &[u8]) {
        let wrong = {
            let mut state = self.world.state();
            let ledger = &mut state.ledger;
            match wire::decode::<Layout>(note) {
                Ok(layout) => ledger.layouts.seen(self.peer, Place::OnDisk, &Arc::new(layout)),
                Err(_) => {
                    ledger.layouts.left(self.peer);
                    None
                }
            }
        };
        if let Some(wrong) = wrong {
            self.world.violate("same-owners", &[self.host], format!("on disk: {wrong}"));
        }
    }
}

impl Store for WitnessedStore {
    fn chunk_put(&self, id: ChunkId, bytes: &[u8]) -> Result<()> {
        self.store.chunk_put(id, bytes)?;
        self.world.state().ledger.copies.synced(self.host, id);
        Ok(())
    }

    fn chunk_keep(&self, chunk: &HashedChunk, copies: Copies) -> Result<()> {
        self.store.chunk_keep(chunk, copies)?;
        self.world.state().ledger.copies.synced(self.host, chunk.id());
        Ok(())
    }

    fn chunk_want(&self, id: ChunkId, copies: Copies) -> Result<bool> {
        self.store.chunk_want(id, copies)
    }

    fn chunk_copies(&self, id: ChunkId) -> Result<Option<Copies>> {
        self.store.chunk_copies(id)
    }

    fn chunk_copies_usual(&self, copies: u32) {
        self.store.chunk_copies_usual(copies);
    }

    fn chunk_is_set_aside(&self, id: ChunkId) -> Result<bool> {
        self.store.chunk_is_set_aside(id)
    }

    fn chunk_room(&self, bytes: u64) -> Result<()> {
        self.store.chunk_room(bytes)
    }

    fn chunk_len(&self, id: ChunkId) -> Result<Option<u32>> {
        self.store.chunk_len(id)
    }

    fn chunk_get(&self, id: ChunkId, range: Option<(u32, u32)>) -> Result<Option<Bytes>> {
        let found = self.store.chunk_get(id, range)?;
        self.judge_chunk(id, range, found.as_ref());
        Ok(found)
    }

    fn chunk_delete(&self, id: ChunkId) -> Result<()> {
        self.world.state().ledger.copies.gone(self.host, id);
        self.store.chunk_delete(id)
    }

    fn chunk_list(&self, after: Option<ChunkId>, limit: usize) -> Result<Vec<ChunkId>> {
        self.store.chunk_list(after, limit)
    }

    fn register_get(&self, key: &RegisterKey) -> Result<Option<RegisterEntry>> {
        let found = self.store.register_get(key)?;
        self.judge_register(key, found.as_ref());
        Ok(found)
    }

    fn register_put(&self, puts: &[RegisterPut]) -> Result<()> {
        for RegisterPut { entry, .. } in puts {
            self.judge_register(&entry.key, Some(entry));
        }
        self.store.register_put(puts)?;
        let mut state = self.world.state();
        for RegisterPut { entry, .. } in puts {
            state.ledger.registers.synced(self.host, self.disk, entry);
        }
        Ok(())
    }

    fn register_forget(&self, keys: &[RegisterKey], horizon: Ballot) -> Result<()> {
        self.world.state().ledger.registers.forgets(self.host, self.disk, keys);
        self.store.register_forget(keys, horizon)
    }

    fn register_horizon(&self) -> Result<Ballot> {
        self.store.register_horizon()
    }

    fn register_clear(&self) -> Result<()> {
        self.world.state().ledger.registers.clears(self.host, self.disk);
        self.store.register_clear()
    }

    fn register_is_unsettled(&self) -> bool {
        self.store.register_is_unsettled()
    }

    fn register_settle(&self) -> Result<()> {
        self.store.register_settle()
    }

    fn register_scan(
        &self,
        span: &RegisterSpan,
        after: Option<&RegisterPlace>,
        limit: usize,
    ) -> Result<Vec<RegisterEntry>> {
        self.store.register_scan(span, after, limit)
    }

    fn note_get(&self, name: &str) -> Result<Option<Bytes>> {
        self.store.note_get(name)
    }

    fn note_put(&self, name: &str, value: &[u8]) -> Result<()> {
        self.store.note_put(name, value)?;
        if name == LAYOUT_NOTE {
            self.judge_layout(value);
        }
        Ok(())
    }

    fn usage(&self) -> Result<StoreUsage> {
        self.store.usage()
    }

    fn disk(&self) -> DiskState {
        self.store.disk()
    }
}
