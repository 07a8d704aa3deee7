//! Objects as tables, in a mesh of one in this process.

use bytes::Bytes;
use futures::{StreamExt, stream};
use shoal_engine::read_frames;
use shoal_runtime::{CopyVersion, PutCondition, Said, Update};
use shoal_types::{AppendId, Error, Format, ObjectName, Query, Result};

use super::Embedded;

fn name(text: &str) -> ObjectName {
    text.parse().unwrap()
}

impl Embedded {
    async fn of_objects() -> Self {
        Self::with(None).await.unwrap()
    }

    async fn put(&self, object: &str, content: impl Into<Bytes>) {
        let body = stream::iter([Ok(content.into())]).boxed();
        self.running.peer.put(name(object), Said::default(), PutCondition::Always, body).await.unwrap();
    }

    async fn copy(&self, from: &str, to: &str) -> Format {
        let copied = self.running.peer.copy(name(from), name(to), CopyVersion::Now, PutCondition::Always).await;
        copied.unwrap().format
    }

    /// The rows of an answer, and its columns.
    async fn sql(&self, sql: &str) -> Result<(usize, usize)> {
        let mut updates = self.running.peer.query(Query::new(sql)).await?.updates;
        let mut frames = Vec::new();
        while let Some(update) = updates.next().await {
            if let Update::Frame(frame) = update? {
                frames.push(frame);
            }
        }
        let (schema, batches) = read_frames(frames)?;
        Ok((batches.iter().map(|batch| batch.num_rows()).sum(), schema.fields().len()))
    }
}

// What was `b/t[1].csv` to everything else was, to a query, whatever had the
// name `b/t1.csv`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_has_the_very_name_of_an_object_is_that_object() {
    let mesh = Embedded::of_objects().await;
    mesh.put("b/t[1].csv", "x\n1\n2\n3\n").await;
    mesh.put("b/t1.csv", "x\n1\n").await;
    mesh.put("b/c*.csv", "x\n1\n2\n").await;
    mesh.put("b/cc.csv", "x\n1\n").await;
    let rows = async |table: &str| mesh.sql(&format!("SELECT * FROM '{table}'")).await.unwrap().0;
    assert_eq!(rows("b/t[1].csv").await, 3);
    assert_eq!(rows("b/c*.csv").await, 2);
    // What it escapes is no part of the name.
    assert_eq!(rows("b/t\\[[1]\\].csv").await, 3);
    assert_eq!(rows("b/t[1]*.csv").await, 1);
    assert!(matches!(mesh.sql("SELECT * FROM 'b/u[1].csv'").await, Err(Error::NotFound { .. })));
}

// A copy keeps its chunks: a CSV that became a TSV had ones that were cut where,
// between tabs, no record ends, and was read as records that are none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_csv_that_becomes_a_tsv_is_read_as_a_whole() {
    let mesh = Embedded::of_objects().await;
    // By commas each line is a record, by tabs twenty are.
    let (records, lines) = (24_000, "a line, and of some length too, to it\n".repeat(20));
    let content = format!("a\tb\n{}", format!("1\t\"{lines}\"\n").repeat(records));
    mesh.put("b/t.csv", content).await;
    assert!(mesh.running.peer.stat(name("b/t.csv")).await.unwrap().chunks.len() > 1);
    assert_eq!(mesh.copy("b/t.csv", "b/u.csv").await, Format::Csv);
    assert_eq!(mesh.copy("b/t.csv", "b/t.tsv").await, Format::Bytes);
    assert_eq!(mesh.sql("SELECT * FROM 'b/t.tsv'").await.unwrap(), (records, 2));
    // It goes on being one object of which no chunk is read alone.
    let more = stream::iter([Ok(Bytes::from("1\t\"x\ny\"\n"))]).boxed();
    let appended = mesh.running.peer.append(name("b/t.tsv"), None, AppendId::from_bytes([1; 16]), None, more).await;
    assert_eq!(appended.unwrap().format, Format::Bytes);
}
