use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use shoal_types::{JobId, OutputId};

use super::spill::{FrameSpan, SpillFile};

/// Jobs released lately are remembered, so that the output of a task that
/// finishes after its job's end is not kept for ever.
const RELEASED_JOBS_REMEMBERED: usize = 1024;

/// The outputs of the tasks that ran here, until their jobs are released.
#[derive(Debug)]
pub(crate) struct Outputs {
    kept: Mutex<Kept>,
    memory: Arc<MemoryUse>,
}

#[derive(Debug, Default)]
struct Kept {
    jobs: HashMap<JobId, HashMap<OutputId, Arc<Output>>>,
    released: VecDeque<JobId>,
}

/// Bytes of outputs in memory, against the most that there may be.
#[derive(Debug)]
pub(crate) struct MemoryUse {
    used: AtomicU64,
    limit: u64,
}

impl MemoryUse {
    pub(crate) fn add(self: &Arc<Self>, bytes: u64) -> MemoryShare {
        self.used.fetch_add(bytes, Ordering::Relaxed);
        MemoryShare { memory: Arc::clone(self), bytes }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.used.load(Ordering::Relaxed) > self.limit
    }
}

/// A part of the memory in use, given back when dropped.
#[derive(Debug)]
pub(crate) struct MemoryShare {
    memory: Arc<MemoryUse>,
    bytes: u64,
}

impl MemoryShare {
    pub(crate) fn grow(&mut self, bytes: u64) {
        self.memory.used.fetch_add(bytes, Ordering::Relaxed);
        self.bytes += bytes;
    }

    pub(crate) fn clear(&mut self) {
        self.memory.used.fetch_sub(self.bytes, Ordering::Relaxed);
        self.bytes = 0;
    }
}

impl Drop for MemoryShare {
    fn drop(&mut self) {
        self.clear();
    }
}

/// One task's output: rows by bucket.
#[derive(Debug)]
pub(crate) struct Output {
    pub schema: SchemaRef,
    pub buckets: Vec<Bucket>,
    pub spilled: Option<Arc<SpillFile>>,
    pub _memory: MemoryShare,
}

/// The rows for one consumer: first those that were spilled, then the others.
#[derive(Debug, Default)]
pub(crate) struct Bucket {
    pub spans: Vec<FrameSpan>,
    pub batches: Vec<RecordBatch>,
}

impl Outputs {
    pub(crate) fn new(memory_limit_bytes: u64) -> Self {
        let memory = Arc::new(MemoryUse { used: AtomicU64::new(0), limit: memory_limit_bytes });
        Self { kept: Mutex::default(), memory }
    }

    pub(crate) fn memory(&self) -> &Arc<MemoryUse> {
        &self.memory
    }

    pub(crate) fn put(&self, id: OutputId, output: Output) {
        let mut kept = self.lock();
        if !kept.released.contains(&id.task.job) {
            kept.jobs.entry(id.task.job).or_default().insert(id, Arc::new(output));
        }
    }

    pub(crate) fn get(&self, id: OutputId) -> Option<Arc<Output>> {
        self.lock().jobs.get(&id.task.job)?.get(&id).cloned()
    }

    pub(crate) fn forget(&self, job: JobId) {
        let dropped = self.lock().jobs.remove(&job);
        // As below.
        drop(dropped);
    }

    pub(crate) fn release(&self, job: JobId) {
        let dropped = {
            let mut kept = self.lock();
            if !kept.released.contains(&job) {
                kept.released.push_back(job);
                if kept.released.len() > RELEASED_JOBS_REMEMBERED {
                    kept.released.pop_front();
                }
            }
            kept.jobs.remove(&job)
        };
        // Freeing memory and files happens outside the lock.
        drop(dropped);
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
