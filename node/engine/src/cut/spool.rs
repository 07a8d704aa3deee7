use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use bytes::{Bytes, BytesMut};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use shoal_types::{Error, Result};

/// An object's bytes, kept until its end is there: in memory, past a bound in
/// a temporary file that has no name and goes with the process.
pub(super) struct Spool {
    memory_bytes_max: usize,
    place: Place,
    len: u64,
}

enum Place {
    Memory(BytesMut),
    File(File),
}

impl Spool {
    pub(super) fn new(memory_bytes_max: usize) -> Self {
        Self { memory_bytes_max, place: Place::Memory(BytesMut::new()), len: 0 }
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<()> {
        if let Place::Memory(memory) = &mut self.place
            && memory.len() + bytes.len() > self.memory_bytes_max
        {
            let mut file = tempfile::tempfile().map_err(complain)?;
            file.write_all(memory).map_err(complain)?;
            self.place = Place::File(file);
        }
        match &mut self.place {
            Place::Memory(memory) => memory.extend_from_slice(bytes),
            Place::File(file) => file.write_all(bytes).map_err(complain)?,
        }
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// The bytes from `start` up to `end`, both within what was pushed.
    pub(super) fn read(&mut self, start: u64, end: u64) -> Result<Bytes> {
        match &mut self.place {
            Place::Memory(memory) => {
                // Within memory, so within usize.
                let slice = memory.get(start as usize..end as usize);
                slice.map(Bytes::copy_from_slice).ok_or_else(|| Error::bug("a range outside the spool"))
            }
            Place::File(file) => {
                let mut bytes = vec![0; end.saturating_sub(start) as usize];
                file.read_exact_at(&mut bytes, start).map_err(complain)?;
                Ok(bytes.into())
            }
        }
    }

    /// The Parquet footer at its end.
    pub(super) fn parquet_footer(&mut self) -> Result<ParquetMetaData, ParquetError> {
        let reader = ParquetMetaDataReader::new();
        match &mut self.place {
            Place::Memory(memory) => lent(memory, |bytes| reader.parse_and_finish(bytes)),
            Place::File(file) => reader.parse_and_finish(file),
        }
    }
}

/// Lends bytes to a reader that wants them shared. They come back even where it
/// panics: what is no Parquet file after all is still to be stored.
fn lent<T>(memory: &mut BytesMut, read: impl FnOnce(&Bytes) -> T) -> T {
    let bytes = std::mem::take(memory).freeze();
    let answer = catch_unwind(AssertUnwindSafe(|| read(&bytes)));
    *memory = bytes.try_into_mut().unwrap_or_else(|bytes| BytesMut::from(&bytes[..]));
    answer.unwrap_or_else(|panic| resume_unwind(panic))
}

fn complain(error: std::io::Error) -> Error {
    Error::invalid(
        format!("a Parquet file is kept in a temporary file until its end is there, and that failed: {error}"),
        "set TMPDIR to a directory with room for the file",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    // The bytes went with the panic: what was to be stored as plain bytes then
    // ended as a bug, of a range outside of the spool.
    #[test]
    fn a_decoder_that_panics_leaves_the_bytes() {
        let mut spool = Spool::new(100);
        spool.push(b"PAR1 or so").unwrap();
        let Place::Memory(memory) = &mut spool.place else { panic!("it is small") };
        let caught = catch_unwind(AssertUnwindSafe(|| lent(memory, |_| resume_unwind(Box::new("odd")))));
        assert!(caught.is_err());
        assert_eq!(spool.read(0, 4).unwrap(), "PAR1");
    }
}
