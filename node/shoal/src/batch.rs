//! The same done to many objects: several at a time, and what became of it.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use futures::stream::{Stream, StreamExt};
use indicatif::ProgressBar;

use crate::failure::Failure;
use crate::units;

/// Failures of the mesh one after another, with nothing that goes well
/// between, after which the rest is not tried: nobody is there any more.
const MESH_FAILURES_MAX: u32 = 8;

/// What became of a batch so far.
#[derive(Debug)]
pub(crate) struct Tally {
    /// How many went well, and the bytes of those.
    pub(crate) done: u64,
    pub(crate) bytes: u64,
    pub(crate) failed: u64,
    /// How many of the former were as they should be, and nothing was done to them.
    left: u64,
    /// Bytes of the others that were where they should be already.
    there_bytes: u64,
    /// How many there are, once that is known.
    expected: Arc<OnceLock<u64>>,
    started: Instant,
}

/// One of a batch that went well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Done {
    /// It was dealt with, so many bytes; of these some were there before.
    Dealt { bytes: u64, there_bytes: u64 },
    /// It was as it should be.
    Left { bytes: u64 },
}

impl From<u64> for Done {
    fn from(bytes: u64) -> Self {
        Self::Dealt { bytes, there_bytes: 0 }
    }
}

impl Tally {
    pub(crate) fn new() -> Self {
        let expected = Arc::new(OnceLock::new());
        Self { done: 0, bytes: 0, failed: 0, left: 0, there_bytes: 0, expected, started: Instant::now() }
    }

    /// Where to say how many there are, as soon as that is known.
    pub(crate) fn expected(&self) -> Arc<OnceLock<u64>> {
        self.expected.clone()
    }

    /// Does `each` to every item, `jobs` at a time; it gives the bytes that
    /// were dealt with. How many are done is the message of `progress`. The failure of one is told, and the others go on.
    ///
    /// # Errors
    /// That of the items themselves, of a reader of stdout that left, and of a
    /// mesh that does not answer any more. What was under way is dropped.
    pub(crate) async fn run<T, D: Into<Done>>(
        &mut self,
        items: impl Stream<Item = Result<T, Failure>>,
        jobs: usize,
        progress: &ProgressBar,
        each: impl AsyncFn(T) -> Result<D, Failure>,
    ) -> Result<(), Failure> {
        let each = &each;
        let done = items.map(|item| async move { Ok::<_, Failure>(each(item?).await) }).buffer_unordered(jobs);
        let mut done = std::pin::pin!(done);
        let mut of_the_mesh = 0;
        while let Some(outcome) = done.next().await {
            match outcome? {
                Ok(done) => {
                    self.add(done);
                    of_the_mesh = 0;
                }
                Err(failure @ Failure::Silent(_)) => return Err(failure),
                Err(failure) => {
                    of_the_mesh = if failure.is_of_the_mesh() { of_the_mesh + 1 } else { 0 };
                    if of_the_mesh >= MESH_FAILURES_MAX {
                        return Err(failure);
                    }
                    self.tell(&failure, progress);
                }
            }
            progress.set_message(self.so_far());
        }
        Ok(())
    }

    /// `12 of 300 objects`, those that failed among the 12.
    fn so_far(&self) -> String {
        let done = self.done + self.failed;
        match self.expected.get() {
            Some(expected) => format!("{} of {}", units::count(done), count(*expected)),
            None => count(done),
        }
    }

    /// One went well.
    pub(crate) fn add(&mut self, done: impl Into<Done>) {
        self.done += 1;
        match done.into() {
            Done::Dealt { bytes, there_bytes } => {
                self.bytes += bytes;
                self.there_bytes += there_bytes;
            }
            Done::Left { bytes } => {
                self.left += 1;
                self.bytes += bytes;
            }
        }
    }

    /// What of it did not have to be sent; empty when there is nothing to say.
    pub(crate) fn spared(&self) -> String {
        let mut spared = String::new();
        if self.left > 0 {
            spared += &format!("; {} there already", count(self.left));
        }
        if self.there_bytes > 0 {
            spared += &format!("; {} of it in the mesh already", units::bytes(self.there_bytes));
        }
        spared
    }

