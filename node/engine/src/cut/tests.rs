use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::ParquetMetaDataReader;
use parquet::file::properties::WriterProperties;
use proptest::prelude::*;
use shoal_ports::Cutter;
use shoal_types::{Error, Format};

use super::parquet::ParquetCutter;
use super::{CutLimits, cutter};

const SMALL: CutLimits = CutLimits { target_bytes: 100, max_bytes: 400, min_bytes: 10 };

/// The chunks of `bytes`, given in pieces that end at `ends`.
fn cut_in_pieces(mut cutter: Box<dyn Cutter>, bytes: &Bytes, ends: &[usize]) -> Result<Vec<Bytes>, Error> {
    let mut chunks = Vec::new();
    let mut at = 0;
    for end in ends.iter().copied().chain([bytes.len()]) {
        let end = end.clamp(at, bytes.len());
        chunks.extend(cutter.push(bytes.slice(at..end))?);
        at = end;
    }
    chunks.extend(cutter.finish()?);
    assert!(cutter.finish()?.is_empty() && cutter.finish_some()?.is_empty(), "after the end nothing is left");
    Ok(chunks)
}

/// Cuts, and checks what holds for every format.
fn check(name: &str, format: Format, bytes: impl Into<Bytes>) -> Vec<Bytes> {
    let bytes = bytes.into();
    let chunks = cut_in_pieces(cutter(name, format, SMALL), &bytes, &[]).unwrap();
    assert_eq!(chunks.concat(), bytes, "the concatenation is the input");
    for (at, chunk) in chunks.iter().enumerate() {
        assert!(chunk.len() <= SMALL.max_bytes, "{}", chunk.len());
        assert!(!chunk.is_empty());
        let last = at + 1 == chunks.len();
        assert!(format == Format::Parquet || last || chunk.len() >= SMALL.min_bytes, "{}", chunk.len());
    }
    let one_by_one: Vec<usize> = (0..bytes.len()).collect();
    assert_eq!(cut_in_pieces(cutter(name, format, SMALL), &bytes, &one_by_one).unwrap(), chunks, "byte by byte");
    chunks
}

fn lengths(chunks: &[Bytes]) -> Vec<usize> {
    chunks.iter().map(Bytes::len).collect()
}

#[test]
fn nothing_has_no_chunks() {
    for format in Format::ALL.iter().copied() {
        assert!(check("b/x", format, "").is_empty(), "{format:?}");
    }
}

#[test]
fn plain_bytes_are_cut_at_the_target_and_a_small_rest_goes_with_the_last() {
    assert_eq!(lengths(&check("b/x", Format::Bytes, vec![0; 250])), [100, 100, 50]);
    assert_eq!(lengths(&check("b/x", Format::Bytes, vec![0; 205])), [100, 105]);
    assert_eq!(lengths(&check("b/x", Format::Bytes, vec![0; 100])), [100]);
}

#[test]
fn text_is_cut_after_the_newline_nearest_the_target() {
    let line = |bytes: usize| "x".repeat(bytes - 1) + "\n";
    assert_eq!(lengths(&check("b/x", Format::Text, line(90) + &line(90))), [90, 90]);
    assert_eq!(lengths(&check("b/x", Format::Text, line(60) + &line(50) + &line(90))), [110, 90]);
    assert_eq!(lengths(&check("b/x", Format::Json, line(300) + &line(80))), [300, 80]);
    assert_eq!(lengths(&check("b/x", Format::Text, line(5) + &line(300) + "no newline")), [305, 10]);
}

#[test]
fn a_line_longer_than_the_maximum_is_cut_at_the_maximum() {
    let text = "x".repeat(950) + "\n" + &"y".repeat(50);
    assert_eq!(lengths(&check("b/x", Format::Text, text)), [400, 400, 151, 50]);
}

#[test]
fn csv_is_never_cut_inside_quotes() {
    let record = format!("1,\"{}\",\"he said \"\"no\n\"\"\"\n", "line\n".repeat(15));
    let chunks = check("b/x.csv", Format::Csv, record.repeat(20));
    assert!(chunks.len() > 5);
    for chunk in chunks {
        assert_eq!(chunk.len() % record.len(), 0);
    }
}

