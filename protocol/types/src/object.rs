//! Objects: names, manifests, and the chunks that they list.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{Appends, BucketName, ChunkId, Error, RegisterOp};

/// What the register of a name holds, once something was put there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum NameValue {
    Object(Manifest),
    /// There is nothing any more. Each removal writes a value of its own, so
    /// that of two at a time one can tell that it was the other's.
    Removed {
        nonce: u64,
    },
    /// An object, and the requests that made it what it is: that it was
    /// appended to, or put by a request with an id.
    Appended {
        manifest: Manifest,
        appends: Appends,
    },
    /// Of a version's register: an object that the name stood for, and until
    /// when (wall clock, ms since the epoch).
    Former {
        manifest: Manifest,
        replaced_ms: u64,
    },
    /// There is nothing any more, and requests are remembered that wrote it:
    /// what was there before, or the removal itself.
    Gone {
        nonce: u64,
        appends: Appends,
    },
}

impl NameValue {
    /// The object, if there is one.
    pub fn manifest(&self) -> Option<&Manifest> {
        match self {
            Self::Object(manifest) | Self::Appended { manifest, .. } | Self::Former { manifest, .. } => Some(manifest),
            Self::Removed { .. } | Self::Gone { .. } => None,
        }
    }
}

/// The name of an object: `bucket/key`.
///
/// The bucket is the part before the first `/` ([`BucketName`]). The key is
/// everything after: 1–1024 bytes of UTF-8, no control characters, no empty, `.`
/// or `..` segment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct ObjectName(String);

impl ObjectName {
    pub const KEY_BYTES_MAX: usize = 1024;

    pub fn new(text: impl Into<String>) -> Result<Self, Error> {
        let text = text.into();
        let complain = |why: &str| {
            Err(Error::Invalid {
                what: format!("'{}' is not an object name: {why}", text.chars().take(120).collect::<String>()),
                hint: "a name is BUCKET/KEY, for example trips/2026/january.parquet".into(),
            })
        };
        let (bucket, key) = text.split_once('/').unwrap_or((&text, ""));
        if let Some(why) = BucketName::complaint(bucket) {
            return complain(why);
        }
        if key.is_empty() {
            return complain("it is a bucket, and has no key");
        }
        if key.len() > Self::KEY_BYTES_MAX {
            return complain("a key has 1 to 1024 bytes");
        }
        if key.chars().any(char::is_control) {
            return complain("a key has no control characters");
        }
        if key.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
            return complain("no segment of a key is empty, '.' or '..'");
        }
        Ok(Self(text))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn bucket(&self) -> &str {
        self.0.split_once('/').map_or("", |(bucket, _)| bucket)
    }

    pub fn bucket_name(&self) -> BucketName {
        BucketName::of_checked(self.bucket())
    }

    pub fn key(&self) -> &str {
        self.0.split_once('/').map_or("", |(_, key)| key)
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for ObjectName {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        Self::new(text)
    }
}

impl FromStr for ObjectName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::new(text)
    }
}

/// How an object's bytes are read as rows, and so where it may be cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    Parquet,
    Csv,
    Json,
    Text,
    /// Anything else: no cut means anything.
    Bytes,
    Avro,
    /// Arrow IPC, file or stream.
    Arrow,
    /// Cut after members where they say how long they are (BGZF).
    Gzip,
    Zstd,
    Bzip2,
}

