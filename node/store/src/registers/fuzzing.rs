//! The reader of the registers' log as a function that takes any bytes. For the
//! crate `shoal-fuzz` only.

use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use shoal_ports::DiskFile;

use super::log::{self, Log};

/// What a log held: its generation and its rows (table, key, and the value unless it is removed).
pub type FoundLog = (u64, Vec<(u8, Vec<u8>, Option<Bytes>)>);

/// What is in a log's file; an error where that is damaged.
pub fn read_log(file: Vec<u8>) -> io::Result<Option<FoundLog>> {
    let found = log::read(&Memory(Arc::new(Mutex::new(file))), 0)?;
    let rows = |found: log::Found| {
        let rows = found.rows.into_iter().map(|((table, key), value)| (table.number(), key, value));
        (found.generation, rows.collect())
    };
    Ok(found.map(rows))
}

/// The file of a log with these records, whatever they are.
pub fn write_log(generation: u64, records: &[&[u8]]) -> Vec<u8> {
    let file = Memory::default();
    let salt = [7; 32];
    let written = log::prepare(&file, generation, &salt).and_then(|()| {
        let mut log = Log::begin(Box::new(file.clone()), generation, &salt);
        records.iter().try_for_each(|record| log.append(record))
    });
    written.expect("memory takes everything");
    file.lock().clone()
}

/// A file in memory; a clone is the same file.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Memory {
    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DiskFile for Memory {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let bytes = self.lock();
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let found = bytes.get(start..start.saturating_add(buffer.len()));
        buffer.copy_from_slice(found.ok_or(ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let (mut all, start) = (self.lock(), offset as usize);
        let end = start + bytes.len();
        let len = all.len().max(end);
        all.resize(len, 0);
        all[start..end].copy_from_slice(bytes);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.lock().len() as u64)
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.lock().resize(bytes as usize, 0);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}
