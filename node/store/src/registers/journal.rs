//! Rows go into a log, synced; and from there into the database, many at a time.
//!
//! A commit of a few rows costs the B-tree many times their bytes in pages, a
//! log only those bytes. There are two: while the rows of one are taken over
//! by the database, the other is written. What is in a log only is held in
//! memory too: as much as a log may be long, twice.

use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use bytes::Bytes;
use shoal_ports::{Disk, DiskFile};
use shoal_types::Result;

use super::commits::Rows;
use super::database::{self, Database, Table, damaged};
use super::log::{self, Found, Log};
use crate::health::Health;

const FILES: [&str; 2] = ["registers.0.log", "registers.1.log"];

/// A writer does the settling itself when its log is so many times too long.
const BEHIND_MAX: u64 = 4;

/// The logs, and the database behind them.
pub(super) struct Journal {
    database: Database,
    health: Arc<Health>,
    salt: [u8; 32],
    /// A log is settled when it is longer than this.
    log_bytes: u64,
    writer: Mutex<Writer>,
    fresh: RwLock<Fresh>,
    /// Held by whoever settles.
    settler: Mutex<()>,
    is_due: AtomicBool,
}

struct Writer {
    log: Log,
    /// The file of the log that is not written.
    spare: Box<dyn DiskFile>,
}

/// Rows that are not in the database yet.
#[derive(Default)]
struct Fresh {
    /// Those in the log that is written.
    rows: Rows,
    /// Those of the log that is being settled, of that generation.
    settling: Option<(u64, Arc<Rows>)>,
}

impl Journal {
    /// Opens the logs on `disk`, and has the database take over what is in them.
    pub(super) fn open(
        disk: &Arc<dyn Disk>,
        health: Arc<Health>,
        database: Database,
        salt: [u8; 32],
        log_bytes: u64,
    ) -> Result<Self> {
        let complain = |error: io::Error| health.error("cannot open the registers' logs", &error);
        let names = disk.list("").map_err(complain)?;
        let mut generation = database.settled()?;
        let open = |name| disk.open(name, true).map_err(complain);
        let (first, spare) = (open(FILES[0])?, open(FILES[1])?);
        let mut found: Vec<Found> = Vec::new();
        for (name, file) in FILES.iter().zip([&first, &spare]) {
            found.extend(log::read(&**file, generation).map_err(|error| match error.kind() {
                io::ErrorKind::InvalidData => damaged(name, &error.to_string()),
                _ => complain(error),
            })?);
        }
        // One that nothing was written to says nothing.
        found.retain(|log| !log.rows.is_empty());
        found.sort_by_key(|log| log.generation);
        for log in found {
            // The log before it was taken over before this one was begun, or is here itself.
            if log.generation != generation + 1 {
                let why =
                    format!("it ends with log {generation}, and the next one that is there is {}", log.generation);
                return Err(damaged(database::FILE, &why));
            }
            generation = log.generation;
            database.settle_below_the_reserve(&log.rows, generation)?;
        }
        if !FILES.iter().all(|name| names.iter().any(|there| there == name)) {
            disk.sync_dir("").map_err(complain)?;
        }
        generation += 1;
        log::prepare(&*first, generation, &salt).and_then(|()| first.sync()).map_err(complain)?;
        let log = Log::begin(first, generation, &salt);
        Ok(Self {
            database,
            health,
            salt,
            log_bytes,
            writer: Mutex::new(Writer { log, spare }),
            fresh: RwLock::default(),
            settler: Mutex::new(()),
            is_due: AtomicBool::new(false),
        })
    }

    /// Writes the rows, all or none; durable on `Ok`. One at a time.
    pub(super) fn write(&self, rows: Rows) -> Result<()> {
        let written = self.write_if_room(rows);
        self.health.note_registers(&written);
        written
    }

