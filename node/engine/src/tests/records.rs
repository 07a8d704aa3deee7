//! Records that are odd: with quotes where none open, or longer than most.

use super::mesh::Mesh;
use crate::CutLimits;

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