impl Format {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Parquet,
        Self::Csv,
        Self::Json,
        Self::Text,
        Self::Bytes,
        Self::Avro,
        Self::Arrow,
        Self::Gzip,
        Self::Zstd,
        Self::Bzip2,
    ];

    /// By the name's ending: `.parquet`, `.csv`/`.tsv`, `.json`/`.jsonl`/`.ndjson`,
    /// `.txt`/`.log`/`.text`/`.md`, `.avro`, `.arrow`/`.arrows`/`.ipc`/`.feather`;
    /// of what is compressed the compression: `.gz`/`.bgz`/`.tgz`, `.zst`/`.zstd`,
    /// `.bz2`. All else is [`Format::Bytes`]. [`Format::of`] looks at the bytes too.
    pub fn of_name(name: &str) -> Self {
        let lower = name.to_ascii_lowercase();
        match lower.rsplit_once('.').map(|(_, ending)| ending) {
            Some("parquet" | "pq") => Self::Parquet,
            Some("csv" | "tsv") => Self::Csv,
            Some("json" | "jsonl" | "ndjson") => Self::Json,
            Some("txt" | "log" | "text" | "md") => Self::Text,
            Some("avro") => Self::Avro,
            Some("arrow" | "arrows" | "ipc" | "feather") => Self::Arrow,
            Some("gz" | "bgz" | "tgz") => Self::Gzip,
            Some("zst" | "zstd") => Self::Zstd,
            Some("bz2") => Self::Bzip2,
            _ => Self::Bytes,
        }
    }

    /// What separates the fields of a CSV of that name: tabs where it ends in
    /// `.tsv`, else commas.
    pub fn delimiter_of_name(name: &str) -> u8 {
        if name.to_ascii_lowercase().ends_with(".tsv") { b'\t' } else { b',' }
    }

    /// Whether bytes behind its end make a longer one of the format, rather
    /// than break it.
    pub const fn grows(self) -> bool {
        match self {
            Self::Csv | Self::Json | Self::Text | Self::Bytes => true,
            // Another member, frame or stream.
            Self::Gzip | Self::Zstd | Self::Bzip2 => true,
            // They end in a footer, or in an end mark, or have a marker of their own between blocks.
            Self::Parquet | Self::Avro | Self::Arrow => false,
        }
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Csv => "csv",
            Self::Json => "json",
            Self::Text => "text",
            Self::Bytes => "bytes",
            Self::Avro => "avro",
            Self::Arrow => "arrow",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Bzip2 => "bzip2",
        }
    }
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL.iter().copied().find(|format| format.as_str() == text).ok_or_else(|| {
            let all: Vec<&str> = Self::ALL.iter().map(|format| format.as_str()).collect();
            Error::invalid(
                format!("'{}' is not a format", text.chars().take(40).collect::<String>()),
                format!("the formats are {}", all.join(", ")),
            )
        })
    }
}

/// Which version of an object it is.
///
/// Of one that was put, or whose content was at hand as a whole when it was
/// appended to: the BLAKE3 hash of all its bytes, in hex. Of a longer one that
/// was appended to: `HASH-N`, where `HASH` is over the ETag before and the hash
/// of the appended bytes, and `N` is the number of appends since it was put; an
/// append reads only the last chunk, so nobody knows the hash of the whole. As
/// S3's ETag of a multipart upload, that is no hash of the content
/// ([`Etag::content_hash`]), and equal contents may have different ones; equal
/// ones always mean equal contents.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Etag(pub String);

impl Etag {
    /// That of an object after its append number `appends`, of bytes with this
    /// BLAKE3 hash.
    pub fn of_append(before: &Self, appended: &[u8; 32], appends: u64) -> Self {
        let mut hash = blake3::Hasher::new();
        hash.update(&(before.0.len() as u64).to_le_bytes()).update(before.0.as_bytes()).update(appended);
        Self(format!("{}-{appends}", hash.finalize().to_hex()))
    }

    /// The BLAKE3 hash of the content, in hex, if this is one.
    pub fn content_hash(&self) -> Option<&str> {
        (!self.0.contains('-')).then_some(&self.0)
    }
}

impl fmt::Display for Etag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A chunk as a manifest lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkRef {
    pub id: ChunkId,
    pub bytes: u32,
}

impl ChunkRef {
    /// In a frame: the id and its length, and the bytes as a varint.
    const ENCODED_BYTES_MAX: usize = 32 + 1 + 5;
}

/// An object: an ordered list of chunks whose concatenation is its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    pub bytes: u64,
    pub etag: Etag,
    /// MD5 of the content, in hex, where the put asked for it: it costs more
    /// than all else that a put computes. No object has it that was appended to.
    #[serde(with = "empty_is_none")]
    pub md5: Option<String>,
    pub format: Format,
    /// Wall-clock time of the put, in ms since the epoch. For people only.
    pub modified_ms: u64,
    pub chunks: Vec<ChunkRef>,
    /// The content of an object of at most [`Manifest::INLINE_BYTES_MAX`]
    /// bytes: it rides here and has no chunks.
    pub inline: Option<Bytes>,
}

