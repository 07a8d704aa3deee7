use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use shoal_types::{Error, JobId, OutputId, Result};

/// Jobs released lately are remembered, so that the output of a task that
/// finishes after its job's end is not kept for ever.
const RELEASED_JOBS_REMEMBERED: usize = 1024;

/// One task's output: frames by bucket.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Output {
    pub(super) buckets: Vec<Vec<Bytes>>,
}

impl Output {
    pub(super) fn bucket(&self, bucket: u32) -> Result<Vec<Bytes>> {
        let count = self.buckets.len();
        let frames = self.buckets.get(bucket as usize).cloned();
        frames.ok_or_else(|| Error::bug(format!("bucket {bucket} of {count} was asked for")))
    }

    fn bytes(&self) -> u64 {
        self.buckets.iter().flatten().map(|frame| frame.len() as u64).sum()
    }

    /// The first half of each bucket's frames from one attempt, the second from another.
    fn mixed(one: &Self, other: &Self) -> Self {
        let halves = |(one, other): (&Vec<Bytes>, &Vec<Bytes>)| {
            let first = &one[..one.len().div_ceil(2)];
            let second = &other[other.len().div_ceil(2)..];
            [first, second].concat()
        };
        Self { buckets: one.buckets.iter().zip(&other.buckets).map(halves).collect() }
    }
}

/// The outputs of the tasks that ran here, until their jobs are released.
pub(super) struct Outputs {
    /// Planted: see [`ComputeConfig::mixes_attempts`](super::ComputeConfig::mixes_attempts).
    mixes_attempts: bool,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    jobs: BTreeMap<JobId, BTreeMap<OutputId, Arc<Output>>>,
    released: VecDeque<JobId>,
}

impl Outputs {
    pub(super) fn new(mixes_attempts: bool) -> Self {
        Self { mixes_attempts, kept: Mutex::default() }
    }

    pub(super) fn put(&self, id: OutputId, output: Output) {
        let mut kept = self.lock();
        if !kept.released.contains(&id.task.job) {
            kept.jobs.entry(id.task.job).or_default().insert(id, Arc::new(output));
        }
    }

    pub(super) fn get(&self, id: OutputId) -> Option<Arc<Output>> {
        let kept = self.lock();
        let outputs = kept.jobs.get(&id.task.job)?;
        if !self.mixes_attempts {
            return outputs.get(&id).cloned();
        }
        let attempts = OutputId { attempt: 0, ..id }..=OutputId { attempt: u32::MAX, ..id };
        let mut attempts = outputs.range(attempts).map(|(_, output)| output);
        let oldest = attempts.next()?;
        Some(match attempts.next_back() {
            Some(newest) => Arc::new(Output::mixed(oldest, newest)),
            None => oldest.clone(),
        })
    }

    pub(super) fn forget(&self, job: JobId) {
        self.lock().jobs.remove(&job);
    }

    pub(super) fn release(&self, job: JobId) {
        let mut kept = self.lock();
        if !kept.released.contains(&job) {
            kept.released.push_back(job);
            if kept.released.len() > RELEASED_JOBS_REMEMBERED {
                kept.released.pop_front();
            }
        }
        kept.jobs.remove(&job);
    }

    /// Jobs with outputs here, and how many bytes they have.
    pub(super) fn kept(&self) -> Vec<(JobId, u64)> {
        let bytes = |outputs: &BTreeMap<OutputId, Arc<Output>>| outputs.values().map(|output| output.bytes()).sum();
        self.lock().jobs.iter().map(|(job, outputs)| (*job, bytes(outputs))).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
