use bytes::Bytes;
use shoal_types::{
    Ballot, ChunkId, Copies, DiskState, HashedChunk, RegisterEntry, RegisterKey, RegisterPlace, RegisterSpan, Result,
};

/// What a peer keeps on its disk: chunks by hash, and the acceptor state of
/// its registers.
///
/// Every call may block on the disk: run it through
/// [`Spawner::blocking`](crate::Spawner::blocking). A call that returned `Ok`
/// has synced.
pub trait Store: Send + Sync {
    /// Keeps a chunk; it is on disk, synced, when this returns. Bytes that do
    /// not hash to `id` are refused with `BadFrame`. Having it already is fine;
    /// a copy that is not whole any more is replaced.
    fn chunk_put(&self, id: ChunkId, bytes: &[u8]) -> Result<()>;

    /// As [`Store::chunk_put`], of bytes that were hashed in this process, so
    /// that a store need not do so again, and of which there are to be so many
    /// copies, or more if more were wanted before. A store of a peer that is
    /// alone need not remember how many, as this and the next two do not by
    /// themselves.
    fn chunk_keep(&self, chunk: &HashedChunk, _copies: Copies) -> Result<()> {
        self.chunk_put(chunk.id(), chunk.bytes())
    }

    /// Has at least so many copies wanted of a chunk, durably; whether it is here.
    fn chunk_want(&self, id: ChunkId, _copies: Copies) -> Result<bool> {
        Ok(self.chunk_len(id)?.is_some())
    }

    /// How many copies there are to be of a chunk, if it is here.
    fn chunk_copies(&self, id: ChunkId) -> Result<Option<Copies>> {
        Ok(self.chunk_len(id)?.map(|_| Copies::DEFAULT))
    }

    /// Of chunks of which nothing else is said there are so many copies in this
    /// mesh: what other numbers are compared with from now on.
    fn chunk_copies_usual(&self, _copies: u32) {}

    /// An error unless there is room for a chunk of so many bytes now, on a disk
    /// that takes something: whoever asks first need not take the bytes in.
    fn chunk_room(&self, _bytes: u64) -> Result<()> {
        Ok(())
    }

    /// A chunk's length if it is here.
    fn chunk_len(&self, id: ChunkId) -> Result<Option<u32>>;

    /// The bytes of `range`, from its first number up to but without its
    /// second (whole when `None`), verified against `id`. A
    /// copy that is not what its name says is set aside and counts as absent:
    /// `Ok(None)`. The range is cut to the chunk's length.
    fn chunk_get(&self, id: ChunkId, range: Option<(u32, u32)>) -> Result<Option<Bytes>>;

    /// Whether a copy of a chunk was here that was set aside, and no other has
    /// come since: what is not here else was deleted, or never here.
    fn chunk_is_set_aside(&self, id: ChunkId) -> Result<bool> {
        Ok(self.chunk_len(id)?.is_none())
    }

    fn chunk_delete(&self, id: ChunkId) -> Result<()>;

    /// All chunks here, in the order of their ids, after `after`, at most `limit`.
    fn chunk_list(&self, after: Option<ChunkId>, limit: usize) -> Result<Vec<ChunkId>>;

    /// The acceptor's state of a register.
    fn register_get(&self, key: &RegisterKey) -> Result<Option<RegisterEntry>>;

    /// Replaces the state of these registers, all or none, in one sync.
    fn register_put(&self, puts: &[RegisterPut]) -> Result<()>;

    /// Drops all that is here of these registers, and raises the horizon to
    /// `horizon`, if it is below: all or none, in one sync. From then on nothing
    /// here counts for having promised less. Of what is not here it need not know.
    fn register_forget(&self, keys: &[RegisterKey], horizon: Ballot) -> Result<()>;

    /// What a register of which nothing is here counts as having promised.
    /// Costs no look at the disk, as a rule.
    fn register_horizon(&self) -> Result<Ballot>;

    /// Drops all registers but those of layouts, and the horizon: their ballots
    /// are those of a mesh that this peer is no part of any more. Not all or
    /// none: on an error it is to be done again.
    fn register_clear(&self) -> Result<()>;

    /// Whether [`Store::register_settle`] has something to do. Costs nothing.
    fn register_is_unsettled(&self) -> bool {
        false
    }

    /// Does what puts have put off, so that they are quick. To be called now
    /// and then while puts go on; they do it themselves if nobody does.
    fn register_settle(&self) -> Result<()> {
        Ok(())
    }

    /// Registers of a span that have accepted something, in the order of their
    /// keys, after `after`, at most `limit`. What an entry has promised may be
    /// later than it says here.
    fn register_scan(
        &self,
        span: &RegisterSpan,
        after: Option<&RegisterPlace>,
        limit: usize,
    ) -> Result<Vec<RegisterEntry>>;

    /// A small named value that the peer keeps for itself (its layout, addresses).
    fn note_get(&self, name: &str) -> Result<Option<Bytes>>;

    fn note_put(&self, name: &str, value: &[u8]) -> Result<()>;

    fn usage(&self) -> Result<StoreUsage>;

    /// Whether the disk takes new data. Costs a look at its free space.
    fn disk(&self) -> DiskState;
}

/// The state of a register that is to be durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisterPut {
    pub entry: RegisterEntry,
    /// Whether it has accepted anything since what is durable now. Where it
    /// has only promised, the value need not be written again.
    pub accepts: bool,
}

impl From<RegisterEntry> for RegisterPut {
    fn from(entry: RegisterEntry) -> Self {
        Self { entry, accepts: true }
    }
}

/// How much is on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StoreUsage {
    pub chunks: u64,
    pub chunk_bytes: u64,
    pub free_bytes: u64,
    /// Copies that were set aside since the store was opened.
    pub bad_copies: u64,
}
