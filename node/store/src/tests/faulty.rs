use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use shoal_ports::{Disk, DiskFile};

/// A disk that does what the switches say.
pub(super) struct Faulty {
    inner: Arc<dyn Disk>,
    pub(super) switches: Arc<Switches>,
}

#[derive(Default)]
pub(super) struct Switches {
    /// Writes find no room, whatever `free_bytes` said.
    pub(super) no_room: AtomicBool,
    pub(super) syncs_fail: AtomicBool,
    pub(super) dir_syncs_fail: AtomicBool,
    pub(super) reads_fail: AtomicBool,
    /// With `EIO`: the medium under the copy cannot be read.
    pub(super) medium_fails: AtomicBool,
    /// Nothing can be made in it.
    pub(super) read_only: AtomicBool,
    /// `free_bytes` becomes less by what is written, which takes its time.
    pub(super) fills: AtomicBool,
    /// What `free_bytes` says; 0 for the truth.
    pub(super) free_bytes: AtomicU64,
    pub(super) syncs: AtomicU64,
}

impl Faulty {
    pub(super) fn new(inner: Arc<dyn Disk>) -> Self {
        Self { inner, switches: Arc::default() }
    }
}

fn on(switch: &AtomicBool) -> bool {
    switch.load(Ordering::Relaxed)
}

impl Disk for Faulty {
    fn open(&self, path: &str, create: bool) -> io::Result<Box<dyn DiskFile>> {
        if create && on(&self.switches.read_only) {
            return Err(ErrorKind::ReadOnlyFilesystem.into());
        }
        let file = self.inner.open(path, create)?;
        Ok(Box::new(FaultyFile { file, switches: self.switches.clone() }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.inner.rename(from, to)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.inner.remove(path)
    }

    fn make_dir(&self, path: &str) -> io::Result<()> {
        self.inner.make_dir(path)
    }

    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        self.inner.list(path)
    }

    fn sync_dir(&self, path: &str) -> io::Result<()> {
        if on(&self.switches.dir_syncs_fail) {
            return Err(io::Error::other("planned"));
        }
        self.inner.sync_dir(path)
    }

    fn free_bytes(&self) -> io::Result<u64> {
        match self.switches.free_bytes.load(Ordering::Relaxed) {
            0 => self.inner.free_bytes(),
            bytes => Ok(bytes),
        }
    }
}

struct FaultyFile {
    file: Box<dyn DiskFile>,
    switches: Arc<Switches>,
}

impl DiskFile for FaultyFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        if on(&self.switches.reads_fail) {
            return Err(io::Error::other("planned"));
        }
        if on(&self.switches.medium_fails) {
            return Err(io::Error::from_raw_os_error(5));
        }
        self.file.read_at(offset, buffer)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if on(&self.switches.no_room) {
            return Err(ErrorKind::StorageFull.into());
        }
        if on(&self.switches.fills) {
            std::thread::sleep(std::time::Duration::from_millis(20));
            self.switches.free_bytes.fetch_sub(bytes.len() as u64, Ordering::Relaxed);
        }
        self.file.write_at(offset, bytes)
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.file.set_len(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.switches.syncs.fetch_add(1, Ordering::Relaxed);
        if on(&self.switches.syncs_fail) {
            return Err(io::Error::other("planned"));
        }
        self.file.sync()
    }
}
