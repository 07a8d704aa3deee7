//! Records that are odd: with quotes where none open, or longer than most.

use shoal_types::Error;

use super::compressed::packed;
use super::mesh::Mesh;
use crate::scan::RECORD_BYTES_MAX;
use crate::{CutLimits, EngineConfig};

/// Chunks that are longer than a sample.
const LONG: CutLimits = CutLimits { target_bytes: 4 << 20, max_bytes: 8 << 20, min_bytes: 1 << 20 };

// A sample ended where the quotes before it were even in number. After one
// inch mark that was nowhere, so that all columns were text, or within quotes,
// so that the file was refused for half a record.
#[tokio::test]
async fn an_inch_mark_opens_no_quotes_for_the_sample_either() {
    let mesh = Mesh::new(1);
    let mut plain = String::from("id,note\n0,5\" disk\n");
    (1..60_000).for_each(|id| plain += &format!("{id},a plain note\n"));
    mesh.put_cut("b/plain.csv", plain, LONG);
    let mut quoted = String::from("note,id\n5\" disk,0\n");
    (1..60_000).for_each(|id| quoted += &format!("\"two\nlines\",{id}\n"));
    mesh.put_cut("b/quoted.csv", quoted, LONG);
    for table in ["plain", "quoted"] {
        let answer = mesh.sql(&format!("SELECT max(id) + 1 AS next, arrow_typeof(max(id)) AS t FROM {table}")).await;
        let text = answer.unwrap().text();
        assert!(text.contains("| 60000 | Int64 |"), "{table}\n{text}");
    }
}

// A record of more than the 64 MiB of a chunk, or one with a quote that never
// closes, is cut at a line within its quotes: it was read as several.
#[tokio::test]
async fn a_csv_record_longer_than_a_chunk_is_told() {
    let limits = CutLimits { target_bytes: 100, max_bytes: 400, min_bytes: 10 };
    let mesh = Mesh::with(1, |config| EngineConfig { scan_bytes_target: 1, ..config });
    let long = format!("a\nx\n\"{}\"\ny\n", "line\n".repeat(200));
    let endless = format!("a\nx\n\"{}", "line\n".repeat(200));
    for (name, text) in [("b/long.csv", &long), ("b/endless.csv", &endless)] {
        mesh.put_cut(name, text.clone(), limits);
        let failed = mesh.sql(&format!("SELECT count(*) FROM '{name}'")).await.map(|answer| answer.text());
        assert!(
            matches!(&failed, Err(Error::BadData { what, .. }) if what.contains("is longer than a chunk")),
            "{name} {failed:?}"
        );
    }
    mesh.put("b/long.csv.gz", packed("gz", long.as_bytes()).await);
    assert_eq!(mesh.sql("SELECT a FROM 'b/long.csv.gz'").await.unwrap().rows(), 3);
}

// The sample was nothing, and so were the columns.
#[tokio::test]
async fn a_first_record_longer_than_a_sample_still_has_columns() {
    let mesh = Mesh::new(1);
    let long = "x".repeat(700 << 10);
    mesh.put_cut("b/x.jsonl", format!("{{\"a\": \"{long}\", \"b\": 1}}\n{{\"a\": \"y\", \"b\": 2}}\n"), LONG);
    mesh.put_cut("b/x.csv", format!("a,\"{long}\"\n1,2\n"), LONG);
    let answer = mesh.sql("SELECT sum(b), count(a) FROM 'b/x.jsonl'").await.unwrap();
    assert!(answer.text().contains("| 3 "), "{}", answer.text());
    assert_eq!(mesh.sql("SELECT a FROM 'b/x.csv'").await.unwrap().rows(), 1);
}

// Its sample was cut down to nothing, for want of a newline, and beside a file
// that gave the table its columns its rows were missing without a word.
#[tokio::test]
async fn a_csv_that_has_carriage_returns_alone_is_read_beside_others() {
    let mesh = Mesh::new(1);
    mesh.put_cut("b/a.csv", "id\r".to_owned() + &"1\r".repeat(400_000), LONG);
    mesh.put("b/b.csv", "id\n5\n");
    let answer = mesh.sql("SELECT count(*), sum(id) FROM 'b/*.csv'").await.unwrap();
    assert!(answer.text().contains("| 400001   | 400005 "), "{}", answer.text());
}

#[tokio::test]
async fn a_file_whose_first_record_is_longer_than_any_sample_is_refused_beside_others_too() {
    let mesh = Mesh::new(1);
    let long = "x".repeat(RECORD_BYTES_MAX + 1);
    mesh.put("b/a.csv", "id\n5\n");
    mesh.put("b/b.csv.gz", packed("gz", format!("{long}\n1\n").as_bytes()).await);
    mesh.put("b/c.csv.gz", packed("gz", format!("\"{long}\n1\n").as_bytes()).await);
    mesh.put("b/a.jsonl", "{\"id\": 5}\n");
    mesh.put("b/b.jsonl.gz", packed("gz", format!("{{\"id\": \"{long}\"}}\n").as_bytes()).await);
    for table in ["'b/*.csv*'", "'b/c.csv*'", "'b/*.jsonl*'"] {
        let failed = mesh.sql(&format!("SELECT id FROM {table}")).await.map(|answer| answer.text());
        assert!(
            matches!(&failed, Err(Error::BadData { what, .. }) if what == "its first record is longer than 8 MiB"),
            "{table} {failed:?}"
        );
    }
}

// Nothing of its first bytes is a column, but something of those behind them is.
#[tokio::test]
async fn a_csv_with_more_blank_lines_than_a_sample_is_told() {
    let mesh = Mesh::new(1);
    mesh.put_cut("b/a.csv", "\n".repeat(600 << 10) + "id\n1\n", LONG);
    mesh.put("b/b.csv", "id\n5\n");
    mesh.put("b/blank.csv", "\n\r\n");
    let failed = mesh.sql("SELECT id FROM 'b/?.csv'").await.map(|answer| answer.text());
    assert!(matches!(&failed, Err(Error::BadData { what, .. }) if what.contains("blank lines")), "{failed:?}");
    assert_eq!(mesh.sql("SELECT id FROM 'b/b*.csv'").await.unwrap().rows(), 1);
}
