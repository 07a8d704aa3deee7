//! Reading what lies on the disk before somebody needs it.
//!
//! A copy that has rotted is found only by being read, and what nobody reads
//! would rot until its last copy has. So each peer reads all of its copies, one
//! after the other, evenly over the scrub interval; one that is not what its
//! name says is set aside, and put back from another holder.

use std::sync::Arc;
use std::time::Duration;

use shoal_types::{ChunkId, Result};

use crate::chunks;
use crate::context::Context;

/// Copies follow each other no faster than this, however many there are.
const PAUSE_MIN: Duration = Duration::from_millis(20);

/// Scrubs for as long as the peer lives.
pub(crate) async fn run(context: Arc<Context>) {
    let mut after = None;
    loop {
        let pause = match pause(&context).await {
            Ok(pause) => pause,
            Err(error) => {
                tracing::debug!(%error, "cannot tell how much there is to scrub");
                context.config.timing.scrub
            }
        };
        context.ports.clock.sleep(pause).await;
        after = match next(&context, after).await {
            Ok(next) => next,
            Err(error) => {
                tracing::info!(%error, "a copy could not be checked");
                after
            }
        };
    }
}

/// Until the next copy is due.
async fn pause(context: &Arc<Context>) -> Result<Duration> {
    let store = context.ports.store.clone();
    let chunks = context.blocking(move || store.usage()).await?.chunks;
    let chunks = u32::try_from(chunks).unwrap_or(u32::MAX).max(1);
    Ok((context.config.timing.scrub / chunks).max(PAUSE_MIN))
}

/// Checks the copy that comes after; `None` at the end, to begin again.
async fn next(context: &Arc<Context>, after: Option<ChunkId>) -> Result<Option<ChunkId>> {
    let store = context.ports.store.clone();
    let checked = context
        .blocking(move || {
            let Some(chunk) = store.chunk_list(after, 1)?.first().copied() else {
                return Ok(None);
            };
            Ok(Some((chunk, store.chunk_get(chunk, None)?.is_some())))
        })
        .await?;
    let Some((chunk, is_good)) = checked else {
        return Ok(None);
    };
    if !is_good {
        tracing::warn!(chunk = %chunk.short(), "a copy has rotted and is set aside");
        // Reading it brings another peer's copy, and puts it back here.
        if let Err(error) = chunks::read(context, chunk, None).await {
            tracing::warn!(%error, chunk = %chunk.short(), "it cannot be put back now");
        }
    }
    Ok(Some(chunk))
}