#[test]
fn a_quote_inside_a_field_opens_nothing() {
    let record = "a 5\" disk,say \"hi\",\"x\"y\",z\n";
    for chunk in check("b/x.csv", Format::Csv, record.repeat(50)) {
        assert_eq!(chunk.len() % record.len(), 0);
    }
}

#[test]
fn fields_of_a_tsv_begin_after_tabs() {
    let record = format!("a\t\"{}\"\tb,\"c\n", "line\n".repeat(12));
    for chunk in check("b/X.TSV", Format::Csv, record.repeat(20)) {
        assert_eq!(chunk.len() % record.len(), 0);
    }
}

#[test]
fn a_quote_after_a_byte_order_mark_opens() {
    let first = format!("\u{feff}\"{}\",b\n", "line\n".repeat(19));
    let chunks = check("b/x.csv", Format::Csv, first.clone() + &"1,2\n".repeat(30));
    assert_eq!(chunks[0].len(), first.len());
}

#[test]
fn a_quote_that_never_closes_still_cuts_at_a_line() {
    let chunks = check("b/x.csv", Format::Csv, "\"".to_owned() + &"0123456\n".repeat(200));
    assert!(chunks.len() > 3);
    assert!(chunks.iter().all(|chunk| chunk.ends_with(b"\n")));
}

/// A file of `groups` row groups of `rows` rows.
fn parquet(groups: usize, rows: usize) -> Bytes {
    let column = |from: usize| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values((from..from + rows).map(|n| n as i64 * 7919)))
    };
    let text = |from: usize| -> ArrayRef {
        Arc::new(StringArray::from_iter_values((from..from + rows).map(|n| format!("row {n}"))))
    };
    let batch =
        |group: usize| RecordBatch::try_from_iter([("n", column(group * rows)), ("text", text(group * rows))]).unwrap();
    let properties =
        WriterProperties::builder().set_max_row_group_row_count(Some(rows)).set_bloom_filter_enabled(true).build();
    let mut file = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut file, batch(0).schema(), Some(properties)).unwrap();
    for group in 0..groups {
        writer.write(&batch(group)).unwrap();
        writer.flush().unwrap();
    }
    writer.close().unwrap();
    file.into()
}

/// The first byte of each row group.
fn group_starts(file: &Bytes) -> Vec<usize> {
    let metadata = ParquetMetaDataReader::new().parse_and_finish(file).unwrap();
    metadata.row_groups().iter().map(|group| group.column(0).byte_range().0 as usize).collect()
}

#[test]
fn parquet_is_cut_between_row_groups_and_before_what_follows_the_last() {
    let file = parquet(6, 1000);
    let starts = group_starts(&file);
    let group_bytes = starts[1] - starts[0];
    let limits =
        CutLimits { target_bytes: 2 * group_bytes + group_bytes / 2, max_bytes: 10 * group_bytes, min_bytes: 100 };
    let chunks = cut_in_pieces(cutter("b/x.parquet", Format::Parquet, limits), &file, &[1, 3, 7000]).unwrap();
    assert_eq!(chunks.concat(), file);
    assert_eq!(chunks.len(), 4, "two groups each, and the footer");
    let mut at = 0;
    for chunk in &chunks[..3] {
        assert!(at == 0 || starts.contains(&at), "{at}");
        at += chunk.len();
    }
    assert!(chunks[0].starts_with(b"PAR1") && chunks[3].ends_with(b"PAR1"));
    let again = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(chunks.concat())).unwrap().build().unwrap();
    assert_eq!(again.map(|batch| batch.unwrap().num_rows()).sum::<usize>(), 6000);
}

#[test]
fn a_parquet_file_that_does_not_fit_into_memory_has_the_same_chunks() {
    let file = parquet(5, 1000);
    let limits = CutLimits { target_bytes: 8000, max_bytes: 20_000, min_bytes: 100 };
    let pieces: Vec<usize> = (0..file.len()).step_by(777).collect();
    let in_memory = cut_in_pieces(cutter("b/x.parquet", Format::Parquet, limits), &file, &pieces).unwrap();
    let spooled = Box::new(ParquetCutter::with_memory("b/x.parquet", limits, 5000));
    assert_eq!(cut_in_pieces(spooled, &file, &pieces).unwrap(), in_memory);
    let mut some_at_a_time = ParquetCutter::with_memory("b/x.parquet", limits, 5000);
    some_at_a_time.push(file).unwrap();
    for chunk in in_memory {
        assert_eq!(some_at_a_time.finish_some().unwrap(), [chunk]);
    }
    assert!(some_at_a_time.finish_some().unwrap().is_empty());
}

