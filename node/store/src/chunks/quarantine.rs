use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use shoal_ports::Disk;
use shoal_types::{ChunkId, Copies};

use super::path;

/// Copies that were not what their names say, kept for whoever wants to know
/// what happened to the disk.
pub(super) struct Quarantine {
    disk: Arc<dyn Disk>,
    next: AtomicU64,
}

impl Quarantine {
    const DIR: &str = "quarantine";

    /// So many are kept; those after them are removed at once, so that a
    /// dying disk does not fill up with them. Empty the directory to see more.
    const FILES_MAX: usize = 64;

    pub(super) fn open(disk: Arc<dyn Disk>) -> io::Result<Self> {
        disk.make_dir(Self::DIR)?;
        // Names from an earlier run end in a smaller number.
        let next = disk
            .list(Self::DIR)?
            .iter()
            .filter_map(|name| name.rsplit_once('.')?.1.parse::<u64>().ok())
            .max()
            .map_or(0, |last| last + 1);
        Ok(Self { disk, next: AtomicU64::new(next) })
    }

    /// Takes the copy of `id`, of so many that there are to be, out of the chunks.
    pub(super) fn take(&self, id: ChunkId, copies: Copies) {
        let from = path::file(id, copies);
        let to = format!("{}/{id}.{}", Self::DIR, self.next.fetch_add(1, Ordering::Relaxed));
        let kept = self.disk.list(Self::DIR).map_or(Self::FILES_MAX, |names| names.len());
        let done = if kept < Self::FILES_MAX { self.disk.rename(&from, &to) } else { self.disk.remove(&from) };
        // Not durable, and it need not be: a copy that comes back is found again.
        if let Err(error) = done {
            tracing::warn!(chunk = %id, %error, "a corrupt copy could not be moved away");
        }
    }
}
