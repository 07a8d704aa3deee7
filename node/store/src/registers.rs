//! Acceptor state and notes: a log that is synced, and a redb database behind it.
//!
//! redb is a copy-on-write B-tree: a commit writes new pages and syncs them,
//! then one header that points to them, which is synced too; after a power cut
//! it is the state of the last commit or of the one before that was not
//! acknowledged. Unlike the chunks' index, this cannot be rebuilt: a lost
//! promise is a lost promise. So what has rotted is told, and never passed
//! over: of a commit in one phase redb would take bad pages for one that was
//! not completed, and fall back to the commit before it, whose log is gone.
//!
//! What an acceptor has accepted and what it has promised since are rows
//! apart: a promise does not write the value again. A register that is
//! forgotten leaves no row; what it had promised is not above the horizon, which
//! is one row for all, raised in the same commit.

mod backend;
mod commits;
mod database;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod journal;
mod key;
mod log;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use serde::de::DeserializeOwned;
use shoal_ports::{Disk, RegisterPut};
use shoal_types::{Ballot, Error, RegisterEntry, RegisterKey, RegisterPlace, RegisterSpan, Result, wire};

use crate::StoreConfig;
use crate::health::Health;
use commits::Commits;
use database::{Database, Table};
use journal::Journal;

/// Registers and notes on a disk.
pub(crate) struct Registers {
    journal: Arc<Journal>,
    commits: Commits,
    health: Arc<Health>,
    /// The horizon that is durable. Held while it is raised.
    horizon: Mutex<Ballot>,
}

/// The key of the one row of the horizon.
const HORIZON: &[u8] = &[];

impl Registers {
    /// Rows dropped in one commit where all of them are to go.
    const CLEARED_AT_ONCE: usize = 1_000;

    /// The longest name of a note, and with it what a listing of them costs, in bytes.
    const NOTE_NAME_BYTES_MAX: usize = 256;

    pub(crate) fn open(disk: Arc<dyn Disk>, health: Arc<Health>, config: &StoreConfig) -> Result<Self> {
        let database = Database::open(disk.clone(), health.clone(), config.register_cache_bytes)?;
        let journal = Journal::open(&disk, health.clone(), database, config.salt, config.register_log_bytes)?;
        let journal = Arc::new(journal);
        let mut registers =
            Self { commits: Commits::new(journal.clone()), journal, health, horizon: Mutex::new(Ballot::ZERO) };
        if let Some(row) = registers.journal.get(Table::Horizon, HORIZON)? {
            registers.horizon = Mutex::new(registers.decode("all that are forgotten", &row)?);
        }
        Ok(registers)
    }

    pub(crate) fn get(&self, key: &RegisterKey) -> Result<Option<RegisterEntry>> {
        let row = key::encode(key);
        // First the promise: one that is gone when it is looked for has become an entry.
        let promised = self.journal.get(Table::Promises, &row)?;
        let promised: Option<Ballot> = promised.map(|value| self.decode(key, &value)).transpose()?;
        let entry = self.journal.get(Table::Registers, &row)?;
        let entry: Option<RegisterEntry> = entry.map(|value| self.decode(key, &value)).transpose()?;
        Ok(match (entry, promised) {
            (Some(entry), Some(promised)) => Some(RegisterEntry { promised: promised.max(entry.promised), ..entry }),
            (None, Some(promised)) => {
                Some(RegisterEntry { key: key.clone(), promised, accepted: Ballot::ZERO, value: None })
            }
            (entry, None) => entry,
        })
    }

    pub(crate) fn put(&self, puts: &[RegisterPut]) -> Result<()> {
        // Of several for one key the last one holds.
        let mut rows = BTreeMap::new();
        for RegisterPut { entry, accepts } in puts {
            let key = key::encode(&entry.key);
            if *accepts {
                rows.insert((Table::Registers, key.clone()), Some(wire::encode(entry)?));
                rows.insert((Table::Promises, key), None);
            } else {
                rows.insert((Table::Promises, key), Some(wire::encode(&entry.promised)?));
            }
        }
        self.commits.commit(rows)
    }

    pub(crate) fn forget(&self, keys: &[RegisterKey], horizon: Ballot) -> Result<()> {
        let mut durable = self.horizon.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rows = BTreeMap::new();
        for key in keys {
            let key = key::encode(key);
            rows.insert((Table::Registers, key.clone()), None);
            rows.insert((Table::Promises, key), None);
        }
        if horizon > *durable {
            rows.insert((Table::Horizon, HORIZON.to_vec()), Some(wire::encode(&horizon)?));
        }
        self.commits.commit(rows)?;
        *durable = horizon.max(*durable);
        Ok(())
    }

    pub(crate) fn horizon(&self) -> Ballot {
        *self.horizon.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn clear(&self) -> Result<()> {
        let mut durable = self.horizon.lock().unwrap_or_else(PoisonError::into_inner);
        for table in [Table::Registers, Table::Promises] {
            loop {
                let rows = self.journal.scan(table, &[], Some(key::LAST_LAYOUT), Self::CLEARED_AT_ONCE)?;
                if rows.is_empty() {
                    break;
                }
                self.commits.commit(rows.into_iter().map(|(key, _)| ((table, key), None)).collect())?;
            }
        }
        self.commits.commit(BTreeMap::from([((Table::Horizon, HORIZON.to_vec()), None)]))?;
        *durable = Ballot::ZERO;
        Ok(())
    }

    pub(crate) fn is_unsettled(&self) -> bool {
        self.journal.is_due()
    }

    pub(crate) fn settle(&self) -> Result<()> {
        self.journal.settle()
    }

    pub(crate) fn scan(
        &self,
        span: &RegisterSpan,
        after: Option<&RegisterPlace>,
        limit: usize,
    ) -> Result<Vec<RegisterEntry>> {
        let after = after.map(|place| key::place(span.kind, place));
        let rows = self.journal.scan(Table::Registers, &key::prefix(span), after.as_deref(), limit)?;
        rows.iter().map(|(key, value)| self.decode(key::describe(key), value)).collect()
    }

    pub(crate) fn note_get(&self, name: &str) -> Result<Option<Bytes>> {
        self.journal.get(Table::Notes, name.as_bytes())
    }

    pub(crate) fn note_put(&self, name: &str, value: &[u8]) -> Result<()> {
        if name.len() > Self::NOTE_NAME_BYTES_MAX {
            return Err(Error::bug(format!("a note's name of {} bytes", name.len())));
        }
        let row = ((Table::Notes, name.as_bytes().to_vec()), Some(Bytes::copy_from_slice(value)));
        self.commits.commit(BTreeMap::from([row]))
    }

    fn decode<T: DeserializeOwned>(&self, key: impl Display, value: &[u8]) -> Result<T> {
        wire::decode(value)
            .map_err(|error| self.health.failure(format!("the register of {key} does not decode: {error}")))
    }
}
