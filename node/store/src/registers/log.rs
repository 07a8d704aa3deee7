//! A log of rows: what is appended is synced, and read again after a crash.
//!
//! ```text
//!   0      header: magic "SHOALLOG" · u32 format · u32 0 · u64 generation · key (32 bytes) · check (8 bytes)
//!   4096   the same header again
//!   8192   records: u32 length · u32 sequence · check (16 bytes) · length bytes of rows (postcard)
//! ```
//!
//! Numbers are little-endian. A check is the beginning of the BLAKE3 hash,
//! keyed with the log's key, of all else in the header or record. The file is
//! used again for a later generation without being cleared, so a log ends where
//! the next record is none of its own: the key is drawn at random, and nothing
//! that somebody put can look like a record of a log to come.

use std::io::{self, ErrorKind};

use serde::{Deserialize, Serialize};
use shoal_ports::DiskFile;
use shoal_types::wire;

use super::commits::Rows;
use super::database::Table;

const MAGIC: &[u8; 8] = b"SHOALLOG";
const FORMAT: u32 = 1;
const HEADER_BYTES: usize = 64;
/// Where the headers are: in two blocks, so that one that rots is survived.
const HEADERS: [u64; 2] = [0, 4096];
const RECORDS: u64 = 8192;
const RECORD_HEAD_BYTES: usize = 24;

/// The longest record that is read.
const RECORD_BYTES_MAX: u32 = 1 << 30;

/// How far sequence numbers are looked ahead for records behind a broken one.
const SEQUENCE_AHEAD: u32 = 1 << 20;

/// How many times the bytes behind a broken record are hashed to find one that
/// follows it. Of bytes at random some eight times; what looks like many long
/// records, one in the other, somebody has put there on purpose, and must not
/// keep a peer from starting.
const HASHED_TIMES: u64 = 64;

type Key = [u8; 32];

/// A row as a record holds it: table, key, and the value unless it is removed.
#[derive(Serialize, Deserialize)]
struct Row(u8, Vec<u8>, Option<bytes::Bytes>);

/// The log that is written.
pub(super) struct Log {
    file: Box<dyn DiskFile>,
    pub(super) generation: u64,
    key: Key,
    sequence: u32,
    end: u64,
}

/// A log that was found.
pub(super) struct Found {
    pub(super) generation: u64,
    /// Of all its records, the later over the earlier.
    pub(super) rows: Rows,
}

impl Log {
    /// A log in `file`, which [`prepare`] has been called for with the same
    /// arguments and which has been synced since.
    pub(super) fn begin(file: Box<dyn DiskFile>, generation: u64, salt: &Key) -> Self {
        Self { file, generation, key: key_of(generation, salt), sequence: 0, end: RECORDS }
    }

    /// Bytes of records.
    pub(super) fn bytes(&self) -> u64 {
        self.end - RECORDS
    }

    /// Writes a record; [`Log::sync`] makes it durable. After an error the next one takes its place.
    pub(super) fn append(&mut self, record: &[u8]) -> io::Result<()> {
        let length = u32::try_from(record.len()).ok().filter(|length| *length <= RECORD_BYTES_MAX);
        let length = length.ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "a record of more than 1 GiB"))?;
        let mut bytes = Vec::with_capacity(RECORD_HEAD_BYTES + record.len());
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&self.sequence.to_le_bytes());
        bytes.extend_from_slice(&check(&self.key, length, self.sequence, record));
        bytes.extend_from_slice(record);
        self.file.write_at(self.end, &bytes)?;
        self.end += bytes.len() as u64;
        self.sequence += 1;
        Ok(())
    }

    /// Everything that was appended is durable on `Ok`.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    /// Goes on as the next generation, in the other file, like [`Log::begin`].
    pub(super) fn turn_to(&mut self, other: &mut Box<dyn DiskFile>, salt: &Key) {
        std::mem::swap(&mut self.file, other);
        self.generation += 1;
        self.key = key_of(self.generation, salt);
        (self.sequence, self.end) = (0, RECORDS);
    }
}

/// Writes the headers of a log, so that nothing that was in the file is one any more.
pub(super) fn prepare(file: &dyn DiskFile, generation: u64, salt: &Key) -> io::Result<()> {
    let header = header(generation, &key_of(generation, salt));
    HEADERS.iter().try_for_each(|at| file.write_at(*at, &header))
}

fn key_of(generation: u64, salt: &Key) -> Key {
    *blake3::keyed_hash(salt, &generation.to_le_bytes()).as_bytes()
}

/// The rows as a record.
pub(super) fn record(rows: &Rows) -> shoal_types::Result<bytes::Bytes> {
    let rows: Vec<Row> =
        rows.iter().map(|((table, key), value)| Row(table.number(), key.clone(), value.clone())).collect();
    wire::encode(&rows)
}

