use std::io::ErrorKind;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use redb::{Durability, ReadableDatabase, TableDefinition};
use shoal_ports::Disk;
use shoal_types::{Error, Result};

use super::backend::Backend;
use super::commits::Rows;
use crate::health::{Health, is_full};

const FILE: &str = "registers.redb";

/// The database while it is being made: a half-made one never has the name of a whole one.
const NEW_FILE: &str = "registers.new";

/// The version of keys and values that this build writes, and the only one that it reads.
const FORMAT: u32 = 1;

const META: TableDefinition<'_, &str, u32> = TableDefinition::new("meta");
const META_FORMAT: &str = "format";

type Rowed = TableDefinition<'static, &'static [u8], &'static [u8]>;

/// The tables of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Table {
    Registers,
    Notes,
}

impl Table {
    const fn definition(self) -> Rowed {
        match self {
            Self::Registers => TableDefinition::new("registers"),
            Self::Notes => TableDefinition::new("notes"),
        }
    }
}

/// The redb database on a disk.
///
/// After any I/O error redb refuses to go on. When that was a full disk or a
/// failed read, it is opened again at the next call, from what is durable.
/// When it was a failed sync, it is not: the kernel may show pages that are
/// not on the disk, and a promise answered from them could be broken.
pub(super) struct Database {
    disk: Arc<dyn Disk>,
    health: Arc<Health>,
    cache_bytes: u64,
    /// `None` between an error and the next call.
    open: RwLock<Option<redb::Database>>,
    sync_failed: Arc<AtomicBool>,
}

impl Database {
    pub(super) fn open(disk: Arc<dyn Disk>, health: Arc<Health>, cache_bytes: u64) -> Result<Self> {
        let database = Self { disk, health, cache_bytes, open: RwLock::new(None), sync_failed: Arc::default() };
        let complain = |error| database.health.error("cannot open the registers", &error);
        let names = database.disk.list("").map_err(complain)?;
        if !names.iter().any(|name| name == FILE) {
            if names.iter().any(|name| name == NEW_FILE) {
                database.disk.remove(NEW_FILE).map_err(complain)?;
            }
            database.make().map_err(|error| database.refusal(error))?;
            database.disk.rename(NEW_FILE, FILE).map_err(complain)?;
            database.disk.sync_dir("").map_err(complain)?;
        }
        if database.disk.open(FILE, false).and_then(|file| file.is_empty()).map_err(complain)? {
            return Err(damaged("the file is empty"));
        }
        let redb = database.load(FILE, false).map_err(|error| database.refusal(error))?;
        match format_of(&redb) {
            Ok(Some(FORMAT)) => {}
            Ok(Some(other)) => return Err(foreign(&format!("format {other}"))),
            Ok(None) => return Err(foreign("an unknown format")),
            Err(error) => return Err(database.refusal(error)),
        }
        *database.open.write().unwrap_or_else(PoisonError::into_inner) = Some(redb);
        Ok(database)
    }

    pub(super) fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>> {
        self.with(|redb| {
            let table = redb.begin_read()?.open_table(table.definition())?;
            Ok(table.get(key)?.map(|value| Bytes::copy_from_slice(value.value())))
        })
    }

