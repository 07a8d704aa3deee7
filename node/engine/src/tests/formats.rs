//! CSV, JSON, text and compressed objects, in the mesh and on a local disk.

use std::io::Write;
use std::num::NonZeroUsize;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use futures::future::{BoxFuture, FutureExt};
use shoal_ports::{Compute, Planning, TableFile, TableSource};
use shoal_types::{ChunkId, Error, JobPlan, Query, Result};
use tempfile::TempDir;

use super::mesh::{Answer, Asker, Mesh};
use crate::{EngineConfig, fingerprint, plain_session};

/// CSV with newlines, quotes and commas in its values.
fn csv(rows: usize) -> String {
    let mut text = String::from("id,note,price\n");
    for at in 0..rows {
        match at % 5 {
            0 => text += &format!("{at},\"two\nlines, {at}\",{at}.5\n"),
            1 => text += &format!("{at},\"a \"\"quoted\"\" word\",\n"),
            2 => text += &format!("{at},,1e3\n"),
            _ => text += &format!("{at},plain {at},-{at}\n"),
        }
    }
    text
}

fn json(rows: usize) -> String {
    (0..rows)
        .map(|at| format!("{{\"id\": {at}, \"name\": \"n{at}\", \"tags\": [{at}, 1], \"at\": {{\"x\": {at}.25}}}}\n"))
        .collect()
}

#[tokio::test]
async fn csv_with_newlines_in_values_is_read_once_whatever_the_chunks() {
    let text = csv(4000);
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("t.csv");
    std::fs::write(&path, &text).unwrap();
    let oracle = plain_session(NonZeroUsize::MIN);
    // It cannot guess the types itself: it takes samples apart at newlines within quotes.
    let schema = Schema::new(vec![
        Field::new("id", DataType::Int64, true),
        Field::new("note", DataType::Utf8, true),
        Field::new("price", DataType::Float64, true),
    ]);
    let options = datafusion::prelude::CsvReadOptions::new().newlines_in_values(true).schema(&schema);
    oracle.register_csv("t", path.to_str().unwrap(), options).await.unwrap();
    for sql in [
        "SELECT * FROM t",
        "SELECT count(*), sum(price), count(note), max(id) FROM t",
        "SELECT price FROM t WHERE id = 7",
    ] {
        let expected = fingerprint(&oracle.sql(sql).await.unwrap().collect().await.unwrap()).unwrap();
        for target in [500, 5000, 1 << 20] {
            let mesh = Mesh::with(2, |config| EngineConfig { scan_bytes_target: 8 << 10, ..config });
            mesh.put_cut(
                "b/t.csv",
                text.clone(),
                crate::CutLimits { target_bytes: target, max_bytes: 1 << 20, min_bytes: 100 },
            );
            let answer = mesh.sql(sql).await.unwrap();
            assert_eq!(answer.fingerprint, expected, "{sql} cut at {target}\n{}", answer.text());
            assert_eq!(answer.plan.stages[0].partitions > 1, target < 1 << 20, "{sql} cut at {target}");
            let local = local(&path, sql).await.unwrap();
            assert_eq!(local.fingerprint, expected, "{sql} on a local disk");
            assert!(local.plan.stages[0].partitions > 1, "{sql} on a local disk");
        }
    }
}

#[tokio::test]
async fn a_ragged_row_is_an_error_that_names_its_line() {
    // Past what the sample sees, so that the scan meets it.
    let mut text = csv(60_000);
    let lines = text.matches('\n').count();
    text += "77,one field too many,1,2\n";
    text += &csv(100)["id,note,price\n".len()..];
    let mesh = Mesh::new(2);
    mesh.put("b/t.csv", text);
    let Err(Error::BadData { object, what, hint }) = mesh.sql("SELECT count(note) FROM t").await else { panic!() };
    assert_eq!(object, "b/t.csv");
    assert!(what.starts_with(&format!("line {}: ", lines + 1)), "{what}");
    assert!(what.contains("expected 3") && !hint.is_empty(), "{what}; {hint}");

    mesh.put("b/short.csv", "a,b\n1,2\n3\n");
    let Err(Error::BadData { what, .. }) = mesh.sql("SELECT * FROM short").await else { panic!() };
    assert!(what.contains("line"), "{what}");
}

