//! Acceptor state and notes, in one redb database.
//!
//! redb is a copy-on-write B-tree: a commit writes new pages, then one header
//! that points to them, then syncs; after a power cut it is the state of the
//! last commit or of the one before that was not acknowledged. Unlike the
//! chunks' index, this cannot be rebuilt: a lost promise is a lost promise.

mod backend;
mod commits;
mod database;
mod key;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use shoal_ports::Disk;
use shoal_types::{Error, RegisterEntry, RegisterKey, Result, wire};

use crate::health::Health;
use commits::Commits;
use database::{Database, Table};

/// Registers and notes on a disk.
pub(crate) struct Registers {
    database: Arc<Database>,
    commits: Commits,
    health: Arc<Health>,
}

impl Registers {
    /// The longest name of a note, and with it what a listing of them costs, in bytes.
    const NOTE_NAME_BYTES_MAX: usize = 256;

    pub(crate) fn open(disk: Arc<dyn Disk>, health: Arc<Health>, cache_bytes: u64) -> Result<Self> {
        let database = Arc::new(Database::open(disk, health.clone(), cache_bytes)?);
        Ok(Self { commits: Commits::new(database.clone()), database, health })
    }

    pub(crate) fn get(&self, key: &RegisterKey) -> Result<Option<RegisterEntry>> {
        match self.database.get(Table::Registers, &key::encode(key))? {
            Some(value) => self.decode(&key.to_string(), &value).map(Some),
            None => Ok(None),
        }
    }

    pub(crate) fn put(&self, entries: &[RegisterEntry]) -> Result<()> {
        // Of several for one key the last one holds.
        let mut rows = BTreeMap::new();
        for entry in entries {
            rows.insert((Table::Registers, key::encode(&entry.key)), wire::encode(entry)?);
        }
        self.commits.commit(rows)
    }

    pub(crate) fn scan(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<RegisterEntry>> {
        let rows = self.database.scan(&key::object(prefix), after.map(key::object).as_deref(), limit)?;
        rows.iter().map(|(key, value)| self.decode(&key::describe(key), value)).collect()
    }

    pub(crate) fn note_get(&self, name: &str) -> Result<Option<Bytes>> {
        self.database.get(Table::Notes, name.as_bytes())
    }

    pub(crate) fn note_put(&self, name: &str, value: &[u8]) -> Result<()> {
        if name.len() > Self::NOTE_NAME_BYTES_MAX {
            return Err(Error::bug(format!("a note's name of {} bytes", name.len())));
        }
        let row = ((Table::Notes, name.as_bytes().to_vec()), Bytes::copy_from_slice(value));
        self.commits.commit(BTreeMap::from([row]))
    }

    fn decode(&self, key: &str, value: &[u8]) -> Result<RegisterEntry> {
        wire::decode(value)
            .map_err(|error| self.health.failure(format!("the register of {key} does not decode: {error}")))
    }
}
