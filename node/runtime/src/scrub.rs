//! Reading what lies on the disk before somebody needs it.
//!
//! A copy that has rotted is found only by being read, and what nobody reads
//! would rot until its last copy has. So each peer reads all of its copies, one
//! after the other, evenly over the scrub interval; one that is not what its
//! name says is set aside, and put back from another holder. After a start it
//! goes on where it was ([`place`]). Who does not want to wait asks for it
//! ([`asked`]); the slow one goes on beside it.

mod asked;
mod place;

use std::sync::Arc;
use std::time::Duration;

use shoal_ports::Store;
use shoal_types::{ChunkId, Copies, DiskState, Error, LastScrub, Result, wire};

pub use asked::ScrubUpdate;
pub(crate) use asked::{scrub, serve};

use crate::chunks;
use crate::context::Context;
use place::{Keeper, Place};

/// Copies follow each other no faster than this, however many there are.
const PAUSE_MIN: Duration = Duration::from_millis(20);

/// So long after a start the next copy is read at the latest, however few
/// there are: a peer may never run as long as these are apart.
const FIRST_WITHIN: Duration = Duration::from_secs(300);

/// How often a peer that waits for the next copy looks how many there are by now.
const COUNTED_EVERY: Duration = Duration::from_secs(600);

/// So long after something went wrong it is tried again at the latest.
const AGAIN_WITHIN: Duration = Duration::from_secs(60);

/// The note in which a peer keeps what its last whole scrub came to.
const NOTE: &str = "scrub";

/// What reading a copy came to.
enum Checked {
    Good,
    /// It went while it was looked at: nobody counts on it.
    Gone,
    /// It was bad, and is whole again here or elsewhere.
    Mended,
    /// It was bad, and still is: no other holder could be read, or the disk
    /// does not take it.
    Bad,
}

/// Scrubs for as long as the peer lives.
pub(crate) async fn run(context: Arc<Context>) {
    let (mut keeper, Place { mut after, mut pass }) = Keeper::find(&context).await;
    let mut within = FIRST_WITHIN;
    loop {
        next_due(&context, within).await;
        within = Duration::MAX;
        match next(&context, after, &mut pass).await {
            Ok(None) => {
                note(&context, pass).await;
                (after, pass) = (None, LastScrub::default());
            }
            Ok(found) => after = found,
            Err(error) => {
                tracing::info!(%error, "the copies could not be checked");
                within = AGAIN_WITHIN;
            }
        }
        keeper.keep(&context, Place { after, pass }).await;
    }
}

/// Waits until the next copy is due, in so long at the latest. How many there
/// are may be another number meanwhile.
async fn next_due(context: &Arc<Context>, within: Duration) {
    let clock = &context.ports.clock;
    let since = clock.now();
    loop {
        let wait = match pause(context).await {
            Ok(pause) => pause.min(within).saturating_sub(clock.now().saturating_sub(since)).min(COUNTED_EVERY),
            Err(error) => {
                tracing::debug!(%error, "cannot tell how much there is to scrub");
                AGAIN_WITHIN
            }
        };
        if wait.is_zero() {
            return;
        }
        clock.sleep(wait).await;
    }
}

/// What the last scrub came to that read all copies here.
pub(crate) async fn last(context: &Arc<Context>) -> Result<Option<LastScrub>> {
    let store = context.ports.store.clone();
    let note = context.blocking(move || store.note_get(NOTE)).await?;
    note.map(|note| wire::decode(&note)).transpose()
}

/// Remembers what a scrub that came to its end found.
async fn note(context: &Arc<Context>, pass: LastScrub) {
    if pass.copies == 0 {
        return;
    }
    let (store, ended_ms) = (context.ports.store.clone(), context.ports.clock.wall_ms());
    let kept = context.blocking(move || store.note_put(NOTE, &wire::encode(&LastScrub { ended_ms, ..pass })?)).await;
    if let Err(error) = kept {
        tracing::info!(%error, "what the scrub found is not remembered");
    }
}

