//! SQL with no peer anywhere: local files are tables.

use std::path::Path;

use crate::mesh::{alone, complained, said};

fn place() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("trips")).unwrap();
    std::fs::write(dir.path().join("trips/a.csv"), "id,city,km\n1,Bern,2.5\n2,\"Biel, old\",4\n").unwrap();
    std::fs::write(dir.path().join("trips/b.csv"), "id,city,km\n3,\"Two\nlines\",1.5\n").unwrap();
    std::fs::write(dir.path().join("rows.jsonl"), "{\"id\":1,\"name\":\"x\"}\n{\"id\":2,\"name\":null}\n").unwrap();
    std::fs::write(dir.path().join("notes.txt"), "one\ntwo\nthree\n").unwrap();
    dir
}

fn check(dir: &Path, sql: &str, expected: &str) {
    let args = ["sql", sql, "--format", "csv"];
    assert_eq!(said(&args, alone(dir, &args, None)), expected, "{sql}");
}

#[test]
fn files_are_tables() {
    let dir = place();
    check(dir.path(), "SELECT count(*) AS n, sum(km) AS km FROM 'trips/*.csv'", "n,km\n3,8.0\n");
    check(dir.path(), "SELECT id FROM 'trips/b.csv' WHERE city LIKE '%lines'", "id\n3\n");
    check(dir.path(), "SELECT name FROM 'rows.jsonl' ORDER BY id", "name\nx\n\"\"\n");
    check(dir.path(), "SELECT line FROM 'notes.txt' ORDER BY line", "line\none\nthree\ntwo\n");
    check(dir.path(), "SELECT 1 + 1 AS two", "two\n2\n");
}

#[test]
fn compressed_files_are_tables_too() {
    let dir = place();
    let gzip = std::process::Command::new("gzip").arg("-k").arg(dir.path().join("trips/a.csv")).status();
    if !gzip.is_ok_and(|status| status.success()) {
        eprintln!("skipped: there is no gzip here");
        return;
    }
    check(dir.path(), "SELECT sum(km) AS km FROM 'trips/a.csv.gz'", "km\n6.5\n");
}

#[test]
fn a_result_is_written_as_parquet_and_read_again() {
    let dir = place();
    let args = ["sql", "SELECT * FROM 'trips/*.csv' ORDER BY id", "--format", "parquet", "-o", "out.parquet"];
    assert_eq!(said(&args, alone(dir.path(), &args, None)), "", "data goes into the file only");
    check(dir.path(), "SELECT id, km FROM 'out.parquet'", "id,km\n1,2.5\n2,4.0\n3,1.5\n");
}

#[test]
fn each_format_prints_the_same_rows() {
    let dir = place();
    let sql = "SELECT id, km FROM 'trips/a.csv' ORDER BY id";
    let json = ["sql", sql, "--format", "json"];
    assert_eq!(said(&json, alone(dir.path(), &json, None)), "{\"id\":1,\"km\":2.5}\n{\"id\":2,\"km\":4.0}\n");
    let table = ["sql", sql];
    let printed = said(&table, alone(dir.path(), &table, None));
    assert!(printed.contains("| 2.5 |"), "{printed}");
    let arrow = ["sql", sql, "--format", "arrow", "-o", "out.arrow"];
    said(&arrow, alone(dir.path(), &arrow, None));
    assert!(std::fs::metadata(dir.path().join("out.arrow")).unwrap().len() > 100);
}

#[test]
fn a_query_comes_from_an_argument_a_file_or_standard_input() {
    let dir = place();
    std::fs::write(dir.path().join("q.sql"), "SELECT 1 AS x").unwrap();
    for (args, input) in [
        (vec!["sql", "SELECT 1 AS x", "--format", "csv"], None),
        (vec!["sql", "-f", "q.sql", "--format", "csv"], None),
        (vec!["sql", "--format", "csv"], Some(&b"SELECT 1 AS x"[..])),
    ] {
        assert_eq!(said(&args, alone(dir.path(), &args, input)), "x\n1\n");
    }
}

#[test]
fn exit_codes_tell_wrong_requests_from_wrong_usage() {
    let dir = place();
    let wrong = ["sql", "SELECT nothing FROM 'trips/a.csv'"];
    let stderr = complained(1, &wrong, alone(dir.path(), &wrong, None));
    assert!(stderr.contains("nothing"), "{stderr}");
    let usage = ["sql", "--no-such-option"];
    complained(2, &usage, alone(dir.path(), &usage, None));
    let nobody = ["status"];
    let stderr = complained(3, &nobody, alone(dir.path(), &nobody, None));
    assert!(stderr.contains("shoal up"), "{stderr}");
}
