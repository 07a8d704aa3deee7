use std::collections::BTreeMap;
use std::time::Duration;

use shoal_types::{JobId, PeerId};

/// A job without a task here for so long is asked after.
const IDLE: Duration = Duration::from_secs(2);

/// How long a coordinator has been gone before its job is given up. It may be
/// cut off only, and its client with it.
const GONE: Duration = Duration::from_secs(10);

/// Jobs of which outputs may be kept here. Their coordinators say when they
/// are over; one that cannot say so, because it died or was not heard, is
/// asked, and given up when it stays away.
#[derive(Default)]
pub(super) struct Kept {
    jobs: BTreeMap<JobId, Job>,
}

struct Job {
    coordinator: PeerId,
    /// Tasks that wait or run.
    tasks: u32,
    /// Since when there has been none, and no word of it.
    idle_since: Duration,
    is_asked: bool,
    gone_since: Option<Duration>,
}

/// What is known of a job that was asked after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    Runs,
    Over,
    /// No answer; whether its coordinator seems to be there.
    None {
        is_live: bool,
    },
}

/// What becomes of a job's outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Keep,
    /// The job is over, and nothing of it will be wanted again.
    Release,
    /// Nobody has wanted them for long. Should its coordinator have been cut
    /// off only, it holds them for lost, and may come back with new tasks.
    Forget,
}

impl Kept {
    /// A task of the job was taken.
    pub(super) fn began(&mut self, id: JobId, coordinator: PeerId, now: Duration) {
        let job = self.jobs.entry(id).or_insert(Job {
            coordinator,
            tasks: 0,
            idle_since: now,
            is_asked: false,
            gone_since: None,
        });
        job.coordinator = coordinator;
        job.tasks += 1;
    }

    /// A task of the job has ended.
    pub(super) fn ended(&mut self, id: JobId, now: Duration) {
        if let Some(job) = self.jobs.get_mut(&id) {
            job.tasks = job.tasks.saturating_sub(1);
            job.idle_since = now;
        }
    }

    pub(super) fn released(&mut self, id: JobId) {
        self.jobs.remove(&id);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Jobs to be asked after now, and whom.
    pub(super) fn due(&mut self, now: Duration) -> Vec<(JobId, PeerId)> {
        let is_due = |job: &Job| job.tasks == 0 && !job.is_asked && now.saturating_sub(job.idle_since) >= IDLE;
        let mut due = Vec::new();
        for (id, job) in self.jobs.iter_mut().filter(|(_, job)| is_due(job)) {
            job.is_asked = true;
            due.push((*id, job.coordinator));
        }
        due
    }

    /// Takes the answer; what to do with the job's outputs.
    pub(super) fn heard(&mut self, id: JobId, word: Word, now: Duration) -> Fate {
        let Some(job) = self.jobs.get_mut(&id) else {
            return Fate::Keep;
        };
        job.is_asked = false;
        if job.tasks > 0 {
            return Fate::Keep;
        }
        match word {
            Word::Over => return Fate::Release,
            Word::Runs => {
                job.gone_since = None;
                job.idle_since = now;
            }
            // No word came: it is asked again at the next look, as the job may
            // have been over for long.
            Word::None { is_live: true } => job.gone_since = None,
            Word::None { is_live: false } => {
                let since = *job.gone_since.get_or_insert(now);
                if now.saturating_sub(since) >= GONE {
                    return Fate::Forget;
                }
            }
        }
        Fate::Keep
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn job() -> JobId {
        JobId::from_bytes([1; 10])
    }

    fn idle() -> Kept {
        let mut kept = Kept::default();
        kept.began(job(), PeerId::from_bytes([2; 32]), S);
        kept.ended(job(), 2 * S);
        kept
    }

    #[test]
    fn a_job_is_asked_after_when_it_has_had_no_task_for_a_while() {
        let mut kept = idle();
        assert_eq!(kept.due(3 * S), []);
        assert_eq!(kept.due(4 * S), [(job(), PeerId::from_bytes([2; 32]))]);
        assert_eq!(kept.due(5 * S), [], "it is being asked after");
        assert_eq!(kept.heard(job(), Word::Runs, 5 * S), Fate::Keep);
        kept.began(job(), PeerId::from_bytes([2; 32]), 6 * S);
        assert_eq!(kept.due(60 * S), [], "it has a task");
    }

    #[test]
    fn what_is_over_goes_at_once_and_what_is_gone_after_a_while() {
        let mut kept = idle();
        assert_eq!(kept.due(4 * S).len(), 1);
        assert_eq!(kept.heard(job(), Word::Over, 4 * S), Fate::Release);
        let mut kept = idle();
        for second in [4, 8, 12] {
            assert_eq!(kept.due(second * S).len(), 1, "at {second} s");
            assert_eq!(kept.heard(job(), Word::None { is_live: false }, second * S), Fate::Keep);
        }
        assert_eq!(kept.due(16 * S).len(), 1);
        assert_eq!(kept.heard(job(), Word::None { is_live: false }, 16 * S), Fate::Forget);
    }

    // A question that was asked while its coordinator could not be reached took
    // seconds to fail, and the next one came as late as after an answer: outputs
    // of a job that was over were kept for long after all had healed.
    #[test]
    fn a_coordinator_that_gave_no_answer_is_asked_again_at_once() {
        for is_live in [true, false] {
            let mut kept = idle();
            assert_eq!(kept.due(4 * S).len(), 1);
            assert_eq!(kept.heard(job(), Word::None { is_live }, 7 * S), Fate::Keep);
            assert_eq!(kept.due(7 * S).len(), 1, "live: {is_live}");
            assert_eq!(kept.heard(job(), Word::Over, 7 * S), Fate::Release);
        }
        let mut kept = idle();
        assert_eq!(kept.due(4 * S).len(), 1);
        assert_eq!(kept.heard(job(), Word::Runs, 7 * S), Fate::Keep);
        assert_eq!(kept.due(8 * S), [], "it has answered");
    }

    #[test]
    fn a_coordinator_that_comes_back_in_time_keeps_its_job() {
        let mut kept = idle();
        assert_eq!(kept.due(4 * S).len(), 1);
        assert_eq!(kept.heard(job(), Word::None { is_live: false }, 4 * S), Fate::Keep);
        assert_eq!(kept.due(8 * S).len(), 1);
        assert_eq!(kept.heard(job(), Word::Runs, 8 * S), Fate::Keep);
        assert_eq!(kept.due(16 * S).len(), 1);
        assert_eq!(kept.heard(job(), Word::None { is_live: false }, 16 * S), Fate::Keep);
    }
}