/// From one copy to the next one, and from the last one to the end.
async fn pause(context: &Arc<Context>) -> Result<Duration> {
    let store = context.ports.store.clone();
    let chunks = context.blocking(move || store.usage()).await?.chunks;
    let chunks = u32::try_from(chunks).unwrap_or(u32::MAX).saturating_add(1);
    Ok((context.config.timing.scrub / chunks).max(PAUSE_MIN))
}

/// Checks the copy that comes after, and adds it up; `None` at the end.
async fn next(context: &Arc<Context>, after: Option<ChunkId>, pass: &mut LastScrub) -> Result<Option<ChunkId>> {
    let store = context.ports.store.clone();
    let found = context
        .blocking(move || {
            let Some(chunk) = store.chunk_list(after, 1)?.first().copied() else {
                return Ok(None);
            };
            Ok(Some((chunk, store.chunk_len(chunk)?.unwrap_or(0))))
        })
        .await?;
    let Some((chunk, bytes)) = found else {
        return Ok(None);
    };
    match check(context, chunk).await? {
        Checked::Good => {}
        Checked::Gone => return Ok(Some(chunk)),
        Checked::Mended => (pass.bad, pass.mended) = (pass.bad + 1, pass.mended + 1),
        Checked::Bad => pass.bad += 1,
    }
    (pass.copies, pass.bytes) = (pass.copies + 1, pass.bytes + u64::from(bytes));
    Ok(Some(chunk))
}

/// Reads a copy here; one that is bad is put back from another holder.
///
/// # Errors
/// Only where nothing can be said of this copy: the peer is stopping, or all
/// of its data is gone.
async fn check(context: &Arc<Context>, chunk: ChunkId) -> Result<Checked> {
    if !context.surplus.is_kept(chunk) {
        return Ok(Checked::Gone);
    }
    let store = context.ports.store.clone();
    let (copies, found) = context.blocking(move || look(&*store, chunk)).await?;
    match found {
        Ok(Found::Good) => return Ok(Checked::Good),
        Ok(Found::Deleted) => return Ok(Checked::Gone),
        Ok(Found::Rotten) => tracing::warn!(chunk = %chunk.short(), "a copy has rotted and is set aside"),
        Err(error) => tracing::warn!(%error, chunk = %chunk.short(), "a copy cannot be read"),
    }
    match chunks::restore(context, chunk, copies).await {
        Ok(()) => Ok(Checked::Mended),
        Err(error @ Error::NotReady { .. }) => Err(error),
        Err(error) => {
            tracing::warn!(%error, chunk = %chunk.short(), "it cannot be put back now");
            Ok(Checked::Bad)
        }
    }
}

/// What was found in the place of a copy.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Good,
    Rotten,
    /// Collection or repair let go of it: it may have been whole.
    Deleted,
}

/// Looks at a copy, of so many that there are to be; or whether it can be read.
fn look(store: &dyn Store, chunk: ChunkId) -> Result<(Copies, Result<Found>)> {
    let copies = store.chunk_copies(chunk)?.unwrap_or_default();
    let found = match store.chunk_get(chunk, None) {
        Err(error) if matches!(store.disk(), DiskState::Gone { .. }) => return Err(error),
        Err(error) => Err(error),
        Ok(Some(_)) => Ok(Found::Good),
        Ok(None) if store.chunk_is_set_aside(chunk)? => Ok(Found::Rotten),
        Ok(None) => Ok(Found::Deleted),
    };
    Ok((copies, found))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::ports;

    /// Once it was told as rotten, and fetched again from another holder:
    /// collection had deleted it between two looks, and was done with it.
    #[test]
    fn a_copy_that_was_deleted_is_not_told_as_rotten() {
        let (store, chunk) = (ports::Store::default(), ChunkId::of(b"it"));
        store.chunk_put(chunk, b"it").unwrap();
        assert_eq!(look(&store, chunk), Ok((Copies::DEFAULT, Ok(Found::Good))));
        store.chunk_delete(chunk).unwrap();
        assert_eq!(look(&store, chunk), Ok((Copies::DEFAULT, Ok(Found::Deleted))));
    }
}
