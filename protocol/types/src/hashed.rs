use bytes::Bytes;

use crate::ChunkId;

/// A chunk's bytes with its name, which was computed from them by this very
/// process: whoever gets one need not hash it again. That costs as much as a
/// quarter of writing it.
///
/// Not for what comes from elsewhere with a name beside it: that is checked
/// first ([`HashedChunk::named`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HashedChunk {
    id: ChunkId,
    bytes: Bytes,
}

impl HashedChunk {
    /// Hashes the bytes.
    pub fn of(bytes: Bytes) -> Self {
        Self { id: ChunkId::of(&bytes), bytes }
    }

    /// Hashes the bytes; `None` when they are not what the name says.
    pub fn named(id: ChunkId, bytes: Bytes) -> Option<Self> {
        Some(Self::of(bytes)).filter(|chunk| chunk.id == id)
    }

    pub fn id(&self) -> ChunkId {
        self.id
    }

    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_under_anothers_name_are_no_chunk() {
        let chunk = HashedChunk::of(Bytes::from_static(b"one"));
        assert_eq!(chunk.id(), ChunkId::of(b"one"));
        assert_eq!(HashedChunk::named(chunk.id(), Bytes::from_static(b"one")), Some(chunk.clone()));
        assert_eq!(HashedChunk::named(chunk.id(), Bytes::from_static(b"two")), None);
    }
}
