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

pub(super) const FILE: &str = "registers.redb";

/// The database while it is being made: a half-made one never has the name of a whole one.
const NEW_FILE: &str = "registers.new";

/// The version of keys and values that this build writes. It reads those
/// before, too, and makes this of them: 1 had no logs and no promises apart, 2
/// no horizon.
const FORMAT: u32 = 3;
const FORMAT_FIRST: u32 = 1;

const META: TableDefinition<'_, &str, u32> = TableDefinition::new("meta");
const META_FORMAT: &str = "format";

/// The generation of the last log of which every row is here.
const SETTLED: TableDefinition<'_, (), u64> = TableDefinition::new("settled");

type Rowed = TableDefinition<'static, &'static [u8], &'static [u8]>;

/// The tables of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Table {
    /// What acceptors have accepted.
    Registers,
    Notes,
    /// What they have promised since.
    Promises,
    /// One row, without a key: the ballot that registers of which nothing is
    /// here count as having promised.
    Horizon,
}

impl Table {
    const ALL: [Self; 4] = [Self::Registers, Self::Notes, Self::Promises, Self::Horizon];

    const fn definition(self) -> Rowed {
        match self {
            Self::Registers => TableDefinition::new("registers"),
            Self::Notes => TableDefinition::new("notes"),
            Self::Promises => TableDefinition::new("promises"),
            Self::Horizon => TableDefinition::new("horizon"),
        }
    }

    /// Its number in a log.
    pub(super) const fn number(self) -> u8 {
        match self {
            Self::Registers => 0,
            Self::Notes => 1,
            Self::Promises => 2,
            Self::Horizon => 3,
        }
    }

    pub(super) fn of_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.number() == number)
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
            return Err(damaged(FILE, "the file is empty"));
        }
        let redb = database.load(FILE, false).map_err(|error| database.refusal(error))?;
        match format_of(&redb) {
            Ok(Some(FORMAT)) => {}
            Ok(Some(FORMAT_FIRST..FORMAT)) => fill(&redb).map_err(|error| database.refusal(error))?,
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

    /// Rows whose key begins with `prefix`, in the order of their keys, `from` there.
    pub(super) fn scan(
        &self,
        table: Table,
        from: Bound<&[u8]>,
        prefix: &[u8],
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Bytes)>> {
        self.with(|redb| {
            let table = redb.begin_read()?.open_table(table.definition())?;
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

    /// The generation of the last log of which every row is here.
    pub(super) fn settled(&self) -> Result<u64> {
        self.with(|redb| {
            let table = redb.begin_read()?.open_table(SETTLED)?;
            Ok(table.get(())?.map_or(0, |generation| generation.value()))
        })
    }

    /// Takes over the rows of the log of that generation, in one commit.
    pub(super) fn settle(&self, rows: &Rows, generation: u64) -> Result<()> {
        let bytes: usize = rows.iter().map(|((_, key), value)| key.len() + value.as_ref().map_or(0, Bytes::len)).sum();
        self.health.room_for_registers(bytes as u64)?;
        self.settle_below_the_reserve(rows, generation)
    }

    /// The same, where it is for the disk to say whether there is room: a peer
    /// must start on a full one, so that objects can be removed.
    pub(super) fn settle_below_the_reserve(&self, rows: &Rows, generation: u64) -> Result<()> {
        self.with(|redb| {
            let commit = begin(redb)?;
            for table in Table::ALL {
                let mut rows = rows.iter().filter(|((of, _), _)| *of == table).peekable();
                if rows.peek().is_some() {
                    let mut open = commit.open_table(table.definition())?;
                    for ((_, key), value) in rows {
                        match value {
                            Some(value) => drop(open.insert(key.as_slice(), value.as_ref())?),
                            None => drop(open.remove(key.as_slice())?),
                        }
                    }
                }
            }
            commit.open_table(SETTLED)?.insert((), generation)?;
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

    /// Something was written and could not be synced: what the disk shows is
    /// not what it holds.
    pub(super) fn sync_failed(&self, error: &std::io::Error) -> Error {
        self.sync_failed.store(true, Ordering::Release);
        self.health.fail("the registers could not be synced", error)
    }

    /// An error once a sync has failed.
    pub(super) fn trustworthy(&self) -> Result<()> {
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
            error => damaged(FILE, &error.to_string()),
        }
    }

    /// Makes an empty database under the name of a new one.
    fn make(&self) -> Result<(), redb::Error> {
        fill(&self.load(NEW_FILE, true)?)
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

/// A commit that is on the disk when it ends. In two phases: its pages are
/// synced before the header that makes them count.
fn begin(redb: &redb::Database) -> Result<redb::WriteTransaction, redb::Error> {
    let mut commit = redb.begin_write()?;
    commit.set_durability(Durability::Immediate)?;
    commit.set_two_phase_commit(true);
    Ok(commit)
}

/// Makes the tables that are not there, and says that they are of this format.
fn fill(redb: &redb::Database) -> Result<(), redb::Error> {
    guarded(|| {
        let commit = begin(redb)?;
        for table in Table::ALL {
            commit.open_table(table.definition())?;
        }
        commit.open_table(SETTLED)?;
        commit.open_table(META)?.insert(META_FORMAT, FORMAT)?;
        commit.commit()?;
        Ok(())
    })
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

pub(super) fn damaged(file: &str, why: &str) -> Error {
    Error::invalid(
        format!("the registers in {file} are damaged and were left as they are: {why}"),
        "check the disk; then move the data directory away and start anew as a new peer: the others hold what it held",
    )
}

fn foreign(what: &str) -> Error {
    Error::invalid(
        format!("the registers in {FILE} are of {what}, this build reads formats {FORMAT_FIRST} to {FORMAT}"),
        "start the version of Shoal that wrote them, or give another directory with --data",
    )
}
