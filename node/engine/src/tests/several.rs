//! Tables of several files that are not alike.

use shoal_types::Error;

use super::mesh::Mesh;

// All files were read with the separator of the first one.
#[tokio::test]
async fn each_file_of_a_table_has_its_own_separator() {
    let mesh = Mesh::new(2);
    mesh.put("b/a.csv", "x,y\n1,\"a\tb\"\n");
    mesh.put("b/b.tsv", "x\ty\n2\tc,d\n3\t\"e\nf\"\n");
    for table in ["'b/*'", "read_csv('b/*')"] {
        let answer = mesh.sql(&format!("SELECT sum(x), max(y) FROM {table}")).await.unwrap();
        assert!(answer.text().contains("| 6 "), "{table}\n{}", answer.text());
        assert_eq!(answer.table().num_columns(), 2);
        let whole = mesh.sql(&format!("SELECT * FROM {table}")).await.unwrap();
        assert_eq!((whole.rows(), whole.table().num_columns()), (3, 2), "{table}\n{}", whole.text());
    }
    // What is wrong with one is told by its own separator too.
    let records = "4\t\"h\ni\"\n";
    mesh.put("b/c.tsv", format!("x\ty\n{}z\tg\n{}", records.repeat(60_000), records.repeat(20_000)));
    let failed = mesh.sql("SELECT sum(x) FROM 'b/*'").await.map(|answer| answer.text());
    assert!(matches!(&failed, Err(Error::BadData { what, .. }) if what.starts_with("line 120002: ")), "{failed:?}");
}

// JSON lines beside a CSV were read as CSV, the first of them as its header.
#[tokio::test]
async fn files_of_different_formats_are_no_table() {
    let mesh = Mesh::new(1);
    mesh.put("b/a.csv", "x\n1\n");
    mesh.put("b/b.jsonl", "{\"x\": 1}\n{\"x\": 2}\n");
    mesh.put("b/c.csv.gz", super::compressed::packed("gz", b"x\n2\n").await);
    let failed = mesh.sql("SELECT * FROM 'b/*'").await.map(|answer| answer.text());
    assert!(
        matches!(&failed, Err(Error::Invalid { what, .. }) if what.contains("b/a.csv") && what.contains("b/b.jsonl")),
        "{failed:?}"
    );
    assert_eq!(mesh.sql("SELECT * FROM 'b/*.csv*'").await.unwrap().rows(), 2);
    assert_eq!(mesh.sql("SELECT * FROM lines('b/*')").await.unwrap().rows(), 6);
}

// They were refused beside those of a known format.
#[tokio::test]
async fn files_of_no_known_format_are_read_like_those_beside_them() {
    let mesh = Mesh::new(1);
    mesh.put("b/a.log", "one\ntwo\n");
    mesh.put("b/a.log.1", "three\n");
    mesh.put("c/0", "x\n1\n");
    mesh.put("c/1.csv", "x\n2\n");
    assert_eq!(mesh.sql("SELECT line FROM 'b/a.log*'").await.unwrap().rows(), 3);
    let answer = mesh.sql("SELECT sum(x) FROM 'c/*'").await.unwrap();
    assert!(answer.text().contains("| 3 "), "{}", answer.text());
    mesh.put("c/2.jsonl", "{\"x\": 1}\n");
    let failed = mesh.sql("SELECT * FROM 'c/*'").await.map(|answer| answer.text());
    assert!(
        matches!(&failed, Err(Error::Invalid { what, .. }) if what.contains("c/1.csv") && what.contains("c/2.jsonl")),
        "{failed:?}"
    );
    mesh.put("d/0", "x\ty\n1\ta,b\n");
    mesh.put("d/1.tsv", "x\ty\n2\t\n");
    for table in ["'d/*'", "read_csv('d/*')"] {
        let answer = mesh.sql(&format!("SELECT sum(x), max(y) FROM {table}")).await.unwrap();
        assert!(answer.text().contains("| 3 ") && answer.text().contains("| a,b "), "{table}\n{}", answer.text());
    }
    assert!(matches!(mesh.sql("SELECT * FROM 'c/0'").await, Err(Error::Invalid { .. })));
}