    /// Tells of one that failed.
    pub(crate) fn tell(&mut self, failure: &Failure, progress: &ProgressBar) {
        self.failed += 1;
        // The exit code is that of the whole.
        let _ = progress.suspend(|| failure.report());
    }

    /// How many objects of how many bytes, and in what time.
    pub(crate) fn summary(&self) -> String {
        format!("{}, {} in {}", count(self.done), units::bytes(self.bytes), units::duration(self.elapsed_ms()))
    }

    /// The same, and how fast the bytes went.
    pub(crate) fn summary_with_speed(&self) -> String {
        let per_second = u128::from(self.bytes) * 1000 / u128::from(self.elapsed_ms().max(1));
        let per_second = u64::try_from(per_second).unwrap_or(u64::MAX);
        format!("{}, {}/s", self.summary(), units::bytes(per_second))
    }

    /// How the whole went: a failure when one of them failed, once all were told.
    pub(crate) fn outcome(&self) -> Result<(), Failure> {
        match self.failed {
            0 => Ok(()),
            failed => Err(Failure::request(format!("{failed} of {} failed", count(self.done + failed)), "")),
        }
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// `1 object`, `300 objects`.
pub(crate) fn count(objects: u64) -> String {
    if objects == 1 { "1 object".into() } else { format!("{objects} objects") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::stream;

    async fn tally(items: Vec<Result<u64, Failure>>, jobs: usize) -> (Tally, Result<(), Failure>) {
        let mut tally = Tally::new();
        let items = stream::iter(items).map(Ok);
        let ended = tally.run(items, jobs, &ProgressBar::hidden(), async |item| item).await;
        (tally, ended)
    }

    #[tokio::test]
    async fn one_that_fails_does_not_keep_the_others() {
        let (tally, ended) = tally(vec![Ok(5), Err(Failure::request("bad", "")), Ok(7)], 2).await;
        assert_eq!((ended, tally.done, tally.bytes, tally.failed), (Ok(()), 2, 12, 1));
        assert_eq!(tally.outcome(), Err(Failure::request("1 of 3 objects failed", "")));
        assert!(tally.summary().starts_with("2 objects, 12 B in "), "{}", tally.summary());
    }

    #[test]
    fn it_is_told_how_far_it_is_and_what_was_spared() {
        let mut tally = Tally::new();
        tally.add(5);
        assert_eq!((tally.so_far().as_str(), tally.spared().as_str()), ("1 object", ""));
        tally.expected().set(1_200).unwrap();
        tally.add(Done::Left { bytes: 7 });
        tally.add(Done::Dealt { bytes: 2_048, there_bytes: 1_024 });
        assert_eq!(tally.so_far(), "3 of 1200 objects");
        assert_eq!(tally.spared(), "; 1 object there already; 1.0 KiB of it in the mesh already");
        assert_eq!((tally.done, tally.bytes), (3, 2_060));
    }

    #[tokio::test]
    async fn a_mesh_that_is_gone_is_not_asked_a_million_times() {
        let gone = || Err(Failure::mesh("nobody answers", ""));
        let (tally, ended) = tally((0..1000).map(|_| gone()).collect(), 1).await;
        assert_eq!((ended, tally.failed), (gone().map(|_: u64| ()), u64::from(MESH_FAILURES_MAX) - 1));
        let mixed = (0..1000).map(|n| if n % 2 == 0 { gone() } else { Ok(1) }).collect();
        let (tally, ended) = super::tests::tally(mixed, 1).await;
        assert_eq!((ended, tally.done, tally.failed), (Ok(()), 500, 500));
    }

    #[tokio::test]
    async fn a_listing_that_breaks_off_is_no_end() {
        let mut tally = Tally::new();
        let items = stream::iter([Ok(1), Err(Failure::mesh("broken", ""))]);
        let ended = tally.run(items, 1, &ProgressBar::hidden(), async |bytes| Ok(bytes)).await;
        assert_eq!((ended, tally.done), (Err(Failure::mesh("broken", "")), 1));
    }
}