    fn write_if_room(&self, rows: Rows) -> Result<()> {
        let record = log::record(&rows)?;
        if lock(&self.writer).log.bytes() >= self.log_bytes.saturating_mul(BEHIND_MAX) {
            self.settle()?;
        }
        let mut writer = lock(&self.writer);
        self.database.trustworthy()?;
        // Notes are few and short, and without some of them no peer starts.
        if rows.keys().any(|(table, _)| *table != Table::Notes) {
            self.health.room_for_registers(record.len() as u64)?;
        }
        writer.log.append(&record).map_err(|error| self.health.error("cannot write the registers' log", &error))?;
        writer.log.sync().map_err(|error| self.database.sync_failed(&error))?;
        // Only now may anybody see them.
        self.fresh.write().unwrap_or_else(PoisonError::into_inner).rows.extend(rows);
        if writer.log.bytes() >= self.log_bytes {
            self.is_due.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Whether a log is long enough to be settled.
    pub(super) fn is_due(&self) -> bool {
        self.is_due.load(Ordering::Relaxed)
    }

    /// Has the database take over a log that is long enough. Others may write meanwhile.
    pub(super) fn settle(&self) -> Result<()> {
        let _one = lock(&self.settler);
        self.turn()?;
        let settling = self.fresh.read().unwrap_or_else(PoisonError::into_inner).settling.clone();
        if let Some((generation, rows)) = settling {
            self.database.settle(&rows, generation)?;
            self.fresh.write().unwrap_or_else(PoisonError::into_inner).settling = None;
        }
        Ok(())
    }

    /// Begins another log, so that the one that is written can be settled.
    fn turn(&self) -> Result<()> {
        let mut writer = lock(&self.writer);
        self.database.trustworthy()?;
        let mut fresh = self.fresh.write().unwrap_or_else(PoisonError::into_inner);
        // The one before has not been settled, as when the disk was full.
        if fresh.settling.is_some() || writer.log.bytes() < self.log_bytes {
            return Ok(());
        }
        let generation = writer.log.generation;
        let spare = &*writer.spare;
        log::prepare(spare, generation + 1, &self.salt)
            .map_err(|error| self.health.error("cannot begin another log of the registers", &error))?;
        spare.sync().map_err(|error| self.database.sync_failed(&error))?;
        let writer = &mut *writer;
        writer.log.turn_to(&mut writer.spare, &self.salt);
        let rows = std::mem::take(&mut fresh.rows);
        fresh.settling = Some((generation, Arc::new(rows)));
        self.is_due.store(false, Ordering::Relaxed);
        Ok(())
    }

    pub(super) fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>> {
        self.database.trustworthy()?;
        let row = (table, key.to_vec());
        let found = self.fresh.read().unwrap_or_else(PoisonError::into_inner).find(&row).cloned();
        match found {
            Some(value) => Ok(value),
            // What was taken over since is there.
            None => self.database.get(table, key),
        }
    }

    /// Rows whose key begins with `prefix`, in the order of their keys, after `after`.
    pub(super) fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Bytes)>> {
        let mut from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after.to_vec()),
            _ => Bound::Included(prefix.to_vec()),
        };
        let mut all = Vec::new();
        while all.len() < limit {
            let wanted = limit - all.len();
            // In this order: what is taken over in between is met twice, and not missed.
            let fresh = self.fresh.read().unwrap_or_else(PoisonError::into_inner).range(table, &from, prefix, wanted);
            let settled = self.database.scan(table, from.as_ref().map(Vec::as_slice), prefix, wanted)?;
            // Beyond the end of a full page its source is not known.
            let last_of = |full: bool, last: Option<&Vec<u8>>| last.filter(|_| full).cloned();
            let end_fresh = last_of(fresh.len() == wanted, fresh.keys().next_back());
            let end_settled = last_of(settled.len() == wanted, settled.last().map(|(key, _)| key));
            let end = end_fresh.into_iter().chain(end_settled).min();
            let mut rows: BTreeMap<Vec<u8>, Option<Bytes>> =
                settled.into_iter().map(|(key, value)| (key, Some(value))).collect();
            rows.extend(fresh);
            let known = rows.into_iter().filter(|(key, _)| end.as_ref().is_none_or(|end| key <= end));
            all.extend(known.filter_map(|(key, value)| Some((key, value?))).take(wanted));
            match end {
                Some(end) => from = Bound::Excluded(end),
                None => break,
            }
        }
        Ok(all)
    }
}

impl Fresh {
    fn find(&self, row: &(Table, Vec<u8>)) -> Option<&Option<Bytes>> {
        self.rows.get(row).or_else(|| self.settling.as_ref()?.1.get(row))
    }

    /// The first rows of a table in a range, the later over the earlier.
    fn range(
        &self,
        table: Table,
        from: &Bound<Vec<u8>>,
        prefix: &[u8],
        limit: usize,
    ) -> BTreeMap<Vec<u8>, Option<Bytes>> {
        let start = from.as_ref().map(|key| (table, key.clone()));
        let settling = self.settling.as_ref().map(|(_, rows)| &**rows);
        let mut all = BTreeMap::new();
        for rows in settling.into_iter().chain([&self.rows]) {
            let within = rows.range((start.clone(), Bound::Unbounded));
            let within = within.take_while(|((of, key), _)| *of == table && key.starts_with(prefix));
            all.extend(within.take(limit).map(|((_, key), value)| (key.clone(), value.clone())));
        }
        while all.len() > limit {
            all.pop_last();
        }
        all
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
