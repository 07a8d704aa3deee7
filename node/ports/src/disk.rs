use std::io;

/// Files under one directory, as a disk keeps them: what is not synced may be
/// lost or torn when the power goes.
///
/// Paths are relative, separated by `/`. Calls block.
pub trait Disk: Send + Sync {
    /// Opens a file for reading and writing, making it when `create`.
    fn open(&self, path: &str, create: bool) -> io::Result<Box<dyn DiskFile>>;

    /// Gives a file another name, replacing what has it. Durable after [`Disk::sync_dir`].
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    fn remove(&self, path: &str) -> io::Result<()>;

    /// Makes a directory and those above it.
    fn make_dir(&self, path: &str) -> io::Result<()>;

    /// The names in a directory, sorted; empty when there is none.
    fn list(&self, path: &str) -> io::Result<Vec<String>>;

    /// Makes the directory's entries durable.
    fn sync_dir(&self, path: &str) -> io::Result<()>;

    /// Free bytes for us. `NotFound` once the directory is not there any more,
    /// or another has its place.
    fn free_bytes(&self) -> io::Result<u64>;
}

/// An open file.
pub trait DiskFile: Send + Sync {
    /// Reads exactly `buffer.len()` bytes at `offset`.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// Writes all of `bytes` at `offset`.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    fn len(&self) -> io::Result<u64>;

    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    fn set_len(&self, bytes: u64) -> io::Result<()>;

    /// Says that the file, which is empty, will be `bytes` long: a disk that
    /// knows that beforehand mostly writes and syncs them faster, and says
    /// now that it has no room. Its length may be that from now on. A disk that
    /// cannot do so does nothing.
    fn allocate(&self, _bytes: u64) -> io::Result<()> {
        Ok(())
    }

    /// Writes all that the file, which is empty and allocated, will hold. A
    /// disk may keep none of it in memory.
    fn fill(&self, bytes: &[u8]) -> io::Result<()> {
        self.write_at(0, bytes)
    }

    /// Makes the content durable (data sync).
    fn sync(&self) -> io::Result<()>;
}
