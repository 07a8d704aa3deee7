//! Pinned files: the exact versions that a job reads, and their bytes.

mod source;
mod store;

use serde::{Deserialize, Serialize};
use shoal_ports::{TableFile, TableSource};
use shoal_types::{ChunkId, Error, Manifest, Result};

pub(crate) use source::{ByteSource, ScanCounters};
pub(crate) use store::{PinStore, STORE_URL};

/// One file of a table, as it was when the query was planned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pin {
    /// What the plan calls it: a hash of name and content, so that whatever
    /// is cached under it never goes stale.
    pub key: String,
    /// What the user calls it.
    pub name: String,
    pub bytes: u64,
    pub source: PinSource,
}

/// Where a pinned file's bytes are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum PinSource {
    Object(Manifest),
    Local { path: String, modified_ns: u128 },
}

impl Pin {
    pub(crate) fn new(file: TableFile) -> Result<Self> {
        let mut hasher = blake3::Hasher::new();
        hasher.update(file.name.as_bytes());
        let (bytes, source) = match file.source {
            TableSource::Object(_, manifest) => {
                hasher.update(b"\0object\0");
                hasher.update(manifest.etag.0.as_bytes());
                (manifest.bytes, PinSource::Object(manifest))
            }
            TableSource::Local { path, bytes } => {
                let modified_ns = modified_ns(&path)?;
                hasher.update(b"\0local\0");
                hasher.update(path.as_bytes());
                hasher.update(&bytes.to_le_bytes());
                hasher.update(&modified_ns.to_le_bytes());
                (bytes, PinSource::Local { path, modified_ns })
            }
        };
        let key = hasher.finalize().to_hex()[..32].to_owned();
        Ok(Self { key, name: file.name, bytes, source })
    }

    /// The chunks that hold the bytes from `start` to `end`.
    pub(crate) fn chunks(&self, start: u64, end: u64) -> Vec<ChunkId> {
        match &self.source {
            PinSource::Local { .. } => Vec::new(),
            PinSource::Object(manifest) => manifest
                .offsets()
                .filter(|(at, chunk)| *at < end && start < at + u64::from(chunk.bytes))
                .map(|(_, chunk)| chunk.id)
                .collect(),
        }
    }
}

/// When a local file was last changed, in ns since the epoch; its version.
pub(crate) fn modified_ns(path: &str) -> Result<u128> {
    let complain = |error: std::io::Error| {
        Error::not_found(format!("cannot read {path}: {error}"), "check the path and its permissions")
    };
    let modified = std::fs::metadata(path).and_then(|meta| meta.modified()).map_err(complain)?;
    Ok(modified.duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_nanos()))
}
