//! What people and peers write: ids, names, addresses, secrets.

use std::fmt::Display;
use std::str::FromStr;

use shoal_net::Secret;
use shoal_types::{AppendId, BucketName, ChunkId, Format, FragmentId, JobId, MeshId, ObjectName, PeerId};

pub(crate) fn run(bytes: &[u8]) {
    shoal_net::fuzzing::address(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    id::<PeerId>(text);
    id::<MeshId>(text);
    id::<ChunkId>(text);
    id::<FragmentId>(text);
    id::<JobId>(text);
    id::<AppendId>(text);
    let _ = BucketName::new(text).map_err(complains);
    let _ = Format::of_name(text);
    let _ = Secret::from_text(text).map_err(complains);
    match ObjectName::new(text) {
        Ok(name) => {
            assert_eq!(name.to_string(), text);
            assert_eq!(format!("{}/{}", name.bucket(), name.key()), text);
            assert!(name.bucket().len() <= BucketName::CHARS_MAX);
            assert!((1..=ObjectName::KEY_BYTES_MAX).contains(&name.key().len()));
            assert!(!text.split('/').any(|segment| matches!(segment, "" | "." | "..")));
        }
        Err(error) => complains(error),
    }
}

/// What reads as an id prints as one that is the same.
fn id<T: FromStr<Err: Display> + Display + PartialEq>(text: &str) {
    match text.parse::<T>() {
        Ok(id) => {
            assert!(id.to_string().eq_ignore_ascii_case(text));
            assert!(id.to_string().parse().is_ok_and(|again: T| again == id));
        }
        Err(error) => complains(error),
    }
}

/// In no more words than people read.
fn complains(error: impl Display) {
    assert!(error.to_string().len() < 1_000);
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let texts = [
        PeerId::from_bytes([7; 32]).to_string(),
        ChunkId::of(b"x").to_string(),
        MeshId::from_bytes([1; 16]).to_string(),
        JobId::from_bytes([1; 10]).to_string(),
        "trips/2026/january.parquet".into(),
        "b/a.csv.gz".into(),
        "10.0.0.1:7000".into(),
        "[2001:db8::1]:7000".into(),
        "minnow.example:65535".into(),
    ];
    texts.map(String::into_bytes).into()
}
