use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, ListArray, StringArray};
use arrow::datatypes::Int64Type;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::*;

fn batch() -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(vec![
        ("n", Arc::new(Int64Array::from(vec![Some(1), None])) as ArrayRef, true),
        ("t", Arc::new(StringArray::from(vec!["a,\"b\"", "ü"])), true),
        ("x", Arc::new(Float64Array::from(vec![0.1, -2.0])), true),
    ])
    .unwrap()
}

/// What is in the file once these batches are written.
fn written(format: RowFormat, batches: &[RecordBatch], schema: &SchemaRef) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("answer");
    let mut sink = Sink::new(format, Some(file.clone()));
    sink.begin(schema).unwrap();
    for batch in batches {
        sink.write(batch).unwrap();
    }
    assert!(!file.exists(), "the file has its name only once it is whole");
    sink.finish().unwrap();
    std::fs::read(file).unwrap()
}

#[test]
fn csv_is_quoted_where_it_must_be_and_null_is_empty() {
    let bytes = written(RowFormat::Csv, &[batch()], &batch().schema());
    assert_eq!(String::from_utf8(bytes).unwrap(), "n,t,x\n1,\"a,\"\"b\"\"\",0.1\n,ü,-2.0\n");
}

#[test]
fn csv_without_rows_has_its_header() {
    let bytes = written(RowFormat::Csv, &[], &batch().schema());
    assert_eq!(bytes, b"n,t,x\n");
}

#[test]
fn csv_shows_a_list_as_text() {
    let list = ListArray::from_iter_primitive::<Int64Type, _, _>(vec![Some(vec![Some(1), None]), None]);
    let batch = RecordBatch::try_from_iter(vec![("l", Arc::new(list) as ArrayRef)]).unwrap();
    let bytes = written(RowFormat::Csv, std::slice::from_ref(&batch), &batch.schema());
    assert_eq!(String::from_utf8(bytes).unwrap(), "l\n\"[1, null]\"\n\"\"\n");
}

#[test]
fn json_is_a_line_per_row_with_its_nulls() {
    let bytes = written(RowFormat::Json, &[batch()], &batch().schema());
    let text = String::from_utf8(bytes).unwrap();
    assert_eq!(text.lines().nth(1).unwrap(), r#"{"n":null,"t":"ü","x":-2.0}"#);
    assert_eq!(text.lines().count(), 2);
}

#[test]
fn arrow_and_parquet_read_back_the_same_rows() {
    let bytes = written(RowFormat::Arrow, &[batch(), batch()], &batch().schema());
    let reader = arrow::ipc::reader::FileReader::try_new(std::io::Cursor::new(bytes), None).unwrap();
    assert_eq!(reader.map(Result::unwrap).collect::<Vec<_>>(), [batch(), batch()]);
    let bytes = bytes::Bytes::from(written(RowFormat::Parquet, &[batch()], &batch().schema()));
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().build().unwrap();
    assert_eq!(reader.map(Result::unwrap).collect::<Vec<_>>(), [batch()]);
}

#[test]
fn a_parquet_file_without_rows_has_its_columns() {
    let bytes = bytes::Bytes::from(written(RowFormat::Parquet, &[], &batch().schema()));
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap();
    assert_eq!(reader.schema().fields().len(), 3);
}

#[test]
fn a_file_can_begin_anew_and_keeps_nothing_of_the_first_try() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("answer.csv");
    let mut sink = Sink::new(RowFormat::Csv, Some(file.clone()));
    sink.begin(&batch().schema()).unwrap();
    sink.write(&batch()).unwrap();
    assert!(sink.restart());
    sink.begin(&batch().schema()).unwrap();
    sink.finish().unwrap();
    assert_eq!(std::fs::read(&file).unwrap(), b"n,t,x\n");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file is left");
}

#[test]
fn the_format_follows_the_files_ending() {
    assert_eq!(RowFormat::of_file(Path::new("a/b.PARQUET")), Some(RowFormat::Parquet));
    assert_eq!(RowFormat::of_file(Path::new("b.ndjson")), Some(RowFormat::Json));
    assert_eq!(RowFormat::of_file(Path::new("b")), None);
}
