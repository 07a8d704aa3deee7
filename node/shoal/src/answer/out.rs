use std::io::{self, BufWriter, StdoutLock, Write};
use std::path::Path;

use crate::destination::Destination;
use crate::failure::Failure;

/// Bytes gathered before they are written.
const BUFFER_BYTES: usize = 64 << 10;

/// Where rows are written: stdout, or a file that gets its name at the end.
pub(crate) enum Out {
    Stdout(BufWriter<StdoutHandle>),
    File(BufWriter<Destination>),
}

/// Stdout, locked for each write: the lock itself cannot be sent.
pub(crate) struct StdoutHandle;

impl Out {
    pub(crate) fn open(file: Option<&Path>) -> Result<Self, Failure> {
        match file {
            None => Ok(Self::Stdout(BufWriter::with_capacity(BUFFER_BYTES, StdoutHandle))),
            Some(path) => {
                let file = Destination::at(path)?;
                Ok(Self::File(BufWriter::with_capacity(BUFFER_BYTES, file)))
            }
        }
    }

    /// Writes what is gathered, and gives a file its name.
    pub(crate) fn close(self) -> io::Result<()> {
        match self {
            Self::Stdout(mut out) => out.flush(),
            Self::File(out) => out.into_inner().map_err(io::IntoInnerError::into_error)?.close(),
        }
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout(out) => out.write(bytes),
            Self::File(out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(out) => out.flush(),
            Self::File(out) => out.flush(),
        }
    }
}

impl StdoutHandle {
    fn lock() -> StdoutLock<'static> {
        io::stdout().lock()
    }
}

impl Write for StdoutHandle {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Stdout gathers lines itself; what comes here is large already.
        let mut out = Self::lock();
        out.write_all(bytes)?;
        out.flush()?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Self::lock().flush()
    }
}