impl Manifest {
    /// Objects up to this size live in their manifest.
    pub const INLINE_BYTES_MAX: usize = 3 * 1024;

    /// The most chunks that an object has: so many fit into the register of
    /// its name, with all else that is kept there. Of the usual length they are
    /// some 427 GiB.
    pub const CHUNKS_MAX: usize = (RegisterOp::VALUE_BYTES_MAX - Self::REST_BYTES_MAX) / ChunkRef::ENCODED_BYTES_MAX;

    /// More than all of a name's value but its chunks takes: the remembered
    /// requests most of all.
    const REST_BYTES_MAX: usize = 4 << 10;

    /// Refuses an object of so many chunks if that is more than one can have.
    ///
    /// # Errors
    /// [`Error::Invalid`], with what to do instead.
    pub fn check_chunks(chunks: usize) -> Result<(), Error> {
        if chunks <= Self::CHUNKS_MAX {
            return Ok(());
        }
        Err(Error::invalid(
            format!("an object has at most {} chunks, and this one has more", Self::CHUNKS_MAX),
            "put it as several objects, under one prefix",
        ))
    }

    /// Each chunk with the offset at which it begins.
    pub fn offsets(&self) -> impl Iterator<Item = (u64, &ChunkRef)> {
        self.chunks.iter().scan(0u64, |at, chunk| {
            let start = *at;
            *at += u64::from(chunk.bytes);
            Some((start, chunk))
        })
    }
}

/// On disk and on the wire an empty string stands for none.
mod empty_is_none {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(text: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
        text.as_deref().unwrap_or_default().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
        Ok(Some(String::deserialize(deserializer)?).filter(|text| !text.is_empty()))
    }
}

