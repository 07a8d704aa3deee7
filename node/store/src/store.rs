use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use shoal_ports::{Disk, RegisterPut, Store, StoreUsage};
use shoal_types::{
    Ballot, ChunkId, Copies, DiskState, HashedChunk, RegisterEntry, RegisterKey, RegisterPlace, RegisterSpan, Result,
};

use crate::StoreConfig;
use crate::chunks::Chunks;
use crate::health::Health;
use crate::registers::Registers;

/// A peer's data on a [`Disk`].
///
/// Chunks are files, so that a scrub, a backup or a person can read them;
/// registers and notes are in a log, where many cost one sync, and behind it
/// in one redb database. Every call may block on the disk, and may be made from any thread.
pub struct LocalStore {
    chunks: Chunks,
    registers: Registers,
    health: Arc<Health>,
}

impl LocalStore {
    /// Opens the store on `disk`, making it when there is none.
    ///
    /// Lists every chunk (one `open` per chunk: about a second per 100 000)
    /// verifies the registers' checksums (it reads that file whole), and takes
    /// over what is in their logs.
    /// `Invalid` when the registers are of another format version or damaged:
    /// nothing is changed then.
    pub fn open(disk: Arc<dyn Disk>, config: StoreConfig) -> Result<Self> {
        let unknown = Health::new(config.peer, disk.clone(), 0);
        let free_bytes = disk.free_bytes().map_err(|error| unknown.error("cannot tell its free space", &error))?;
        let reserve_bytes = config.reserve(free_bytes);
        let health = Arc::new(Health::new(config.peer, disk.clone(), reserve_bytes));
        // Before anything else is touched: a store of another version stays as it is.
        let registers = Registers::open(disk.clone(), health.clone(), &config)?;
        let chunks = Chunks::open(disk, health.clone(), config.cache_bytes)?;
        Ok(Self { chunks, registers, health })
    }
}

impl Store for LocalStore {
    fn chunk_put(&self, id: ChunkId, bytes: &[u8]) -> Result<()> {
        self.chunks.put(id, bytes)
    }

    fn chunk_keep(&self, chunk: &HashedChunk, copies: Copies) -> Result<()> {
        self.chunks.keep(chunk.id(), chunk.bytes(), copies)
    }

    fn chunk_want(&self, id: ChunkId, copies: Copies) -> Result<bool> {
        self.chunks.want(id, copies)
    }

    fn chunk_copies(&self, id: ChunkId) -> Result<Option<Copies>> {
        Ok(self.chunks.copies(id))
    }

    fn chunk_copies_usual(&self, copies: u32) {
        self.chunks.usual.store(copies, Relaxed);
    }

    fn chunk_len(&self, id: ChunkId) -> Result<Option<u32>> {
        Ok(self.chunks.len(id))
    }

    fn chunk_get(&self, id: ChunkId, range: Option<(u32, u32)>) -> Result<Option<Bytes>> {
        self.chunks.get(id, range)
    }

    fn chunk_delete(&self, id: ChunkId) -> Result<()> {
        self.chunks.delete(id)
    }

    fn chunk_list(&self, after: Option<ChunkId>, limit: usize) -> Result<Vec<ChunkId>> {
        Ok(self.chunks.list(after, limit))
    }

    fn register_get(&self, key: &RegisterKey) -> Result<Option<RegisterEntry>> {
        self.registers.get(key)
    }

    fn register_put(&self, puts: &[RegisterPut]) -> Result<()> {
        self.registers.put(puts)
    }

    fn register_forget(&self, keys: &[RegisterKey], horizon: Ballot) -> Result<()> {
        self.registers.forget(keys, horizon)
    }

    fn register_horizon(&self) -> Result<Ballot> {
        Ok(self.registers.horizon())
    }

    fn register_clear(&self) -> Result<()> {
        self.registers.clear()
    }

    fn register_is_unsettled(&self) -> bool {
        self.registers.is_unsettled()
    }

    fn register_settle(&self) -> Result<()> {
        self.registers.settle()
    }

    fn register_scan(
        &self,
        span: &RegisterSpan,
        after: Option<&RegisterPlace>,
        limit: usize,
    ) -> Result<Vec<RegisterEntry>> {
        self.registers.scan(span, after, limit)
    }

    fn note_get(&self, name: &str) -> Result<Option<Bytes>> {
        self.registers.note_get(name)
    }

    fn note_put(&self, name: &str, value: &[u8]) -> Result<()> {
        self.registers.note_put(name, value)
    }

    fn usage(&self) -> Result<StoreUsage> {
        let ((chunks, chunk_bytes), bad_copies) = (self.chunks.usage(), self.chunks.bad_copies());
        let free_bytes = self.health.free_bytes()?;
        Ok(StoreUsage { chunks, chunk_bytes, free_bytes, bad_copies })
    }

    fn chunk_is_set_aside(&self, id: ChunkId) -> Result<bool> {
        Ok(self.chunks.is_set_aside(id))
    }

    fn chunk_room(&self, bytes: u64) -> Result<()> {
        self.health.room_for_chunk(bytes).map(drop)
    }

    fn disk(&self) -> DiskState {
        self.health.state()
    }
}