#[tokio::test]
async fn a_value_that_is_not_of_its_columns_type_names_its_line() {
    let mut text = String::from("a,b\n");
    (0..100_000).for_each(|at| text += &format!("{at},{at}\n"));
    text += "x,1\n";
    (0..50_000).for_each(|at| text += &format!("{at},{at}\n"));
    let mesh = Mesh::new(1);
    mesh.put("b/t.csv", text);
    let Err(Error::BadData { what, .. }) = mesh.sql("SELECT sum(a) FROM t").await else { panic!() };
    assert!(what.starts_with("line 100002: "), "{what}");
}

#[tokio::test]
async fn files_of_one_table_match_columns_by_name() {
    let mesh = Mesh::new(2);
    mesh.put("b/m1.csv", "a,b\n1,x\n2,y\n");
    mesh.put("b/m2.csv", "b,c,a\nz,true,3.5\n");
    mesh.put("b/m3.csv", "");
    let answer = mesh.sql("SELECT a, b, c FROM 'b/m*.csv' ORDER BY a").await.unwrap();
    let expected = "\
+-----+---+------+
| a   | b | c    |
+-----+---+------+
| 1.0 | x |      |
| 2.0 | y |      |
| 3.5 | z | true |
+-----+---+------+";
    assert_eq!(answer.text(), expected);
}

#[tokio::test]
async fn json_lines_give_their_members_as_columns() {
    let mesh = Mesh::new(2);
    mesh.put("b/j.jsonl", json(3000));
    assert!(mesh.chunks_of("b/j.jsonl") > 5);
    let answer = mesh.sql("SELECT count(*), sum(id), max(name), sum(tags[1]), sum(at['x']) FROM j").await.unwrap();
    assert!(answer.text().contains("| 3000     | 4498500   | n999"), "{}", answer.text());
    assert!(answer.text().contains("4498500 ") && answer.text().contains("4499250.0"), "{}", answer.text());
    assert_eq!(mesh.sql("SELECT count(*) FROM j").await.unwrap().text().matches("3000").count(), 1);

    let mut broken = json(20_000);
    broken += "{\"id\": 1\n";
    mesh.put("b/broken.json", broken + &json(40_000));
    match mesh.sql("SELECT sum(id) FROM broken").await.map(|answer| answer.text()) {
        Err(Error::BadData { what, .. }) => assert!(what.starts_with("line 20001") || what.contains("20002"), "{what}"),
        other => panic!("{other:?}"),
    }
    mesh.put("b/array.json", "[{\"a\": 1}]");
    assert!(matches!(mesh.sql("SELECT * FROM 'b/array.json'").await, Err(Error::BadData { .. })));
}

#[tokio::test]
async fn text_is_lines_and_words() {
    let mesh = Mesh::new(2);
    let text = "To be, or not to be\nthat is the question\n".repeat(3000);
    mesh.put("b/hamlet.txt", text.clone());
    mesh.put("b/more.log", "the last line");
    let count = "SELECT word, count(*) AS c FROM words('b/*.*') GROUP BY word ORDER BY c DESC, word LIMIT 3";
    let answer = mesh.sql(count).await.unwrap();
    let rows: Vec<&str> =
        answer.text().lines().skip(3).take(3).map(str::trim).map(|row| row.to_owned().leak() as &str).collect();
    assert_eq!(rows, ["| be   | 6000 |", "| to   | 6000 |", "| the  | 3001 |"]);
    assert!(answer.plan.stages[0].partitions > 1);
    let files = mesh
        .sql("SELECT file, count(*) AS n, max(lines.line) AS last FROM lines('b/*') GROUP BY file ORDER BY file")
        .await
        .unwrap();
    assert!(files.text().contains("| b/hamlet.txt | 6000 | that is the question |"), "{}", files.text());
    assert!(files.text().contains("| b/more.log   | 1    | the last line        |"), "{}", files.text());
    assert_eq!(mesh.sql("SELECT line FROM hamlet").await.unwrap().rows(), 6000);
    assert_eq!(mesh.sql("SELECT line FROM read_text('b/more.log') WHERE line LIKE 'the%'").await.unwrap().rows(), 1);
}

