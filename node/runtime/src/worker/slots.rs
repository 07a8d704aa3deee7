use std::collections::BTreeMap;

use futures::channel::oneshot;
use shoal_types::JobId;

/// The place of one task that runs; no two ever have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Slot(u64);

/// The tasks that run here, each of which can be told to stop.
#[derive(Default)]
pub(super) struct Slots {
    last: u64,
    taken: BTreeMap<Slot, Task>,
}

struct Task {
    job: JobId,
    /// Dropping it stops the task. The slot is taken until that has happened.
    cancel: Option<oneshot::Sender<()>>,
}

impl Slots {
    /// A slot for a task of the job, which is to stop when the receiver says so.
    pub(super) fn take(&mut self, job: JobId) -> (Slot, oneshot::Receiver<()>) {
        let (cancel, cancelled) = oneshot::channel();
        self.last += 1;
        let slot = Slot(self.last);
        self.taken.insert(slot, Task { job, cancel: Some(cancel) });
        (slot, cancelled)
    }

    /// A task has ended; the job that it was of.
    pub(super) fn free(&mut self, slot: Slot) -> Option<JobId> {
        self.taken.remove(&slot).map(|task| task.job)
    }

    /// Stops all tasks of a job.
    pub(super) fn cancel(&mut self, job: JobId) {
        for task in self.taken.values_mut().filter(|task| task.job == job) {
            task.cancel = None;
        }
    }

    pub(super) fn taken(&self) -> usize {
        self.taken.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tasks_of_a_job_are_stopped_and_hold_their_slots_until_they_have_ended() {
        let (ours, theirs) = (JobId::from_bytes([1; 10]), JobId::from_bytes([2; 10]));
        let mut slots = Slots::default();
        let (first, mut first_stops) = slots.take(ours);
        let (second, mut second_stops) = slots.take(theirs);
        assert_eq!((first_stops.try_recv(), second_stops.try_recv()), (Ok(None), Ok(None)));
        slots.cancel(ours);
        assert_eq!((first_stops.try_recv(), second_stops.try_recv()), (Err(oneshot::Canceled), Ok(None)));
        assert_eq!(slots.taken(), 2);
        assert_eq!((slots.free(first), slots.free(first)), (Some(ours), None));
        assert_eq!((slots.taken(), slots.free(second)), (1, Some(theirs)));
    }
}