    /// Registers whose key begins with `prefix`, in the order of their keys, after `after`.
    pub(super) fn scan(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<(Vec<u8>, Bytes)>> {
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        self.with(|redb| {
            let table = redb.begin_read()?.open_table(Table::Registers.definition())?;
            let mut rows = Vec::new();
            for row in table.range::<&[u8]>((from, Bound::Unbounded))?.take(limit) {
                let (key, value) = row?;
                if !key.value().starts_with(prefix) {
                    break;
                }
                rows.push((key.value().to_vec(), Bytes::copy_from_slice(value.value())));
            }
            Ok(rows)
        })
    }

    /// Writes the rows in one commit: one sync.
    pub(super) fn write(&self, rows: &Rows) -> Result<()> {
        let bytes: usize = rows.iter().map(|((_, key), value)| key.len() + value.len()).sum();
        self.health.room_for_registers(bytes as u64)?;
        self.with(|redb| {
            let mut commit = redb.begin_write()?;
            commit.set_durability(Durability::Immediate)?;
            for table in [Table::Registers, Table::Notes] {
                if rows.keys().any(|(of, _)| *of == table) {
                    let mut open = commit.open_table(table.definition())?;
                    for ((_, key), value) in rows.iter().filter(|((of, _), _)| *of == table) {
                        open.insert(key.as_slice(), value.as_ref())?;
                    }
                }
            }
            commit.commit()?;
            Ok(())
        })
    }

    /// Runs `work` on the open database, and decides what its error means.
    fn with<T>(&self, work: impl FnOnce(&redb::Database) -> Result<T, redb::Error>) -> Result<T> {
        self.trustworthy()?;
        let mut open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        if open.is_none() {
            drop(open);
            let mut closed = self.open.write().unwrap_or_else(PoisonError::into_inner);
            // Others may have been faster.
            if closed.is_none() {
                *closed = Some(self.load(FILE, false).map_err(|error| self.failure(&error))?);
            }
            drop(closed);
            open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        }
        let Some(redb) = open.as_ref() else {
            return Err(self.health.failure("the registers are being opened again".into()));
        };
        let result = guarded(|| work(redb));
        drop(open);
        result.map_err(|error| {
            let failure = self.failure(&error);
            // Dropped before it is opened again: there are never two on one file.
            *self.open.write().unwrap_or_else(PoisonError::into_inner) = None;
            failure
        })
    }

    fn trustworthy(&self) -> Result<()> {
        if self.sync_failed.load(Ordering::Acquire) {
            return Err(self.health.failure("the registers could not be synced".into()));
        }
        Ok(())
    }

    fn failure(&self, error: &redb::Error) -> Error {
        match error {
            _ if self.sync_failed.load(Ordering::Acquire) => {
                self.health.fail("the registers could not be synced", error)
            }
            redb::Error::Io(io) if is_full(io) => self.health.full(),
            error => self.health.failure(format!("the registers cannot be used: {error}")),
        }
    }

    /// Why the database cannot be opened.
    fn refusal(&self, error: redb::Error) -> Error {
        match error {
            redb::Error::Io(io) if !matches!(io.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof) => {
                self.health.error("cannot open the registers", &io)
            }
            redb::Error::UpgradeRequired(version) => foreign(&format!("redb file format {version}")),
            error => damaged(&error.to_string()),
        }
    }

    /// Makes an empty database under the name of a new one.
    fn make(&self) -> Result<(), redb::Error> {
        let redb = self.load(NEW_FILE, true)?;
        let mut commit = redb.begin_write()?;
        commit.set_durability(Durability::Immediate)?;
        commit.open_table(META)?.insert(META_FORMAT, FORMAT)?;
        for table in [Table::Registers, Table::Notes] {
            commit.open_table(table.definition())?;
        }
        commit.commit()?;
        Ok(())
    }

    fn load(&self, path: &str, create: bool) -> Result<redb::Database, redb::Error> {
        let file = self.disk.open(path, create)?;
        let backend = Backend { file, sync_failed: self.sync_failed.clone() };
        guarded(|| {
            let redb = redb::Builder::new()
                .set_cache_size(usize::try_from(self.cache_bytes).unwrap_or(usize::MAX))
                // Bits that rotted are found here, and not by a panic later.
                .set_check_integrity_on_open(true)
                .create_with_backend(backend)?;
            Ok(redb)
        })
    }
}

fn format_of(redb: &redb::Database) -> Result<Option<u32>, redb::Error> {
    guarded(|| {
        let table = match redb.begin_read()?.open_table(META) {
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
            table => table?,
        };
        Ok(table.get(META_FORMAT)?.map(|format| format.value()))
    })
}

/// redb asserts where a file is not as it wrote it: bad bytes on a disk must not end the process.
fn guarded<T>(work: impl FnOnce() -> Result<T, redb::Error>) -> Result<T, redb::Error> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(redb::Error::Corrupted("its pages contradict each other".into())))
}

fn damaged(why: &str) -> Error {
    Error::invalid(
        format!("the registers in {FILE} are damaged and were left as they are: {why}"),
        "check the disk; then move the data directory away and start anew as a new peer: the others hold what it held",
    )
}

fn foreign(what: &str) -> Error {
    Error::invalid(
        format!("the registers in {FILE} are of {what}, this build reads format {FORMAT}"),
        "start the version of Shoal that wrote them, or give another directory with --data",
    )
}
