//! Identifiers: newtypes over fixed bytes, printed in lower-case base32 or hex.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use data_encoding::BASE32_NOPAD;
use serde::{Deserialize, Serialize};

/// A text that is not an identifier of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is no {kind}: {bytes} bytes in {alphabet} are wanted")]
pub struct ParseIdError {
    text: String,
    kind: &'static str,
    bytes: usize,
    alphabet: &'static str,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $len:literal, $kind:literal, $alphabet:literal, $encode:expr, $decode:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub struct $name(
            // In one piece rather than byte by byte.
            #[serde(with = "serde_bytes")] [u8; $len],
        );

        impl Ord for $name {
            /// By the bytes. Nearly always the first word decides, and looking
            /// at it first spares a call for each step of each search of a map.
            fn cmp(&self, other: &Self) -> Ordering {
                let word = |id: &Self| id.0.first_chunk().copied().map(u64::from_be_bytes);
                word(self).cmp(&word(other)).then_with(|| self.0.cmp(&other.0))
            }
        }

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }

        impl $name {
            /// From its raw bytes.
            pub const fn from_bytes(bytes: [u8; $len]) -> Self {
                Self(bytes)
            }

            /// Its raw bytes.
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }

            /// The first eight characters: enough for a log line or a table.
            pub fn short(&self) -> String {
                let mut text = self.to_string();
                text.truncate(8);
                text
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let encode: fn(&[u8]) -> String = $encode;
                f.write_str(&encode(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.short())
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                let decode: fn(&str) -> Option<Vec<u8>> = $decode;
                decode(text)
                    .and_then(|bytes| <[u8; $len]>::try_from(bytes).ok())
                    .map(Self)
                    .ok_or_else(|| ParseIdError {
                        text: text.chars().take(80).collect(),
                        kind: $kind,
                        bytes: $len,
                        alphabet: $alphabet,
                    })
            }
        }
    };
}

pub(crate) fn to_base32(bytes: &[u8]) -> String {
    BASE32_NOPAD.encode(bytes).to_ascii_lowercase()
}

fn from_base32(text: &str) -> Option<Vec<u8>> {
    BASE32_NOPAD.decode(text.to_ascii_uppercase().as_bytes()).ok()
}

fn to_hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    data_encoding::HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()
}

id!(
    /// A peer: its ed25519 public key.
    PeerId, 32, "peer id", "base32", to_base32, from_base32
);
id!(
    /// A mesh: drawn at random by the peer that formed it.
    MeshId, 16, "mesh id", "base32", to_base32, from_base32
);
id!(
    /// A chunk: the BLAKE3 hash of its bytes.
    ChunkId, 32, "chunk id", "hex", to_hex, from_hex
);
id!(
    /// A stage's plan fragment: the BLAKE3 hash of its bytes.
    FragmentId, 32, "fragment id", "hex", to_hex, from_hex
);
id!(
    /// A job, drawn by the peer that took it.
    JobId, 10, "job id", "base32", to_base32, from_base32
);

id!(
    /// One append to an object, drawn at random by whoever asks for it: asked
    /// for again under the same id, it is the same append.
    AppendId, 16, "append id", "hex", to_hex, from_hex
);

impl AppendId {
    /// How those begin that a peer draws. Not as builds before have it, which
    /// remember one only: to them it is an id like any other.
    const DRAWN: [u8; 8] = *b"drawn-id";

    /// Stands for any write without an id. To builds before it is one that a
    /// peer drew, by which they tell nothing.
    pub(crate) const NONE: Self = Self(*b"drawn id\0\0\0\0\0\0\0\0");

    /// One for a write whose caller has none, and cannot ask for it again: it
    /// tells that write from others at the same time.
    pub fn drawn(random: u64) -> Self {
        let mut bytes = [0; 16];
        let (mark, rest) = bytes.split_at_mut(Self::DRAWN.len());
        mark.copy_from_slice(&Self::DRAWN);
        rest.copy_from_slice(&random.to_le_bytes());
        Self(bytes)
    }

    /// Whether it is such a one.
    pub fn is_drawn(&self) -> bool {
        self.0.starts_with(&Self::DRAWN)
    }
}

impl ChunkId {
    /// The name of `bytes`: their BLAKE3 hash. About 1 ms per 4 MiB and core.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }
}

impl FragmentId {
    /// The name of `bytes`: their BLAKE3 hash.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }
}

/// A stage of a job: its position in [`JobPlan::stages`](crate::JobPlan::stages).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StageId(pub u32);

impl fmt::Display for StageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// One partition of one stage of one job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TaskId {
    pub job: JobId,
    pub stage: StageId,
    pub partition: u32,
}

impl fmt::Display for TaskId {
    /// `stage.partition`, as people speak of the tasks of the job at hand.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.stage.0, self.partition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_what_it_printed() {
        let chunk = ChunkId::of(b"shoal");
        assert_eq!(chunk.to_string().parse::<ChunkId>(), Ok(chunk));
        let peer = PeerId::from_bytes([7; 32]);
        assert_eq!(peer.to_string().parse::<PeerId>(), Ok(peer));
        assert_eq!(peer.to_string().to_uppercase().parse::<PeerId>(), Ok(peer));
    }

    #[test]
    fn ids_are_in_the_order_of_their_bytes() {
        let mut ids = Vec::new();
        for at in [0, 6, 7, 8, 9, 31] {
            for byte in [0u8, 1, 127, 128, 255] {
                let mut bytes = [9; 32];
                bytes[at] = byte;
                ids.push(bytes);
            }
        }
        for (one, other) in ids.iter().flat_map(|one| ids.iter().map(move |other| (one, other))) {
            assert_eq!(PeerId::from_bytes(*one).cmp(&PeerId::from_bytes(*other)), one.cmp(other));
        }
    }

    #[test]
    fn a_text_of_the_wrong_length_or_alphabet_is_refused_by_kind() {
        let error = "zz".parse::<ChunkId>().unwrap_err();
        assert!(error.to_string().contains("chunk id"), "{error}");
        assert!("abcd".parse::<PeerId>().is_err());
    }
}
