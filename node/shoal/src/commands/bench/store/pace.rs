//! Operations repeated for a time by several jobs at once.

use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::task::JoinSet;

use crate::failure::Failure;

/// How long after the time of a measure an operation is still tried again.
const OVERTIME_MAX: Duration = Duration::from_secs(60);

/// One of those who repeat an operation, one after the other.
pub(super) trait Job: Send + 'static {
    /// Tries the operation once.
    fn attempt(&mut self) -> impl Future<Output = Result<Attempt, Failure>> + Send;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attempt {
    Done,
    /// Somebody else was faster: the operation begins again, and its time runs on.
    Refused,
}

/// How fast operations came to their end.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Pace {
    pub(super) operations: u64,
    pub(super) per_second: f64,
    /// From the first attempt to the end, in ms: of half of the operations no more than this, and of 99 %.
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    /// Attempts that came to nothing, for each operation.
    pub(super) refused_per_operation: f64,
    /// Operations that were given up, as they were refused again and again.
    pub(super) unfinished: u64,
}

/// What became of attempts.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// How long each operation took that came to its end.
    pub(super) times: Vec<Duration>,
    pub(super) refused: u64,
    pub(super) unfinished: u64,
}

impl Counts {
    pub(super) fn add(&mut self, other: Self) {
        self.times.extend(other.times);
        self.refused += other.refused;
        self.unfinished += other.unfinished;
    }
}

impl Pace {
    /// Of what happened within `elapsed`; `None` when no operation came to its end.
    pub(super) fn of(counts: Counts, elapsed: Duration) -> Option<Self> {
        let Counts { mut times, refused, unfinished } = counts;
        times.sort_unstable();
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        Some(Self {
            operations: times.len() as u64,
            per_second: times.len() as f64 / elapsed.as_secs_f64(),
            p50_ms: ms(percentile(&times, 50)?),
            p99_ms: ms(percentile(&times, 99)?),
            refused_per_operation: refused as f64 / times.len() as f64,
            unfinished,
        })
    }
}

/// The smallest of the sorted times that `percent` of them do not exceed
/// (nearest rank); `None` when there are none.
fn percentile(sorted: &[Duration], percent: usize) -> Option<Duration> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

/// Has each of the jobs repeat its operation for `time`, and once at least.
/// What is under way then may end, and counts: else only those who are lucky
/// with a contended operation would be told of. Gives the jobs back. An error
/// of one of them is that of all.
pub(super) async fn repeat<J: Job>(jobs: Vec<J>, time: Duration) -> Result<(Option<Pace>, Vec<J>), Failure> {
    let (counts, elapsed, jobs) = counted(jobs, time).await?;
    Ok((Pace::of(counts, elapsed), jobs))
}

/// As [`repeat`]; gives what was counted, and in what time.
pub(super) async fn counted<J: Job>(jobs: Vec<J>, time: Duration) -> Result<(Counts, Duration, Vec<J>), Failure> {
    let started = Instant::now();
    // Dropped on the way out, all jobs end.
    let mut running: JoinSet<_> = jobs.into_iter().map(|job| work(job, started, time)).collect();
    let (mut jobs, mut sum) = (Vec::new(), Counts::default());
    while let Some(ended) = running.join_next().await {
        let (job, counts) = ended.map_err(|error| Failure::request(error, ""))??;
        jobs.push(job);
        sum.add(counts);
    }
    Ok((sum, started.elapsed(), jobs))
}

async fn work<J: Job>(mut job: J, started: Instant, time: Duration) -> Result<(J, Counts), Failure> {
    let mut counts = Counts::default();
    loop {
        let begun = Instant::now();
        while job.attempt().await? == Attempt::Refused {
            counts.refused += 1;
            if started.elapsed() >= time + OVERTIME_MAX {
                counts.unfinished += 1;
                return Ok((job, counts));
            }
        }
        counts.times.push(begun.elapsed());
        if started.elapsed() >= time {
            return Ok((job, counts));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(count: u64) -> Vec<Duration> {
        (1..=count).rev().map(Duration::from_millis).collect()
    }

    #[test]
    fn a_percentile_is_a_time_that_occurred() {
        let at = |count, percent| {
            let mut times = ms(count);
            times.sort_unstable();
            percentile(&times, percent).map(|time| time.as_millis())
        };
        assert_eq!([at(1, 50), at(1, 99)], [Some(1), Some(1)]);
        assert_eq!([at(2, 50), at(2, 99)], [Some(1), Some(2)]);
        assert_eq!([at(100, 50), at(100, 99), at(100, 100)], [Some(50), Some(99), Some(100)]);
        assert_eq!([at(1_000, 50), at(1_000, 99)], [Some(500), Some(990)]);
        assert_eq!(at(0, 50), None);
    }

    #[test]
    fn a_pace_is_of_all_operations_in_whatever_order_they_ended() {
        let pace = Pace::of(Counts { times: ms(100), refused: 25, unfinished: 2 }, Duration::from_secs(4)).unwrap();
        assert_eq!((pace.operations, pace.per_second), (100, 25.0));
        assert_eq!((pace.p50_ms, pace.p99_ms), (50.0, 99.0));
        assert_eq!((pace.refused_per_operation, pace.unfinished), (0.25, 2));
        assert_eq!(Pace::of(Counts { refused: 3, ..Counts::default() }, Duration::from_secs(1)), None);
    }

    /// Done every other time.
    struct EveryOther(u64);

    impl Job for EveryOther {
        async fn attempt(&mut self) -> Result<Attempt, Failure> {
            tokio::task::yield_now().await;
            self.0 += 1;
            Ok(if self.0.is_multiple_of(2) { Attempt::Done } else { Attempt::Refused })
        }
    }

    #[tokio::test]
    async fn however_short_the_time_each_job_ends_what_it_began() {
        let (pace, jobs) = repeat(vec![EveryOther(0), EveryOther(1)], Duration::ZERO).await.unwrap();
        let pace = pace.unwrap();
        assert_eq!((pace.operations, pace.refused_per_operation, pace.unfinished), (2, 0.5, 0));
        assert!(jobs.iter().all(|job| job.0 == 2));
    }

    struct Broken;

    impl Job for Broken {
        async fn attempt(&mut self) -> Result<Attempt, Failure> {
            Err(Failure::request("broken", ""))
        }
    }

    #[tokio::test]
    async fn an_error_of_one_job_is_that_of_all() {
        assert!(repeat(vec![Broken, Broken], Duration::ZERO).await.is_err());
    }
}
