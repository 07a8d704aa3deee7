use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use shoal_ports::Disk;
use shoal_types::{DiskState, Error, PeerId, Result};

/// Whether the disk can be written: not failed, and not full.
pub(crate) struct Health {
    peer: PeerId,
    disk: Arc<dyn Disk>,
    reserve_bytes: u64,
    /// Why it is failed. Once set it stays.
    failed: OnceLock<String>,
    /// What the last chunk that was refused for want of room would have needed.
    refused_bytes: AtomicU64,
    /// What the last registers that were refused for want of room would have
    /// needed; [`Health::UNTOLD`] where the disk had said that there is room.
    /// 0 since others were written.
    refused_names_bytes: AtomicU64,
    /// Of chunks that are being written.
    coming_bytes: AtomicU64,
}

/// Room that is held for a chunk.
pub(crate) struct Room<'a> {
    health: &'a Health,
    bytes: u64,
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        self.health.coming_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Health {
    /// What registers may leave free, as a share of the reserve. Small
    /// enough that a disk full of chunks still takes deletes for long, and
    /// large enough that the B-tree never meets the very end of the disk.
    const REGISTER_RESERVE_SHARE: u64 = 8;

    /// More than its free space tells, as where a quota is full.
    const UNTOLD: u64 = u64::MAX;

    pub(crate) fn new(peer: PeerId, disk: Arc<dyn Disk>, reserve_bytes: u64) -> Self {
        Self {
            peer,
            disk,
            reserve_bytes,
            failed: OnceLock::new(),
            refused_bytes: AtomicU64::new(0),
            refused_names_bytes: AtomicU64::new(0),
            coming_bytes: AtomicU64::new(0),
        }
    }

    /// Room for a chunk of `bytes`, as long as the answer lives; an error when
    /// there is none beside those that are being written.
    pub(crate) fn room_for_chunk(&self, bytes: u64) -> Result<Room<'_>> {
        let others = self.coming_bytes.fetch_add(bytes, Ordering::Relaxed);
        let room = Room { health: self, bytes };
        let refused = self.room(bytes, self.reserve_bytes.saturating_add(others));
        if let Err(Error::DiskFull { .. }) = refused {
            self.refused_bytes.store(bytes.saturating_add(self.reserve_bytes), Ordering::Relaxed);
        }
        refused.map(|()| room)
    }

    /// An error unless registers of `bytes` may be written.
    pub(crate) fn room_for_registers(&self, bytes: u64) -> Result<()> {
        self.room(bytes, self.register_reserve_bytes())
    }

    fn register_reserve_bytes(&self) -> u64 {
        self.reserve_bytes / Self::REGISTER_RESERVE_SHARE
    }

    /// Registers were written, or not.
    pub(crate) fn note_registers(&self, written: &Result<()>) {
        let refused_bytes = match written {
            Ok(()) => 0,
            Err(Error::DiskFull { free_bytes, .. }) if *free_bytes < self.register_reserve_bytes() => 0,
            // By the disk itself.
            Err(Error::DiskFull { needed_bytes, .. }) if *needed_bytes == self.reserve_bytes => Self::UNTOLD,
            Err(Error::DiskFull { needed_bytes, .. }) => *needed_bytes,
            Err(_) => return,
        };
        self.refused_names_bytes.store(refused_bytes, Ordering::Relaxed);
    }

    fn room(&self, bytes: u64, reserve_bytes: u64) -> Result<()> {
        self.writable()?;
        let free_bytes = self.free_bytes()?;
        let needed_bytes = bytes.saturating_add(reserve_bytes);
        if free_bytes < needed_bytes {
            return Err(Error::DiskFull { peer: self.peer, free_bytes, needed_bytes });
        }
        Ok(())
    }

    /// Whether the disk takes new data: it is full while less is free than the
    /// reserve, or than the last chunk that was refused would have needed; for
    /// names too while less is than their part of it, or than the last ones
    /// that were refused.
    pub(crate) fn state(&self) -> DiskState {
        if let Some(why) = self.failed.get() {
            return DiskState::Failed { why: why.clone() };
        }
        let needed_bytes = self.reserve_bytes.max(self.refused_bytes.load(Ordering::Relaxed));
        let refused_names_bytes = self.refused_names_bytes.load(Ordering::Relaxed);
        let names_bytes = self.register_reserve_bytes().max(refused_names_bytes);
        match self.disk.free_bytes() {
            Ok(free_bytes) if refused_names_bytes == Self::UNTOLD => DiskState::FullForNames {
                free_bytes,
                needed_bytes: self.reserve_bytes.max(free_bytes.saturating_add(1)),
            },
            Ok(free_bytes) if free_bytes < names_bytes => {
                DiskState::FullForNames { free_bytes, needed_bytes: names_bytes }
            }
            Ok(free_bytes) if free_bytes < needed_bytes => DiskState::Full { free_bytes, needed_bytes },
            Ok(_) => DiskState::Fine,
            Err(error) if error.kind() == ErrorKind::NotFound => DiskState::Gone { why: error.to_string() },
            Err(error) => DiskState::Failed { why: format!("cannot tell its free space: {error}") },
        }
    }

    pub(crate) fn free_bytes(&self) -> Result<u64> {
        self.disk.free_bytes().map_err(|error| match error.kind() {
            ErrorKind::NotFound => self.failure(error.to_string()),
            _ => self.error("cannot tell its free space", &error),
        })
    }

    /// An error once the data directory is gone.
    pub(crate) fn there(&self) -> Result<()> {
        match self.disk.free_bytes() {
            Err(error) if error.kind() == ErrorKind::NotFound => Err(self.failure(error.to_string())),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// An error once a sync failed.
    pub(crate) fn writable(&self) -> Result<()> {
        match self.failed.get() {
            Some(why) => Err(self.failure(why.clone())),
            None => Ok(()),
        }
    }

    /// A sync failed: nothing is written from now on.
    pub(crate) fn fail(&self, what: &str, error: &dyn std::fmt::Display) -> Error {
        let why = format!("{what}: {error}");
        if self.failed.set(why.clone()).is_ok() {
            tracing::error!(peer = self.peer.short(), why, "the disk failed; nothing is written to it any more");
        }
        self.failure(why)
    }

    /// Something else failed: this call, not the disk.
    pub(crate) fn error(&self, what: &str, error: &io::Error) -> Error {
        if is_full(error) {
            return self.full();
        }
        if error.kind() == ErrorKind::ReadOnlyFilesystem {
            return self.fail(what, error);
        }
        self.failure(format!("{what}: {error}"))
    }

    /// The disk had no room although the reserve was kept: others filled it.
    pub(crate) fn full(&self) -> Error {
        let free_bytes = self.disk.free_bytes().unwrap_or(0);
        Error::DiskFull { peer: self.peer, free_bytes, needed_bytes: self.reserve_bytes }
    }

    pub(crate) fn failure(&self, why: String) -> Error {
        Error::DiskFailed { peer: self.peer, why }
    }
}

pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}