/// A line of `shoal ls`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectEntry {
    pub name: ObjectName,
    pub manifest: Manifest,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        AppendId, Ballot, LayoutId, MeshId, PeerId, PrepareReply, RegisterEntry, RegisterKey, RegisterReply, Request,
        Response, wire,
    };

    #[test]
    fn names_that_could_escape_or_confuse_are_refused() {
        for bad in ["", "x", "/x", "b/", "b//x", "b/../x", "b/./x", "../x", "b/a\nb", "b c/x", "b/x/"] {
            assert!(ObjectName::new(bad).is_err(), "{bad:?}");
        }
        let name = ObjectName::new("trips/2026/a b.parquet").unwrap();
        // Nor are they read from a frame.
        assert_eq!(wire::decode::<ObjectName>(&wire::encode(&name).unwrap()).unwrap(), name);
        assert!(wire::decode::<ObjectName>(&wire::encode(&"b/../x").unwrap()).is_err());
        assert_eq!((name.bucket(), name.key()), ("trips", "2026/a b.parquet"));
    }

    /// Of a bucket it was said that it has none.
    #[test]
    fn what_a_name_lacks_is_said() {
        for (bad, why) in
            [("b", "it is a bucket, and has no key"), ("b/", "has no key"), ("/x", "a bucket has 1 to 63")]
        {
            let error = ObjectName::new(bad).unwrap_err();
            assert!(error.to_string().contains(why) && error.hint().contains("BUCKET/KEY"), "{bad}: {error}");
        }
    }

    #[test]
    fn an_md5_that_is_not_there_takes_a_byte_and_reads_back_as_none() {
        let manifest = |md5: Option<&str>| Manifest {
            bytes: 0,
            etag: Etag(String::new()),
            md5: md5.map(str::to_owned),
            format: Format::Bytes,
            modified_ms: 0,
            chunks: Vec::new(),
            inline: None,
        };
        let [with, without] = [manifest(Some("ab")), manifest(None)];
        let bytes = [&with, &without].map(|manifest| wire::encode(manifest).unwrap());
        assert_eq!(bytes[0].len(), bytes[1].len() + 2);
        assert_eq!(bytes.map(|bytes| wire::decode::<Manifest>(&bytes).unwrap()), [with, without]);
    }

    /// There was no bound: the acceptor of whoever put an object of 500 GiB
    /// kept a value that fits no frame. The name was unreadable from then on,
    /// and no change of the layout came to an end.
    #[test]
    fn a_manifest_of_as_many_chunks_as_there_may_be_fits_a_frame_with_all_that_goes_with_it() {
        let appends = (0..200).fold(Appends::default(), |appends, n| appends.and(AppendId::from_bytes([n; 16])));
        let appends = (0..200).fold(appends, |appends, n| appends.put_by(Some(AppendId::drawn(n))));
        let manifest = Manifest {
            bytes: u64::MAX,
            etag: Etag::of_append(&Etag("a".repeat(64)), &[1; 32], u64::MAX),
            md5: Some("a".repeat(32)),
            format: Format::Bzip2,
            modified_ms: u64::MAX,
            chunks: vec![ChunkRef { id: ChunkId::from_bytes([255; 32]), bytes: u32::MAX }; Manifest::CHUNKS_MAX],
            inline: None,
        };
        let name = ObjectName::new(format!("{}/{}", "b".repeat(63), "k".repeat(ObjectName::KEY_BYTES_MAX))).unwrap();
        let ballot = Ballot { counter: u64::MAX, proposer: PeerId::from_bytes([255; 32]) };
        let layout = LayoutId { mesh: MeshId::from_bytes([255; 16]), version: u64::MAX };
        for value in [
            NameValue::Appended { manifest: manifest.clone(), appends },
            NameValue::Former { manifest, replaced_ms: u64::MAX },
        ] {
            let value = wire::encode(&value).unwrap();
            assert!(value.len() <= RegisterOp::VALUE_BYTES_MAX, "{}", value.len());
        }
        let value = Some(Bytes::from(vec![0; RegisterOp::VALUE_BYTES_MAX]));
        let key = RegisterKey::Version(name, u64::MAX);
        let op = RegisterOp::Accept { ballot, value: value.clone() };
        let promised = PrepareReply::Promised { accepted: ballot, value: value.clone() };
        let entry = RegisterEntry { key: key.clone(), promised: ballot, accepted: ballot, value: value.clone() };
        for frame in [
            wire::encode(&Request::Register { layout, key, op }).unwrap(),
            answer(Response::Register(RegisterReply::Prepare(promised))),
            answer(Response::Register(RegisterReply::Read { accepted: ballot, value })),
            answer(Response::Entries { entries: vec![entry], more: true }),
        ] {
            assert!(frame.len() <= wire::FRAME_BYTES_MAX, "{}", frame.len());
        }
        assert!(Manifest::check_chunks(Manifest::CHUNKS_MAX).is_ok());
        assert!(Manifest::check_chunks(Manifest::CHUNKS_MAX + 1).unwrap_err().hint().contains("several objects"));
    }

    fn answer(response: Response) -> Bytes {
        wire::encode(&Ok::<_, Error>(response)).unwrap()
    }

    #[test]
    fn the_etag_of_an_append_is_no_hash_of_the_content_and_tells_what_went_before() {
        let (one, other) = (Etag("a".repeat(64)), Etag("b".repeat(64)));
        let hash = blake3::hash(b"x");
        let appended = Etag::of_append(&one, hash.as_bytes(), 3);
        assert!(appended.0.ends_with("-3") && appended.content_hash().is_none());
        assert_eq!(one.content_hash(), Some(one.0.as_str()));
        assert_ne!(appended, Etag::of_append(&other, hash.as_bytes(), 3));
        assert_ne!(appended, Etag::of_append(&one, blake3::hash(b"y").as_bytes(), 3));
    }

    #[test]
    fn a_format_follows_the_name() {
        for format in Format::ALL {
            assert_eq!(format.as_str().parse(), Ok(*format));
        }
        assert!("xls".parse::<Format>().unwrap_err().hint().contains("parquet"));
        assert_eq!(Format::of_name("a/B.PARQUET"), Format::Parquet);
        assert_eq!(Format::of_name("a/b.csv"), Format::Csv);
        assert_eq!(Format::of_name("a/b.csv.gz"), Format::Gzip);
        assert_eq!(Format::of_name("README"), Format::Bytes);
    }
}
