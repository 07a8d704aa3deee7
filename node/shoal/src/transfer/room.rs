//! How many objects are on their way at once.

use tokio::sync::{Semaphore, SemaphorePermit};

/// Of small objects many are under way: each is over in a few round trips and
/// syncs, which the others share.
const SMALL_AT_ONCE: usize = 64;

/// A large one costs a peer some chunks of memory, and a few of them keep disks
/// and lines busy.
const LARGE_AT_ONCE: usize = 8;

/// What is small: its bytes take less time than to ask for them.
const SMALL_BYTES_MAX: u64 = 64 << 10;

/// Room for objects on their way, of which each takes its part.
pub(crate) struct Room {
    places: Semaphore,
    at_once: usize,
    /// What a large one takes; a small one takes one place.
    large: u32,
}

impl Room {
    /// For as many as are asked for; else for a few large ones or many small ones.
    pub(crate) fn new(jobs: Option<usize>) -> Self {
        let (at_once, large) = jobs.map_or((SMALL_AT_ONCE, SMALL_AT_ONCE / LARGE_AT_ONCE), |jobs| (jobs, 1));
        Self { places: Semaphore::new(at_once), at_once, large: large as u32 }
    }

    /// At most so many have room.
    pub(crate) fn at_once(&self) -> usize {
        self.at_once
    }

    /// Waits for room for an object of so many bytes, however many if nobody
    /// knows. Whoever waits first is first.
    pub(crate) async fn take(&self, bytes: Option<u64>) -> Option<SemaphorePermit<'_>> {
        let is_small = bytes.is_some_and(|bytes| bytes <= SMALL_BYTES_MAX);
        // It is never closed.
        self.places.acquire_many(if is_small { 1 } else { self.large }).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn many_small_ones_have_room_or_a_few_large_ones_or_as_many_as_were_asked_for() {
        let fits = |jobs, bytes| {
            let room = Room::new(jobs);
            let taken: Vec<_> = std::iter::from_fn(|| room.take(bytes).now_or_never()).collect();
            assert!(taken.len() <= room.at_once());
            taken.len()
        };
        assert_eq!(fits(None, Some(SMALL_BYTES_MAX)), SMALL_AT_ONCE);
        assert_eq!(fits(None, Some(SMALL_BYTES_MAX + 1)), LARGE_AT_ONCE);
        assert_eq!(fits(None, None), LARGE_AT_ONCE);
        assert_eq!(fits(Some(3), Some(1)), 3);
        assert_eq!(fits(Some(3), None), 3);
    }

    #[test]
    fn a_small_one_behind_a_large_one_waits_for_it() {
        let room = Room::new(None);
        let small = room.take(Some(1)).now_or_never().unwrap();
        let mut taken: Vec<_> = std::iter::from_fn(|| room.take(None).now_or_never()).collect();
        assert_eq!(taken.len(), LARGE_AT_ONCE - 1);
        let mut large = Box::pin(room.take(None));
        assert!(large.as_mut().now_or_never().is_none());
        assert!(room.take(Some(1)).now_or_never().is_none());
        drop(small);
        taken.push(large.now_or_never().unwrap());
        assert_eq!(taken.len(), LARGE_AT_ONCE);
    }
}
