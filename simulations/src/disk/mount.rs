use std::io;
use std::sync::{Arc, MutexGuard};

use shoal_ports::{Disk, DiskFile};

use super::SimDisk;
use super::content::File;
use super::state::{Cut, State};

/// The disk as one incarnation of its host has it: every call fails once
/// that is over.
#[derive(Clone)]
pub(super) struct Mount {
    disk: SimDisk,
    number: u64,
}

impl Mount {
    pub(super) fn new(disk: SimDisk, number: u64) -> Self {
        Self { disk, number }
    }

    fn state(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.disk.state();
        state.is_mounted(self.number)?;
        Ok(state)
    }

    fn change<T>(
        &self,
        what: &str,
        path: &str,
        bytes: &[u8],
        change: impl FnOnce(&mut State, Cut) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut state = self.state()?;
        state.note(what, path, 0, bytes);
        state.change(change)
    }
}

impl Disk for Mount {
    fn open(&self, path: &str, create: bool) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state()?;
        let file = match state.names.file(path) {
            Err(error) if create && error.kind() == io::ErrorKind::NotFound => {
                state.note("create", path, 0, &[]);
                let file = File::new(state.used.clone());
                state.change(|state, _| state.names.create(path, file.clone()))?;
                file
            }
            found => {
                state.note("open", path, 0, &[]);
                found?
            }
        };
        Ok(Box::new(MountedFile { mount: self.clone(), path: path.into(), file }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.change("rename", from, to.as_bytes(), |state, _| state.names.rename(from, to))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.change("remove", path, &[], |state, _| state.names.remove(path))
    }

    fn make_dir(&self, path: &str) -> io::Result<()> {
        self.change("make_dir", path, &[], |state, _| state.names.make_dir(path))
    }

    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        let mut state = self.state()?;
        state.note("list", path, 0, &[]);
        Ok(state.names.list(path))
    }

    fn sync_dir(&self, path: &str) -> io::Result<()> {
        self.change("sync_dir", path, &[], |state, cut| state.sync_dir(path, cut))
    }

    fn free_bytes(&self) -> io::Result<u64> {
        Ok(self.state()?.free_bytes())
    }
}

struct MountedFile {
    mount: Mount,
    /// As it was opened: for the trace.
    path: Arc<str>,
    file: File,
}

impl DiskFile for MountedFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let mut state = self.mount.state()?;
        state.note("read", &self.path, offset, &(buffer.len() as u64).to_le_bytes());
        let scale = state.scale(&self.path);
        state.read(&self.file, scale, offset, buffer)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.mount.state()?;
        state.note("write", &self.path, offset, bytes);
        let scale = state.scale(&self.path);
        state.change(|state, cut| state.write(&self.file, scale, offset, bytes, cut))
    }

    fn len(&self) -> io::Result<u64> {
        let _state = self.mount.state()?;
        Ok(self.file.content().now().len())
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.mount.change("set_len", &self.path, &bytes.to_le_bytes(), |_, _| {
            self.file.content().set_len(bytes);
            Ok(())
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.mount.change("sync", &self.path, &[], |state, cut| state.sync(&self.file, cut))
    }
}
