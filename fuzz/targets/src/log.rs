//! The registers' log, as it comes back from a disk.

use std::collections::BTreeMap;

use bytes::Bytes;
use shoal_store::fuzzing::{read_log, write_log};
use shoal_types::wire;

use crate::memory::in_bounds;
use crate::script::{Script, with_length};

/// Where headers and records are, as `registers/log.rs` in the store says.
const HEADERS: [usize; 2] = [0, 4096];
const RECORDS: usize = 8192;
/// Tables are numbered from 0.
const TABLES: u8 = 3;

type Row = (u8, Vec<u8>, Option<Bytes>);
type Rows = BTreeMap<(u8, Vec<u8>), Option<Bytes>>;

/// A file as it is, or records that are whole, with anything in them and behind them.
pub(crate) fn run(bytes: &[u8]) {
    let mut script = Script(bytes);
    match script.byte() {
        Some(first) if first % 2 == 0 => judge(script.0.to_vec()),
        Some(first) => {
            let mut records = Vec::new();
            while records.len() < usize::from(first / 2)
                && let Some(record) = script.bytes()
            {
                records.push(record);
            }
            let mut file = write_log(u64::from(first), &records);
            file.extend_from_slice(script.0);
            judge(file);
        }
        None => {}
    }
}

/// What is found are the rows of all records that follow each other from the
/// first one on, and whose checks hold, and no others.
fn judge(file: Vec<u8>) {
    let expected = whole(&file);
    let bytes = file.len();
    match in_bounds(bytes, || read_log(file)) {
        // Rows that are none, or records behind a broken one.
        Err(_) => assert!(expected.is_some(), "what is no log is no damage"),
        Ok(None) => assert_eq!(expected, None),
        Ok(Some((generation, rows))) => {
            let found: Rows = rows.into_iter().map(|(table, key, value)| ((table, key), value)).collect();
            assert_eq!(Some((generation, Some(found))), expected);
        }
    }
}

/// The same, read plainly: the generation, and the rows if all records have some.
fn whole(file: &[u8]) -> Option<(u64, Option<Rows>)> {
    let found = HEADERS.iter().find_map(|at| header(file.get(*at..*at + 64)?));
    let (generation, key) = found.filter(|(generation, _)| *generation > 0)?;
    let (mut rows, mut rest) = (Some(Rows::new()), file.get(RECORDS..).unwrap_or_default());
    for sequence in 0u32.. {
        let Some(record) = record(&key, sequence, rest) else { break };
        rest = &rest[24 + record.len()..];
        match (&mut rows, wire::decode::<Vec<Row>>(record)) {
            (Some(rows), Ok(more)) if more.iter().all(|(table, ..)| *table < TABLES) => {
                rows.extend(more.into_iter().map(|(table, key, value)| ((table, key), value)));
            }
            _ => rows = None,
        }
    }
    Some((generation, rows))
}

fn header(bytes: &[u8]) -> Option<(u64, [u8; 32])> {
    let key: [u8; 32] = bytes[24..56].try_into().ok()?;
    let generation = u64::from_le_bytes(bytes[16..24].try_into().ok()?);
    let is_whole = bytes[..16] == *b"SHOALLOG\x01\0\0\0\0\0\0\0"
        && bytes[56..] == blake3::keyed_hash(&key, &bytes[..56]).as_bytes()[..8];
    is_whole.then_some((generation, key))
}

fn record<'a>(key: &[u8; 32], sequence: u32, bytes: &'a [u8]) -> Option<&'a [u8]> {
    let (head, rest) = bytes.split_at_checked(24)?;
    let record = rest.get(..u32::from_le_bytes(head[..4].try_into().ok()?) as usize)?;
    let checked = [&head[..8], record].concat();
    let check = blake3::keyed_hash(key, &checked);
    (head[4..8] == sequence.to_le_bytes() && head[8..] == check.as_bytes()[..16]).then_some(record)
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let row = |table: u8, key: &str, value: Option<&'static str>| -> Row {
        (table, key.as_bytes().to_vec(), value.map(Bytes::from))
    };
    let records: Vec<Bytes> = [
        vec![row(0, "b/k", Some("entry")), row(2, "b/k", None)],
        vec![row(1, "note", Some("")), row(0, "b/k", None)],
        vec![],
        vec![row(0, "b/l", Some("another entry, which is longer than the others"))],
        vec![row(9, "of no table", None)],
    ]
    .iter()
    .map(|rows| wire::encode(rows).unwrap())
    .collect();
    let file = |records: &[Bytes]| -> Vec<u8> {
        let log = write_log(3, &records.iter().map(|record| &record[..]).collect::<Vec<_>>());
        std::iter::once(0).chain(log).collect()
    };
    let script = |behind: &[u8]| {
        let records = records.iter().flat_map(|record| with_length(record));
        std::iter::once(9).chain(records).chain(behind.iter().copied()).collect::<Vec<u8>>()
    };
    // The next record broken, and the one behind it whole.
    let mut followed = file(&records[..4]);
    followed[1 + RECORDS + 30] ^= 1;
    // Behind its end what looks like the heads of very long records, one in the other.
    let long: Vec<u8> = 8192u32.to_le_bytes().repeat(5_000);
    vec![
        file(&[]),
        file(&records[..4]),
        file(&records),
        followed,
        script(&[]),
        script(&[0; 100]),
        script(&long),
        std::iter::once(0).chain(write_log(u64::MAX, &[])).collect(),
    ]
}
