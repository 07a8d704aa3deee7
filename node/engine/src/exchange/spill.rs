use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use shoal_types::{Error, PeerId, Result};

/// A file of frames, written once and read at random; it goes when the last
/// reader has gone.
#[derive(Debug)]
pub(crate) struct SpillFile {
    file: File,
    path: PathBuf,
    peer: PeerId,
}

/// Where a frame lies in a spill file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FrameSpan {
    offset: u64,
    bytes: u32,
}

impl SpillFile {
    pub(crate) fn read(&self, span: FrameSpan) -> Result<Bytes> {
        let mut bytes = vec![0; span.bytes as usize];
        self.file.read_exact_at(&mut bytes, span.offset).map_err(|error| failed(&error, self.peer, 0))?;
        Ok(bytes.into())
    }
}

impl Drop for SpillFile {
    fn drop(&mut self) {
        // Left behind, it goes when the engine next starts.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Makes spill files in one directory.
#[derive(Debug)]
pub(crate) struct SpillDir {
    dir: PathBuf,
    peer: PeerId,
    next: AtomicU64,
}

impl SpillDir {
    /// The directory, emptied.
    pub(crate) fn new(dir: PathBuf, peer: PeerId) -> Result<Self> {
        if dir.exists() {
            std::fs::remove_dir_all(&dir).map_err(|error| failed(&error, peer, 0))?;
        }
        std::fs::create_dir_all(&dir).map_err(|error| failed(&error, peer, 0))?;
        Ok(Self { dir, peer, next: AtomicU64::new(0) })
    }

    pub(crate) fn create(&self) -> Result<SpillWriter> {
        let path = self.dir.join(format!("output-{}", self.next.fetch_add(1, Ordering::Relaxed)));
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(|error| failed(&error, self.peer, 0))?;
        Ok(SpillWriter { file: SpillFile { file, path, peer: self.peer }, offset: 0 })
    }
}

/// A spill file being written.
pub(crate) struct SpillWriter {
    file: SpillFile,
    offset: u64,
}

impl SpillWriter {
    pub(crate) fn append(&mut self, frame: &Bytes) -> Result<FrameSpan> {
        (&self.file.file).write_all(frame).map_err(|error| failed(&error, self.file.peer, frame.len() as u64))?;
        // A frame is at most FRAME_BYTES_MAX long.
        let span = FrameSpan { offset: self.offset, bytes: frame.len() as u32 };
        self.offset += frame.len() as u64;
        Ok(span)
    }

    pub(crate) fn finish(self) -> Arc<SpillFile> {
        Arc::new(self.file)
    }
}

fn failed(error: &io::Error, peer: PeerId, needed_bytes: u64) -> Error {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Error::DiskFull { peer, free_bytes: 0, needed_bytes }
        }
        _ => Error::DiskFailed { peer, why: format!("spilling an exchange output: {error}") },
    }
}
