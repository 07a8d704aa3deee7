//! Which life of a peer this is, counted so that a later one has a larger number.

use shoal_membership::AHEAD_MS_MAX;
use shoal_ports::{Clock, Store};
use shoal_types::{Result, wire};

/// The note in which the last incarnation is remembered.
const NOTE: &str = "incarnation";

/// The incarnation as which a peer starts: the time by its wall clock in ms,
/// and always later than any before, even where that clock was set back since.
/// An earlier one would not be listened to. One that lies so far ahead that
/// nobody else believes it, as once a mad clock may have left it behind, would
/// not be either, and is passed over. To be called once a start, before the
/// peer speaks to anybody; waits for the disk.
///
/// # Errors
/// Those of the store.
pub fn next_incarnation(store: &dyn Store, clock: &dyn Clock) -> Result<u64> {
    let last = store.note_get(NOTE)?.map(|note| wire::decode::<u64>(&note)).transpose()?;
    let now = clock.wall_ms();
    let believed = last.filter(|last| *last < now.saturating_add(AHEAD_MS_MAX));
    if let (Some(last), None) = (last, believed) {
        tracing::warn!(last, now, "the incarnation of the last start is in a far future, and not gone on from");
    }
    let next = believed.map_or(0, |last| last.saturating_add(1)).max(now);
    keep(store, next)?;
    Ok(next)
}

/// Remembers an incarnation that a peer has become while it ran.
pub(super) fn keep(store: &dyn Store, incarnation: u64) -> Result<()> {
    store.note_put(NOTE, &wire::encode(&incarnation)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::ports::{Store as Notes, Time};

    #[test]
    fn every_start_is_a_later_one_whatever_the_clock_shows() {
        let (store, clock) = (Notes::default(), Time::at(1_000));
        assert_eq!(next_incarnation(&store, &clock).unwrap(), 1_000);
        assert_eq!(next_incarnation(&store, &Time::at(2_000)).unwrap(), 2_000);
        assert_eq!(next_incarnation(&store, &clock).unwrap(), 2_001);
        keep(&store, 5_000).unwrap();
        assert_eq!(next_incarnation(&store, &clock).unwrap(), 5_001);
    }

    #[test]
    fn a_start_in_a_future_that_nobody_believes_in_is_not_gone_on_from() {
        let (store, clock) = (Notes::default(), Time::at(1_000));
        for mad in [u64::MAX, 1_000 + AHEAD_MS_MAX] {
            keep(&store, mad).unwrap();
            assert_eq!(next_incarnation(&store, &clock).unwrap(), 1_000);
        }
        keep(&store, 999 + AHEAD_MS_MAX).unwrap();
        assert_eq!(next_incarnation(&store, &clock).unwrap(), 1_000 + AHEAD_MS_MAX);
    }
}
