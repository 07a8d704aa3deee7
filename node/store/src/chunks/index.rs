use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;

use shoal_ports::Disk;
use shoal_types::{ChunkId, Copies};

use super::{CHUNK_BYTES_MAX, is_of_the_copy, path};

/// Which chunks are here, in memory: about 60 bytes each, 4 MB per TB of
/// chunks of 16 MiB. Made from the directories at open, so it cannot be wrong for long.
#[derive(Default)]
pub(super) struct Index {
    chunks: BTreeMap<ChunkId, Entry>,
    bytes: u64,
}

/// A copy that is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) bytes: u32,
    /// How many there are to be.
    pub(super) copies: Copies,
}

impl Index {
    /// The last process may have ended after it had named a chunk and before
    /// that was synced. Whoever asks from now on is told that it is here, so
    /// it has to be: at most 257 syncs, of which those cost nothing where there
    /// is nothing to sync.
    /// `usual` is a guess: the mesh is not known yet.
    pub(super) fn scan(disk: &dyn Disk, usual: u32) -> io::Result<Self> {
        let mut index = Self::default();
        disk.sync_dir(path::CHUNKS)?;
        for dir in disk.list(path::CHUNKS)? {
            if !path::is_shard(&dir) {
                tracing::warn!(dir, "what is among the chunks' directories is none of them; it is left alone");
                continue;
            }
            let shard = format!("{}/{dir}", path::CHUNKS);
            disk.sync_dir(&shard)?;
            for file in disk.list(&shard)? {
                let Some((id, copies)) = path::parse(&dir, &file) else {
                    tracing::warn!(dir, file, "a file among the chunks is not a chunk; it is left alone");
                    continue;
                };
                // Two names of one chunk: what a check of the file system may leave.
                let copies = match index.get(id) {
                    None => copies,
                    Some(other) => {
                        let most = other.copies.or(copies, usual);
                        disk.remove(&path::file(id, if most == copies { other.copies } else { copies }))?;
                        most
                    }
                };
                let bytes = match disk.open(&path::file(id, copies), false).and_then(|file| file.len()) {
                    Ok(bytes) => bytes,
                    // One bad copy does not keep the others from being read; a read will set it aside.
                    Err(error) if is_of_the_copy(&error) => {
                        tracing::warn!(chunk = %id, %error, "a copy of a chunk cannot be looked at");
                        0
                    }
                    Err(error) => return Err(error),
                };
                // So it will of a longer one, which is not what its name says.
                index.insert(id, Entry { bytes: bytes.min(CHUNK_BYTES_MAX as u64) as u32, copies });
            }
        }
        Ok(index)
    }

    pub(super) fn get(&self, id: ChunkId) -> Option<Entry> {
        self.chunks.get(&id).copied()
    }

    pub(super) fn insert(&mut self, id: ChunkId, entry: Entry) {
        self.remove(id);
        self.chunks.insert(id, entry);
        self.bytes += u64::from(entry.bytes);
    }

    pub(super) fn remove(&mut self, id: ChunkId) -> Option<Entry> {
        let entry = self.chunks.remove(&id)?;
        self.bytes -= u64::from(entry.bytes);
        Some(entry)
    }

    pub(super) fn list(&self, after: Option<ChunkId>, limit: usize) -> Vec<ChunkId> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.chunks.range((from, Bound::Unbounded)).take(limit).map(|(id, _)| *id).collect()
    }

    pub(super) fn usage(&self) -> (u64, u64) {
        (self.chunks.len() as u64, self.bytes)
    }
}