/// The log in a file, if there is one later than generation `settled`. An end that was torn off was never
/// acknowledged; a broken record with whole ones behind it is damage, and an
/// error of the kind `InvalidData`.
pub(super) fn read(file: &dyn DiskFile, settled: u64) -> io::Result<Option<Found>> {
    let len = file.len()?;
    let Some((generation, key)) = HEADERS.iter().find_map(|at| read_header(file, *at, len).transpose()).transpose()?
    else {
        return Ok(None);
    };
    if generation <= settled {
        return Ok(None);
    }
    if generation == u64::MAX {
        return Err(invalid("a log of the last generation that there can be"));
    }
    let mut rows = Rows::new();
    let (mut at, mut sequence) = (RECORDS, 0);
    while let Some(record) = read_record(file, &key, at, len, sequence)? {
        let decoded: Vec<Row> = wire::decode(&record).map_err(invalid)?;
        for Row(table, key, value) in decoded {
            let table = Table::of_number(table).ok_or_else(|| invalid(format!("a row of table {table}")))?;
            rows.insert((table, key), value);
        }
        at += (RECORD_HEAD_BYTES + record.len()) as u64;
        sequence += 1;
    }
    if is_followed(file, &key, at, len, sequence)? {
        return Err(invalid(format!("the record at byte {at} of a log is broken, and others follow it")));
    }
    Ok(Some(Found { generation, rows }))
}

fn invalid(why: impl std::fmt::Display) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, why.to_string())
}

fn header(generation: u64, key: &Key) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..8].copy_from_slice(MAGIC);
    header[8..12].copy_from_slice(&FORMAT.to_le_bytes());
    header[16..24].copy_from_slice(&generation.to_le_bytes());
    header[24..56].copy_from_slice(key);
    let check = blake3::keyed_hash(key, &header[..56]);
    header[56..].copy_from_slice(&check.as_bytes()[..8]);
    header
}

fn read_header(file: &dyn DiskFile, at: u64, len: u64) -> io::Result<Option<(u64, Key)>> {
    if len < at + HEADER_BYTES as u64 {
        return Ok(None);
    }
    let mut found = [0; HEADER_BYTES];
    file.read_at(at, &mut found)?;
    let (mut generation, mut key) = ([0; 8], [0; 32]);
    generation.copy_from_slice(&found[16..24]);
    key.copy_from_slice(&found[24..56]);
    let generation = u64::from_le_bytes(generation);
    Ok((found == header(generation, &key)).then_some((generation, key)))
}

fn check(key: &Key, length: u32, sequence: u32, record: &[u8]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new_keyed(key);
    hasher.update(&length.to_le_bytes()).update(&sequence.to_le_bytes()).update(record);
    let mut check = [0; 16];
    check.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    check
}

fn number(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

/// The record with that sequence number at that place, if it is there whole.
fn read_record(file: &dyn DiskFile, key: &Key, at: u64, len: u64, sequence: u32) -> io::Result<Option<Vec<u8>>> {
    let behind_head = at + RECORD_HEAD_BYTES as u64;
    if behind_head > len {
        return Ok(None);
    }
    let mut head = [0; RECORD_HEAD_BYTES];
    file.read_at(at, &mut head)?;
    let length = number(&head[..4]);
    if number(&head[4..8]) != sequence || length > RECORD_BYTES_MAX || u64::from(length) > len - behind_head {
        return Ok(None);
    }
    let mut record = vec![0; length as usize];
    file.read_at(behind_head, &mut record)?;
    Ok((head[8..] == check(key, length, sequence, &record)).then_some(record))
}

/// Whether a later record of the same log is behind a place where there is none.
fn is_followed(file: &dyn DiskFile, key: &Key, at: u64, len: u64, sequence: u32) -> io::Result<bool> {
    if at >= len {
        return Ok(false);
    }
    let mut rest = vec![0; usize::try_from(len - at).map_err(invalid)?];
    file.read_at(at, &mut rest)?;
    let mut budget = (rest.len() as u64).saturating_mul(HASHED_TIMES);
    for start in 1..rest.len().saturating_sub(RECORD_HEAD_BYTES) {
        let rest = &rest[start..];
        let (length, later) = (number(&rest[..4]), number(&rest[4..8]));
        let ahead = later.wrapping_sub(sequence);
        if (1..SEQUENCE_AHEAD).contains(&ahead)
            && let Some(record) = rest.get(RECORD_HEAD_BYTES..RECORD_HEAD_BYTES + length as usize)
        {
            let Some(left) = budget.checked_sub(u64::from(length)) else { return Ok(false) };
            budget = left;
            if rest[8..RECORD_HEAD_BYTES] == check(key, length, later, record) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}