#[tokio::test]
async fn a_compressed_object_is_read_as_what_is_in_it() {
    let mesh = Mesh::new(2);
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("t.csv");
    std::fs::write(&path, csv(2000)).unwrap();
    let zipped = std::process::Command::new("gzip").arg("-c").arg(&path).output().unwrap().stdout;
    mesh.put("b/z.csv.gz", zipped.clone());
    let answer = mesh.sql("SELECT count(*), max(id) FROM z").await.unwrap();
    assert!(answer.text().contains("| 2000     | 1999"), "{}", answer.text());
    assert_eq!(mesh.sql("SELECT * FROM lines('b/z.csv.gz')").await.unwrap().rows(), csv(2000).lines().count());

    mesh.put("b/cut.csv.gz", zipped[..zipped.len() / 2].to_vec());
    let failed = mesh.sql("SELECT count(*) FROM 'b/cut.csv.gz'").await.map(|answer| answer.text());
    assert!(matches!(failed, Err(Error::BadData { .. })), "{failed:?}");
}

#[tokio::test]
async fn what_is_not_what_its_name_says_is_bad_data() {
    let mesh = Mesh::new(1);
    let whole = crate::CutLimits { target_bytes: 1 << 20, max_bytes: 1 << 20, min_bytes: 1 };
    mesh.put_cut("b/x.bin", "no parquet at all, only text, and that at some length: it has to be a chunk", whole);
    assert!(matches!(mesh.sql("SELECT * FROM read_parquet('b/x.bin')").await, Err(Error::BadData { .. })));
    assert!(matches!(mesh.sql("SELECT * FROM 'b/x.bin'").await, Err(Error::Invalid { .. })));
}

/// A query over local files, as one peer alone runs it.
async fn local(path: &std::path::Path, sql: &str) -> Result<Answer> {
    let mesh = Mesh::with(1, |config| EngineConfig { scan_bytes_target: 8 << 10, ..config });
    let files = LocalFiles { asker: Asker(Arc::clone(&mesh)), path: path.to_str().unwrap().into() };
    let plan = mesh.engines[0].plan(Query::new(sql), Arc::new(files)).await?;
    mesh.run(plan, Query::TASK_MEMORY_BYTES).await
}

/// A planner's answers where every table is one local file.
struct LocalFiles {
    asker: Asker,
    path: String,
}

impl Planning for LocalFiles {
    fn resolve(&self, _: String) -> BoxFuture<'static, Result<Vec<TableFile>>> {
        let bytes = std::fs::metadata(&self.path).unwrap().len();
        let source = TableSource::Local { path: self.path.clone(), bytes };
        let file = TableFile { name: self.path.clone(), source };
        async move { Ok(vec![file]) }.boxed()
    }

    fn read_chunk(&self, chunk: ChunkId, range: Option<(u32, u32)>) -> BoxFuture<'static, Result<bytes::Bytes>> {
        self.asker.read_chunk(chunk, range)
    }

    fn evaluate(&self, plan: JobPlan) -> BoxFuture<'static, Result<Vec<bytes::Bytes>>> {
        self.asker.evaluate(plan)
    }
}

#[tokio::test]
async fn local_parquet_lines_and_json_are_cut_like_objects() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("lineitem.parquet");
    std::fs::write(&path, super::tpch::table("lineitem")).unwrap();
    let answer = local(&path, "SELECT l_returnflag, count(*) FROM lineitem GROUP BY l_returnflag").await.unwrap();
    assert!(answer.plan.stages.iter().any(|stage| stage.partitions > 4));
    assert!(answer.reports.iter().map(|report| report.scanned_local_bytes).sum::<u64>() > 0);

    let path = dir.path().join("t.json");
    std::fs::File::create(&path).unwrap().write_all(json(5000).as_bytes()).unwrap();
    let answer = local(&path, "SELECT count(*), sum(id) FROM t").await.unwrap();
    assert!(answer.text().contains("12497500") && answer.plan.stages[0].partitions > 4, "{}", answer.text());
}
