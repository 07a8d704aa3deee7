//! Cuts of files that are a row of units.

use std::sync::Arc;

use arrow::array::{DictionaryArray, Int64Array, RecordBatch};
use arrow::datatypes::Int32Type;
use arrow::ipc::reader::{FileReader, StreamReader};
use arrow::ipc::writer::{FileWriter, StreamWriter};
use bytes::Bytes;
use proptest::prelude::*;
use shoal_types::Format;

use super::{CutLimits, cutter};

/// The chunks of `bytes`, given in pieces that end at `ends`.
fn chunks(format: Format, bytes: &[u8], limits: CutLimits, ends: &[usize]) -> Vec<Bytes> {
    let bytes = Bytes::copy_from_slice(bytes);
    let (mut cutter, mut chunks, mut at) = (cutter("b/x", format, limits), Vec::new(), 0);
    for end in ends.iter().copied().chain([bytes.len()]) {
        let end = end.clamp(at, bytes.len());
        chunks.extend(cutter.push(bytes.slice(at..end)).unwrap());
        at = end;
    }
    chunks.extend(cutter.finish().unwrap());
    chunks
}

/// An Avro "long".
fn long(number: i64) -> Vec<u8> {
    let mut rest = (number << 1 ^ number >> 63) as u64;
    let mut bytes = Vec::new();
    while rest >= 0x80 {
        bytes.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
    bytes
}

const MARKER: &[u8; 16] = b"0123456789abcdef";

/// A file in units of these lengths of data, and where the units end.
fn file(format: Format, sizes: &[usize]) -> (Vec<u8>, Vec<usize>) {
    let mut bytes = match format {
        Format::Avro => {
            let entry = |text: &[u8]| [long(text.len() as i64), text.to_vec()].concat();
            let map = [long(-1), long(99), entry(b"avro.schema"), entry(b"\"bytes\""), long(0)].concat();
            [b"Obj\x01", &map[..], MARKER].concat()
        }
        _ => Vec::new(),
    };
    let mut ends = Vec::new();
    for size in sizes {
        let data = vec![b'x'; *size];
        let unit = match format {
            Format::Avro => [&long(1), &long(*size as i64), &data, &MARKER[..]].concat(),
            Format::Gzip => {
                let head = [31, 139, 8, 4, 0, 0, 0, 0, 0, 255, 10, 0, b'X', b'Y', 0, 0, b'B', b'C', 2, 0];
                [&head, &((22 + data.len() + 10 - 1) as u16).to_le_bytes()[..], &data, &[3; 10]].concat()
            }
            Format::Zstd if size % 5 == 4 => {
                [&[0x5a, 0x2a, 0x4d, 0x18], &(*size as u32).to_le_bytes()[..], &data].concat()
            }
            Format::Zstd => {
                let block = |kind: u32, last: u32| ((*size as u32) << 3 | kind << 1 | last).to_le_bytes()[..3].to_vec();
                let head = [0x28, 0xb5, 0x2f, 0xfd, 0x04, 0x40];
                [&head, &block(0, 0)[..], &data, &block(1, 0), b"r", &block(2, 1), &data, b"sum!"].concat()
            }
            _ => [b"BZh91AY&SY", &data[..]].concat(),
        };
        bytes.extend(unit);
        ends.push(bytes.len());
    }
    (bytes, ends)
}

const UNITS: [Format; 4] = [Format::Avro, Format::Gzip, Format::Zstd, Format::Bzip2];

#[test]
fn a_cut_is_where_a_unit_ends() {
    let limits = CutLimits { target_bytes: 1_000, max_bytes: 4_000, min_bytes: 100 };
    let sizes: Vec<usize> = (0..200).map(|n| n * 37 % 300).collect();
    for format in UNITS {
        let (bytes, ends) = file(format, &sizes);
        let chunks = chunks(format, &bytes, limits, &[]);
        assert!(chunks.len() > 10, "{format:?}");
        let mut at = 0;
        for chunk in &chunks {
            at += chunk.len();
            assert!(ends.contains(&at), "{format:?} {at}");
            assert!((500..1_600).contains(&chunk.len()) || at == bytes.len(), "{format:?} {}", chunk.len());
        }
    }
}

#[test]
fn what_is_behind_a_unit_longer_than_a_chunk_is_cut_at_units_again() {
    let limits = CutLimits { target_bytes: 100, max_bytes: 400, min_bytes: 10 };
    for format in UNITS {
        let (bytes, ends) = file(format, &[60, 950, 70, 70, 70, 70, 70, 70]);
        let chunks = chunks(format, &bytes, limits, &[]);
        let lengths: Vec<usize> = chunks.iter().map(Bytes::len).collect();
        assert!(chunks.iter().any(|chunk| chunk.len() == limits.max_bytes), "{format:?} {lengths:?}");
        let cuts: Vec<usize> = lengths
            .iter()
            .scan(0, |at, length| {
                *at += length;
                Some(*at)
            })
            .collect();
        assert!(cuts[cuts.len() - 3..].iter().all(|cut| ends.contains(cut)), "{format:?} {lengths:?} {ends:?}");
    }
}

fn batch(rows: usize) -> RecordBatch {
    let words: DictionaryArray<Int32Type> = (0..rows).map(|n| ["one", "two", "three"][n % 3]).collect();
    let numbers = Int64Array::from_iter_values((0..rows).map(|n| n as i64));
    RecordBatch::try_from_iter([("n", Arc::new(numbers) as _), ("w", Arc::new(words) as _)]).unwrap()
}

#[test]
fn arrow_is_cut_after_record_batches_and_its_footer_goes_with_the_last() {
    let (rows, batches) = (100, 40);
    let mut stream = StreamWriter::try_new(Vec::new(), &batch(1).schema()).unwrap();
    let mut file = FileWriter::try_new(Vec::new(), &batch(1).schema()).unwrap();
    for _ in 0..batches {
        stream.write(&batch(rows)).unwrap();
        file.write(&batch(rows)).unwrap();
    }
    let (stream, file) = (stream.into_inner().unwrap(), file.into_inner().unwrap());
    let limits = CutLimits { target_bytes: 8_000, max_bytes: 40_000, min_bytes: 500 };
    for bytes in [&stream, &file] {
        let chunks = chunks(Format::Arrow, bytes, limits, &[]);
        assert!(chunks.len() > 4 && chunks.concat() == *bytes);
        let schema = chunks[0].clone();
        let head = memchr::memchr(0xff, &schema).unwrap();
        // The schema, the dictionary and this chunk alone are a stream again.
        let mut read = 0;
        let prefix = StreamReader::try_new(&schema[head..], None).unwrap().map_while(Result::ok).count();
        assert!(prefix > 0);
        for chunk in &chunks[1..] {
            let alone = [&schema[head..], &chunk[..]].concat();
            let got = StreamReader::try_new(&alone[..], None).unwrap().map_while(Result::ok).count();
            assert!(got > prefix || chunk == chunks.last().unwrap(), "a chunk without a batch");
            read += got - prefix;
        }
        assert_eq!(read + prefix, batches);
    }
    let whole = chunks(Format::Arrow, &file, limits, &[]).concat();
    assert_eq!(FileReader::try_new(std::io::Cursor::new(whole), None).unwrap().count(), batches);
}

#[test]
fn a_head_that_comes_byte_by_byte_costs_no_more_than_a_few_looks() {
    let name = vec![b'n'; 200_000];
    let head =
        [b"Obj\x01".to_vec(), long(1), long(name.len() as i64), name, long(0), long(0), MARKER.to_vec()].concat();
    let limits = CutLimits { target_bytes: 1 << 20, max_bytes: 4 << 20, min_bytes: 1_000 };
    let one_by_one: Vec<usize> = (0..head.len()).collect();
    assert_eq!(chunks(Format::Avro, &head, limits, &one_by_one).concat(), head);
}

/// Foreign bytes: a good file, cut short, with some bytes changed, and something behind it; or anything.
fn foreign(format: Format) -> impl Strategy<Value = Vec<u8>> {
    let damaged = (
        prop::collection::vec(0usize..200, 0..40),
        any::<prop::sample::Index>(),
        prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        prop::collection::vec(any::<u8>(), 0..300),
    )
        .prop_map(move |(sizes, end, changes, more)| {
            let (mut bytes, _) = file(format, &sizes);
            bytes.truncate(bytes.len() - end.index(bytes.len() + 1) / 4);
            for (at, byte) in changes {
                if !bytes.is_empty() {
                    let at = at.index(bytes.len());
                    bytes[at] = byte;
                }
            }
            bytes.extend(more);
            bytes
        });
    prop_oneof![6 => damaged, 1 => prop::collection::vec(any::<u8>(), 0..2_000)]
}

fn arrow_file(batches: usize) -> Vec<u8> {
    let mut writer = StreamWriter::try_new(Vec::new(), &batch(1).schema()).unwrap();
    (0..batches).for_each(|n| writer.write(&batch(n * 5 + 1)).unwrap());
    writer.into_inner().unwrap()
}

fn holds(format: Format, bytes: &[u8], limits: CutLimits, ends: &[usize]) -> Result<(), TestCaseError> {
    let whole = chunks(format, bytes, limits, &[]);
    prop_assert_eq!(whole.concat(), bytes);
    prop_assert!(whole.iter().all(|chunk| !chunk.is_empty() && chunk.len() <= limits.max_bytes));
    prop_assert!(whole.iter().rev().skip(1).all(|chunk| chunk.len() >= limits.min_bytes));
    let lengths = |chunks: Vec<Bytes>| chunks.iter().map(Bytes::len).collect::<Vec<_>>();
    let whole = lengths(whole);
    prop_assert_eq!(&lengths(chunks(format, bytes, limits, ends)), &whole);
    let one_by_one: Vec<usize> = (0..bytes.len()).collect();
    prop_assert_eq!(&lengths(chunks(format, bytes, limits, &one_by_one)), &whole);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn whatever_it_is_chunks_depend_on_the_content_alone_and_join_to_it(
        (format, bytes) in prop::sample::select(&UNITS[..]).prop_flat_map(|format| (Just(format), foreign(format))),
        mut ends in prop::collection::vec(0usize..5_000, 0..30),
        min in 1usize..60, more in 0usize..300, most in 0usize..600,
    ) {
        ends.sort_unstable();
        let limits = CutLimits { min_bytes: min, target_bytes: min + more, max_bytes: min + more + most };
        holds(format, &bytes, limits, &ends)?;
    }

    #[test]
    fn so_do_those_of_arrow_whatever_was_changed_in_it(
        batches in 0usize..12, end in any::<prop::sample::Index>(),
        change in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
        mut ends in prop::collection::vec(0usize..9_000, 0..20),
        min in 1usize..200, more in 0usize..900, most in 0usize..1_500,
    ) {
        ends.sort_unstable();
        let mut bytes = arrow_file(batches);
        bytes.truncate(bytes.len() - end.index(bytes.len()) / 4);
        if let Some((at, byte)) = change {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let limits = CutLimits { min_bytes: min, target_bytes: min + more, max_bytes: min + more + most };
        holds(Format::Arrow, &bytes, limits, &ends)?;
    }
}