#[test]
fn what_is_no_whole_parquet_file_is_bad_data_with_a_way_out() {
    let whole = parquet(2, 100);
    let tail = whole.len() - 8;
    let with = |at: usize, bytes: &[u8]| {
        let mut file = whole.to_vec();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        Bytes::from(file)
    };
    let cases = [
        ("a text", Bytes::from_static(b"this is not a Parquet file, is it?")),
        ("too short", Bytes::from_static(b"PAR1")),
        ("without its end", whole.slice(..whole.len() - 1)),
        ("a footer longer than the file", with(tail, &u32::MAX.to_le_bytes())),
        ("a footer that is none", with(tail, &40u32.to_le_bytes())),
        ("encrypted", with(tail + 4, b"PARE")),
        ("row groups outside", [&whole[..4], &whole[group_starts(&whole)[1]..]].concat().into()),
    ];
    for (case, file) in cases {
        let result = cut_in_pieces(cutter("b/x.parquet", Format::Parquet, SMALL), &file, &[]);
        let Err(Error::BadData { object, hint, .. }) = result else { panic!("{case}: {result:?}") };
        assert_eq!((object.as_str(), hint.as_str()), ("b/x.parquet", "store it as plain bytes with --format bytes"));
    }
}

#[test]
fn what_only_began_as_parquet_has_the_chunks_of_plain_bytes() {
    let file = parquet(5, 1000).slice(..40_000);
    let limits = CutLimits { target_bytes: 8000, max_bytes: 20_000, min_bytes: 100 };
    let mut cutting = ParquetCutter::with_memory("b/x", limits, 5000);
    cutting.push(file.clone()).unwrap();
    assert!(cutting.finish_some().is_err() && cutting.turn_plain());
    let mut chunks = Vec::new();
    loop {
        let some = cutting.finish_some().unwrap();
        if some.is_empty() {
            break;
        }
        chunks.extend(some);
    }
    assert_eq!(chunks, cut_in_pieces(cutter("b/x", Format::Bytes, limits), &file, &[]).unwrap());
}

/// Bytes with many quotes, delimiters and newlines.
fn messy() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![4 => Just(b'x'), 1 => Just(b'"'), 1 => Just(b','), 1 => Just(b'\n'), 1 => any::<u8>()];
    prop::collection::vec(byte, 0..3000)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn chunks_depend_on_the_content_alone_and_join_to_it(
        bytes in messy(),
        mut ends in prop::collection::vec(0usize..3000, 0..40),
        min in 1usize..60, more in 0usize..300, most in 0usize..1000,
    ) {
        ends.sort_unstable();
        let bytes = Bytes::from(bytes);
        let limits = CutLimits { min_bytes: min, target_bytes: min + more, max_bytes: min + more + most };
        for format in [Format::Csv, Format::Json, Format::Text, Format::Bytes] {
            let whole = cut_in_pieces(cutter("b/x", format, limits), &bytes, &[]).unwrap();
            prop_assert_eq!(Bytes::from(whole.concat()), bytes.clone());
            prop_assert!(whole.iter().all(|chunk| !chunk.is_empty() && chunk.len() <= limits.max_bytes));
            prop_assert_eq!(cut_in_pieces(cutter("b/x", format, limits), &bytes, &ends).unwrap(), whole);
        }
    }

    #[test]
    fn parquet_files_join_again_whatever_the_limits(
        groups in 0usize..6, rows in 1usize..200, mut ends in prop::collection::vec(0usize..20_000, 0..20),
        min in 1usize..500, more in 0usize..3000, most in 0usize..9000,
    ) {
        ends.sort_unstable();
        let file = parquet(groups, rows);
        let limits = CutLimits { min_bytes: min, target_bytes: min + more, max_bytes: min + more + most };
        let chunks = cut_in_pieces(cutter("b/x", Format::Parquet, limits), &file, &ends).unwrap();
        prop_assert_eq!(Bytes::from(chunks.concat()), file);
        prop_assert!(chunks.iter().all(|chunk| !chunk.is_empty() && chunk.len() <= limits.max_bytes));
    }
}
