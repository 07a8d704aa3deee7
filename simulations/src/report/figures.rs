//! Figures that follow from what a report holds.

use std::time::Duration;

use super::{Report, Sample};

/// How long, and how badly, chunks had too few copies.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Exposure {
    /// Time in which any chunk was under-replicated.
    pub time: Duration,
    /// Under-replicated chunks × how long they were.
    pub chunk_seconds: f64,
    /// The most at once.
    pub chunks_max: u64,
    /// Time in which any chunk had no copy on a live host.
    pub without_copy: Duration,
    /// The most such chunks at once.
    pub without_copy_max: u64,
}

/// The least, the middle and the greatest of some figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Spread<T> {
    pub min: T,
    pub median: T,
    pub max: T,
}

impl<T: Ord + Copy + Default> Spread<T> {
    pub(super) fn of(figures: impl Iterator<Item = T>) -> Self {
        let mut sorted: Vec<T> = figures.collect();
        sorted.sort_unstable();
        let at = |index: usize| sorted.get(index).copied().unwrap_or_default();
        Self { min: at(0), median: at(sorted.len() / 2), max: at(sorted.len().saturating_sub(1)) }
    }
}

/// Attempts and operations, counted over the whole run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Totals {
    pub tasks_done: u64,
    pub tasks_rerun: u64,
    pub sent_bytes: u64,
    /// The most in one interval between samples, per second.
    pub sent_bytes_per_second_max: u64,
    pub operations_ok: u64,
    pub operations_failed: u64,
    pub operations_unknown: u64,
}

impl Report {
    /// Jobs whose answer was not that of a single peer.
    pub(super) fn wrong_answers(&self) -> usize {
        self.jobs.iter().filter(|job| job.right == Some(false)).count()
    }

    /// In a few words, whether all held.
    pub(super) fn verdict(&self) -> String {
        use super::units::counted;
        let violations = match self.violations.len() {
            0 => "no violation".to_owned(),
            some => counted(some, "violation"),
        };
        match self.wrong_answers() {
            0 => violations,
            wrong => format!("{violations}, {}", counted(wrong, "wrong answer")),
        }
    }

    /// Whether no invariant was violated and no answer was wrong.
    pub fn holds(&self) -> bool {
        self.violations.is_empty() && self.wrong_answers() == 0
    }

    /// From the first submission to the last job's end; `None` without jobs, or
    /// if one has not ended.
    pub fn makespan(&self) -> Option<Duration> {
        let first = self.jobs.iter().map(|job| job.submitted).min()?;
        let ends: Option<Vec<Duration>> =
            self.jobs.iter().map(|job| Some(job.submitted.saturating_add(job.makespan?))).collect();
        Some(ends?.into_iter().max()?.saturating_sub(first))
    }

    /// Virtual seconds per real second; 0 if no real time was measured.
    pub fn speed(&self) -> f64 {
        per_second(self.simulated.as_secs_f64(), self.wall)
    }

    /// Events per real second; 0 if no real time was measured.
    pub fn events_per_second(&self) -> f64 {
        per_second(self.events as f64, self.wall)
    }

    /// The moment at which all was whole again after the last fault.
    pub(super) fn healed_at(&self) -> Option<Duration> {
        let last = self.faults.iter().map(|fault| fault.until.unwrap_or(fault.at)).max()?;
        Some(last.saturating_add(self.healed_after?))
    }

    /// Each sample holds until the next one, the last until the end.
    pub(super) fn exposure(&self) -> Exposure {
        let ends = self.samples.iter().skip(1).map(|next| next.at).chain([self.simulated]);
        let mut exposure = Exposure::default();
        for (sample, end) in self.samples.iter().zip(ends) {
            let held = end.saturating_sub(sample.at);
            exposure.chunk_seconds += sample.chunks_under_replicated as f64 * held.as_secs_f64();
            exposure.chunks_max = exposure.chunks_max.max(sample.chunks_under_replicated);
            exposure.without_copy_max = exposure.without_copy_max.max(sample.chunks_without_copy);
            if sample.chunks_under_replicated > 0 {
                exposure.time += held;
            }
            if sample.chunks_without_copy > 0 {
                exposure.without_copy += held;
            }
        }
        exposure
    }

    /// Totals of the whole run. Samples stop before the end, and jobs, peers and
    /// operations need not be listed: who counted more has seen more.
    pub(super) fn totals(&self) -> Totals {
        let last = self.samples.last().cloned().unwrap_or_default();
        let reruns: u64 = self.jobs.iter().map(|job| job.reruns).sum();
        let sent: u64 = self.loads.iter().map(|load| load.sent_bytes).sum();
        let (ok, failed, unknown) = self.operations.values().fold((0, 0, 0), |(ok, failed, unknown), stats| {
            (ok + stats.ok, failed + stats.failed, unknown + stats.unknown)
        });
        Totals {
            tasks_done: last.tasks_done,
            tasks_rerun: last.tasks_rerun.max(reruns),
            sent_bytes: last.bytes_sent.max(sent),
            sent_bytes_per_second_max: self
                .samples
                .windows(2)
                .map(|pair| sent_per_second(&pair[0], &pair[1]) as u64)
                .max()
                .unwrap_or(0),
            operations_ok: last.operations_ok.max(ok),
            operations_failed: last.operations_failed.max(failed),
            operations_unknown: unknown,
        }
    }
}

/// Bytes per second between two samples.
pub(super) fn sent_per_second(before: &Sample, after: &Sample) -> f64 {
    per_second(after.bytes_sent.saturating_sub(before.bytes_sent) as f64, after.at.saturating_sub(before.at))
}

fn per_second(figure: f64, time: Duration) -> f64 {
    if time.is_zero() { 0.0 } else { figure / time.as_secs_f64() }
}
