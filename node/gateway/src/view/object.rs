use serde::{Deserialize, Serialize};
use shoal_runtime::FormerVersion;
use shoal_types::{BucketName, BucketSettings, Format, Manifest, ObjectEntry, ObjectName};

/// An object, as a line of a listing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectView {
    pub name: String,
    pub bytes: u64,
    /// BLAKE3 of the content, in hex; `HASH-N` for a long object that was
    /// appended to, which is no hash of the content (see [`Etag`](shoal_types::Etag)).
    pub etag: String,
    /// MD5 of the content, in hex, where the put asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub md5: Option<String>,
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

/// What a name stood for before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionView {
    #[serde(flatten)]
    pub object: ObjectView,
    /// Until when the name stood for it, in ms since the epoch; absent for what
    /// it stands for now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced_ms: Option<u64>,
    /// Where it comes among the versions of its name in a page, which is in no
    /// order of time. Text in JSON: many programs know no number as long.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "as_text")]
    pub number: Option<u64>,
}

impl From<&FormerVersion> for VersionView {
    fn from(version: &FormerVersion) -> Self {
        Self {
            object: ObjectView::new(&version.name, &version.manifest),
            replaced_ms: Some(version.replaced_ms),
            number: Some(version.place.version),
        }
    }
}

/// A number as text; a number is read too.
mod as_text {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Number {
        Number(u64),
        Text(String),
    }

    pub(super) fn serialize<S: Serializer>(number: &Option<u64>, to: S) -> Result<S::Ok, S::Error> {
        number.map(|number| number.to_string()).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
        Ok(match Option::deserialize(from)? {
            Some(Number::Text(text)) => Some(text.parse().map_err(serde::de::Error::custom)?),
            Some(Number::Number(number)) => Some(number),
            None => None,
        })
    }
}

/// A page of former versions, by name and in no order of time. One that its
/// name still stands for may be among them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionPage {
    pub versions: Vec<VersionView>,
    /// Whether others follow: ask again with `after` and `after_number` set to
    /// the name and number of the last one here.
    pub more: bool,
}

/// How the objects of a bucket are kept. What is absent is as everywhere in the mesh.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketView {
    pub name: String,
    /// For how many seconds what a name stood for can still be read; 0 for not at all.
    pub history_s: u64,
    /// Copies of each chunk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u8>,
    /// How many of them are synced before a put is acknowledged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write_copies: Option<u8>,
}

impl BucketView {
    pub fn new(name: &BucketName, settings: &BucketSettings) -> Self {
        Self {
            name: name.to_string(),
            history_s: settings.history_s,
            replicas: settings.replicas,
            write_copies: settings.write_copies,
        }
    }
}

/// An object with its chunks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestView {
    #[serde(flatten)]
    pub object: ObjectView,
    /// Whether the content lives in the manifest itself.
    pub inline: bool,
    /// Whether somebody has each chunk, where that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whole: Option<bool>,
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
            whole: None,
            chunk_list: manifest
                .offsets()
                .map(|(offset, chunk)| ChunkView { id: chunk.id.to_string(), offset, bytes: chunk.bytes })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `jq` made 9007199254740993 of it 9007199254740992.
    #[test]
    fn the_number_of_a_version_is_text_in_json_and_is_read_either_way() {
        let object = ObjectView {
            name: "b/x".into(),
            bytes: 1,
            etag: "e".into(),
            md5: None,
            format: Format::Bytes,
            modified_ms: 1,
            chunks: 0,
        };
        let version = VersionView { object, replaced_ms: Some(2), number: Some(u64::MAX) };
        let json = serde_json::to_string(&version).unwrap();
        assert!(json.contains(r#""number":"18446744073709551615""#), "{json}");
        assert_eq!(serde_json::from_str::<VersionView>(&json).unwrap(), version);
        assert_eq!(
            serde_json::from_str::<VersionView>(&json.replace("\"1844", "1844").replace("615\"", "615")).unwrap(),
            version
        );
        let present = VersionView { replaced_ms: None, number: None, ..version };
        let json = serde_json::to_string(&present).unwrap();
        assert!(!json.contains("number") && serde_json::from_str::<VersionView>(&json).unwrap() == present, "{json}");
    }
}
