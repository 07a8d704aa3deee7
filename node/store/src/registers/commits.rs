use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use shoal_types::Result;

use super::database::Table;
use super::journal::Journal;

/// Rows to be written, by table and key; `None` removes one.
pub(super) type Rows = BTreeMap<(Table, Vec<u8>), Option<Bytes>>;

/// Commits of many callers, as few syncs as possible.
///
/// While one commit is being synced, those who come gather in the next batch;
/// then one of them commits it for all. Alone, a caller waits for nobody. No
/// more can gather than there are threads that may block.
pub(super) struct Commits {
    journal: Arc<Journal>,
    state: Mutex<State>,
    committed: Condvar,
}

#[derive(Default)]
struct State {
    gathering: Arc<Batch>,
    rows: Rows,
    committing: bool,
}

#[derive(Default)]
struct Batch {
    result: OnceLock<Result<()>>,
}

impl Commits {
    pub(super) fn new(journal: Arc<Journal>) -> Self {
        Self { journal, state: Mutex::default(), committed: Condvar::new() }
    }

    /// Writes the rows, all or none; durable when it returns `Ok`.
    pub(super) fn commit(&self, rows: Rows) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.rows.extend(rows);
        let batch = state.gathering.clone();
        loop {
            if let Some(result) = batch.result.get() {
                return result.clone();
            }
            if !state.committing {
                break;
            }
            state = self.committed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        // Nobody commits and our batch is not done: it is the one that gathers.
        state.committing = true;
        state.gathering = Arc::default();
        let rows = std::mem::take(&mut state.rows);
        drop(state);
        let result = self.journal.write(rows);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.committing = false;
        let result = batch.result.get_or_init(|| result).clone();
        drop(state);
        self.committed.notify_all();
        result
    }
}
