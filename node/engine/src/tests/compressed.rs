//! Compressed objects of several members, and such as end too early.

use async_compression::tokio::bufread::{BzEncoder, GzipEncoder, XzEncoder, ZstdEncoder};
use shoal_types::Error;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::mesh::Mesh;
use crate::scan::RECORD_BYTES_MAX;

const ENDINGS: [&str; 6] = ["gz", "bgz", "bz2", "xz", "zst", "zstd"];

/// One member.
pub(super) async fn packed(ending: &str, bytes: &[u8]) -> Vec<u8> {
    let mut encoder: Box<dyn AsyncRead + Unpin + Send> = match ending {
        "gz" | "bgz" => Box::new(GzipEncoder::new(bytes)),
        "bz2" => Box::new(BzEncoder::new(bytes)),
        "xz" => Box::new(XzEncoder::new(bytes)),
        _ => Box::new(ZstdEncoder::new(bytes)),
    };
    let mut packed = Vec::new();
    encoder.read_to_end(&mut packed).await.unwrap();
    packed
}

fn numbers(ids: std::ops::Range<usize>, rest: &str) -> String {
    ids.map(|id| format!("{id}{rest}\n")).collect()
}

// Of bzip2, xz and zstd only the first member was read, without a word: half
// of what pbzip2, pzstd or an append had made.
#[tokio::test]
async fn every_member_of_a_compressed_object_is_read() {
    let mesh = Mesh::new(2);
    for ending in ENDINGS {
        let name = format!("b/x.csv.{ending}");
        let first = packed(ending, ("id\n".to_owned() + &numbers(0..5_000, "")).as_bytes()).await;
        // That these are no whole numbers the sample has to see.
        let second = packed(ending, numbers(5_000..10_000, ".5").as_bytes()).await;
        mesh.put(&name, [&first[..], &second].concat());
        let answer = mesh.sql(&format!("SELECT count(*), max(id) FROM '{name}'")).await.unwrap();
        assert!(answer.text().contains("| 10000 ") && answer.text().contains("| 9999.5 "), "{name}\n{}", answer.text());

        mesh.put(&name, [&first[..], &second[..second.len() / 2]].concat());
        let failed = mesh.sql(&format!("SELECT count(*) FROM lines('{name}')")).await.map(|answer| answer.text());
        assert!(matches!(&failed, Err(Error::BadData { object, .. }) if *object == name), "{name} {failed:?}");
    }
}

// pzstd writes a frame that is to be skipped before each one with data: the
// object was empty.
#[tokio::test]
async fn a_frame_to_be_skipped_is_no_end() {
    let mesh = Mesh::new(1);
    let skipped = b"\x50\x2a\x4d\x18\x04\0\0\0skip";
    let frame = packed("zst", b"id\n1\n2\n").await;
    mesh.put("b/x.csv.zst", [&skipped[..], &frame, skipped].concat());
    assert_eq!(mesh.sql("SELECT id FROM 'b/x.csv.zst'").await.unwrap().rows(), 2);
}

// 100 kB of compressed zeros are 100 MB of one line, which was gathered until
// the peer was killed, and the next one after it.
#[tokio::test]
async fn a_record_that_does_not_end_is_refused_before_it_takes_all_memory() {
    let mesh = Mesh::new(1);
    let zeros = vec![0; RECORD_BYTES_MAX + (1 << 20)];
    mesh.put("b/x.txt.gz", packed("gz", &zeros).await);
    let long = "x".repeat(zeros.len());
    mesh.put("b/plain.csv.zst", packed("zst", format!("a\n1\n{long}").as_bytes()).await);
    mesh.put("b/quoted.csv.zst", packed("zst", format!("a\n1\n\"{}", "\n".repeat(zeros.len())).as_bytes()).await);
    mesh.put("b/x.jsonl.zst", packed("zst", format!("{{\"a\":\"1\"}}\n{{\"a\":\"{long}").as_bytes()).await);
    for table in ["'b/x.txt.gz'", "words('b/x.txt.gz')", "'b/plain.csv.zst'", "'b/quoted.csv.zst'", "'b/x.jsonl.zst'"] {
        let failed = mesh.sql(&format!("SELECT * FROM {table}")).await.map(|answer| answer.rows());
        assert!(
            matches!(&failed, Err(Error::BadData { what, .. }) if what.contains("a record is longer than 8 MiB")),
            "{table} {failed:?}"
        );
    }
    // Many that do end are none the worse for it.
    let lines = "x\n".repeat(zeros.len() / 2);
    mesh.put("b/many.txt.zst", packed("zst", lines.as_bytes()).await);
    mesh.put("b/blank.csv.zst", packed("zst", format!("a\n1\n{}", "\n".repeat(zeros.len())).as_bytes()).await);
    assert_eq!(mesh.sql("SELECT count(*) FROM 'b/many.txt.zst'").await.unwrap().text().matches("4718592").count(), 1);
    assert_eq!(mesh.sql("SELECT a FROM 'b/blank.csv.zst'").await.unwrap().rows(), 1);
}
