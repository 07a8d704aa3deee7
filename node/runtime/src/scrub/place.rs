//! Where the slow scrub is, for whoever starts again: a machine that is
//! switched off each night would read the same copies each day.
//!
//! The note is a frame (`wire::encode`) of a [`Place`]: the last copy that was
//! looked at, `None` before the first one, and what was found up to there. One
//! that is missing or cannot be read is as good as the beginning.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use shoal_ports::Store;
use shoal_types::{ChunkId, LastScrub, Result, wire};

use crate::context::Context;

const NOTE: &str = "scrub-place";

/// The note is written no more often than this, and once after a start: what
/// was read since is read again by whoever starts meanwhile.
const KEPT_EVERY: Duration = Duration::from_secs(300);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Place {
    pub(super) after: Option<ChunkId>,
    /// What the scrub came to so far; it has not ended at any time yet.
    pub(super) pass: LastScrub,
}

impl Place {
    fn of(store: &dyn Store) -> Result<Self> {
        store.note_get(NOTE)?.map_or_else(|| Ok(Self::default()), |note| wire::decode(&note))
    }

    fn put(self, store: &dyn Store) -> Result<()> {
        store.note_put(NOTE, &wire::encode(&self)?)
    }
}

/// Keeps the place, now and then.
#[derive(Default)]
pub(super) struct Keeper {
    /// When it was kept last since the start.
    at: Option<Duration>,
    /// What the note says.
    kept: Place,
}

impl Keeper {
    /// The place that was kept last, with its keeper.
    pub(super) async fn find(context: &Arc<Context>) -> (Self, Place) {
        let store = context.ports.store.clone();
        let kept = context.blocking(move || Place::of(&*store)).await.unwrap_or_else(|error| {
            tracing::info!(%error, "where the scrub was is not known, it begins anew");
            Place::default()
        });
        (Self { at: None, kept }, kept)
    }

    /// Keeps it, unless that was done a moment ago; that the scrub has ended, always.
    pub(super) async fn keep(&mut self, context: &Arc<Context>, place: Place) {
        let now = context.ports.clock.now();
        let is_recent = self.at.is_some_and(|at| now.saturating_sub(at) < KEPT_EVERY);
        if place == self.kept || is_recent && place != Place::default() {
            return;
        }
        // One that fails is not tried again at the next copy.
        (self.at, self.kept) = (Some(now), place);
        let store = context.ports.store.clone();
        if let Err(error) = context.blocking(move || place.put(&*store)).await {
            tracing::info!(%error, "where the scrub is cannot be kept");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::ports;

    #[test]
    fn a_place_reads_back_and_what_is_no_place_is_the_beginning_or_told() {
        let store = ports::Store::default();
        assert_eq!(Place::of(&store), Ok(Place::default()));
        let pass = LastScrub { copies: 3, bytes: 30, bad: 1, mended: 1, ended_ms: 0 };
        let place = Place { after: Some(ChunkId::of(b"it")), pass };
        place.put(&store).unwrap();
        assert_eq!(Place::of(&store), Ok(place));
        store.note_put(NOTE, b"?").unwrap();
        assert!(Place::of(&store).is_err());
    }
}
