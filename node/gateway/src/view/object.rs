use serde::{Deserialize, Serialize};
use shoal_types::{Format, Manifest, ObjectEntry, ObjectName};

/// An object, as a line of a listing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectView {
    pub name: String,
    pub bytes: u64,
    /// BLAKE3 of the content, in hex; `HASH-N` for a long object that was
    /// appended to, which is no hash of the content (see [`Etag`](shoal_types::Etag)).
    pub etag: String,
    /// MD5 of the content, in hex; `MD5-N` in the same way.
    pub md5: String,
    pub format: Format,
    /// When it was put, in ms since the epoch.
    pub modified_ms: u64,
    /// Number of chunks; 0 for an object that lives in its manifest.
    pub chunks: usize,
}

impl ObjectView {
    pub fn new(name: &ObjectName, manifest: &Manifest) -> Self {
        Self {
            name: name.to_string(),
            bytes: manifest.bytes,
            etag: manifest.etag.to_string(),
            md5: manifest.md5.clone(),
            format: manifest.format,
            modified_ms: manifest.modified_ms,
            chunks: manifest.chunks.len(),
        }
    }
}

impl From<&ObjectEntry> for ObjectView {
    fn from(entry: &ObjectEntry) -> Self {
        Self::new(&entry.name, &entry.manifest)
    }
}

/// An object that was put.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredView {
    #[serde(flatten)]
    pub object: ObjectView,
    /// Bytes that its owners had already, and that were not sent again.
    #[serde(default)]
    pub there_bytes: u64,
}

/// A page of a listing, in byte order of the names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectPage {
    pub objects: Vec<ObjectView>,
    /// Whether names follow: ask again with `after` set to the last one here.
    pub more: bool,
}

/// An object with its chunks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestView {
    #[serde(flatten)]
    pub object: ObjectView,
    /// Whether the content lives in the manifest itself.
    pub inline: bool,
    pub chunk_list: Vec<ChunkView>,
}

/// A chunk of an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkView {
    pub id: String,
    /// Where it begins in the object.
    pub offset: u64,
    pub bytes: u32,
}

impl ManifestView {
    pub fn new(name: &ObjectName, manifest: &Manifest) -> Self {
        Self {
            object: ObjectView::new(name, manifest),
            inline: manifest.inline.is_some(),
            chunk_list: manifest
                .offsets()
                .map(|(offset, chunk)| ChunkView { id: chunk.id.to_string(), offset, bytes: chunk.bytes })
                .collect(),
        }
    }
}
