//! A directory of this machine as a [`Disk`].

mod direct;
mod lock;

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use shoal_ports::{Disk, DiskFile};
use shoal_types::{Error, Result};

/// A directory that no other process uses as long as this value lives.
///
/// Buffered reads and writes, unless [`LocalDisk::direct`] is asked for; no
/// memory maps, since a bad sector under one kills the process.
pub struct LocalDisk {
    root: PathBuf,
    /// The file system and the number of the directory there: another that is
    /// put in its place has others.
    is: (u64, u64),
    syncs: bool,
    is_direct: bool,
    _lock: File,
}

impl LocalDisk {
    /// Only for us: what is in there is other people's data.
    const DIR_MODE: u32 = 0o700;
    const FILE_MODE: u32 = 0o600;

    /// Opens a directory, making it when there is none. `Invalid` when
    /// another process has it, or when it cannot be used.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let complain = |what: &str, error: &io::Error| {
            Error::invalid(
                format!("the data directory {} {what}: {error}", path.display()),
                "give another directory with --dir, or mend this one's permissions",
            )
        };
        DirBuilder::new()
            .recursive(true)
            .mode(Self::DIR_MODE)
            .create(path)
            .map_err(|error| complain("cannot be made", &error))?;
        let ours = path.join(lock::FILE).exists()
            || std::fs::read_dir(path).map_err(|error| complain("cannot be read", &error))?.next().is_none();
        let lock = lock::take(path)?;
        if ours {
            std::fs::set_permissions(path, Permissions::from_mode(Self::DIR_MODE))
                .map_err(|error| complain("cannot be closed to others", &error))?;
        } else if path.metadata().is_ok_and(|meta| meta.permissions().mode() & 0o077 != 0) {
            // Somebody's home, perhaps: what we make in it is closed, it is not ours to close.
            tracing::warn!(path = %path.display(), "the data directory holds other files; its permissions are left alone");
        }
        let root = path.canonicalize().map_err(|error| complain("cannot be found", &error))?;
        let meta = root.metadata().map_err(|error| complain("cannot be looked at", &error))?;
        Ok(Self { root, is: (meta.dev(), meta.ino()), syncs: true, is_direct: false, _lock: lock })
    }

    /// The same, but nothing is synced: a power cut takes what was
    /// acknowledged. Only to measure what syncs cost.
    pub fn unsynced(self) -> Self {
        Self { syncs: false, ..self }
    }

    /// The same, but large files are written past the page cache (`O_DIRECT`),
    /// where the system and the file system can. It takes a fraction of the
    /// CPU time, and whoever reads such a file first reads it from the disk.
    pub fn direct(self) -> Self {
        Self { is_direct: true, ..self }
    }

    /// Where `path` is; an error for one that leads out of the directory.
    fn at(&self, path: &str) -> io::Result<PathBuf> {
        let path = Path::new(path);
        if path.components().all(|part| matches!(part, Component::Normal(_))) {
            Ok(self.root.join(path))
        } else {
            Err(io::Error::new(ErrorKind::InvalidInput, format!("'{}' leads out of the directory", path.display())))
        }
    }
}

impl Disk for LocalDisk {
    fn open(&self, path: &str, create: bool) -> io::Result<Box<dyn DiskFile>> {
        let at = self.at(path)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(create).truncate(false).mode(Self::FILE_MODE);
        let file = match options.open(&at) {
            // Linux makes a file system read-only that it does not trust any more: what is there is read all the same.
            Err(error)
                if !create && matches!(error.kind(), ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied) =>
            {
                File::open(&at)?
            }
            opened => opened?,
        };
        Ok(Box::new(LocalFile { file, syncs: self.syncs, is_direct: self.is_direct }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.at(from)?, self.at(to)?)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        std::fs::remove_file(self.at(path)?)
    }

    fn make_dir(&self, path: &str) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(Self::DIR_MODE).create(self.at(path)?)
    }

    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        let entries = match std::fs::read_dir(self.at(path)?) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut names = Vec::new();
        for entry in entries {
            // A name that is not UTF-8 is none of ours.
            names.extend(entry?.file_name().into_string());
        }
        names.sort();
        Ok(names)
    }

    fn sync_dir(&self, path: &str) -> io::Result<()> {
        if !self.syncs {
            return Ok(());
        }
        File::open(self.at(path)?)?.sync_all()
    }

    fn free_bytes(&self) -> io::Result<u64> {
        // Files that are open are written to without complaint after their
        // directory is gone, and nobody would find them again.
        let gone = |why: &str| io::Error::new(ErrorKind::NotFound, format!("{} {why}", self.root.display()));
        let is = match self.root.metadata() {
            Ok(meta) => (meta.dev(), meta.ino()),
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(gone("is not there any more")),
            Err(error) => return Err(error),
        };
        if is != self.is {
            return Err(gone("is another directory than the one that was opened"));
        }
        let stat = rustix::fs::statvfs(&self.root)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

struct LocalFile {
    file: File,
    syncs: bool,
    is_direct: bool,
}

impl DiskFile for LocalFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.file.set_len(bytes)
    }

    #[cfg(target_os = "linux")]
    fn allocate(&self, bytes: u64) -> io::Result<()> {
        use rustix::fs::{FallocateFlags, fallocate};
        use rustix::io::Errno;
        match fallocate(&self.file, FallocateFlags::empty(), 0, bytes) {
            // Not every file system can.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) | Ok(()) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn fill(&self, bytes: &[u8]) -> io::Result<()> {
        let past_the_cache = if self.is_direct { direct::write(&self.file, bytes)? } else { 0 };
        self.file.write_all_at(&bytes[past_the_cache..], past_the_cache as u64)
    }

    fn sync(&self) -> io::Result<()> {
        if self.syncs { self.file.sync_data() } else { Ok(()) }
    }
}
