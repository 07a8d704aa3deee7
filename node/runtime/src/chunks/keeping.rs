//! A chunk that is put: as many copies of it as there are to be.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use futures::channel::oneshot;
use futures::{StreamExt, stream};
use shoal_types::{BucketSettings, ChunkId, Copies, Error, HashedChunk, Result};

use super::bring;
use crate::context::Context;
use crate::planted::Planted;

/// How safe chunks are to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Durability {
    /// Copies of each (R).
    pub(crate) copies: Copies,
    /// How many of them are synced before a put goes on (W); all that can be
    /// made when `None`. The others follow.
    synced: Option<u8>,
}

impl From<BucketSettings> for Durability {
    fn from(settings: BucketSettings) -> Self {
        Self { copies: settings.copies(), synced: settings.write_copies }
    }
}

/// A chunk that is on its owners.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kept {
    pub(crate) id: ChunkId,
    /// Whether it was there before, on all of them that were waited for.
    pub(crate) was_there: bool,
}

/// Keeps a chunk on its owners; who has it already is not sent it. Returns
/// when every live one has it synced: R of them, or all there are; W of them
/// where its bucket says so. An owner that is away is stood in for by the next
/// in rank, so that there are R copies whoever is missing.
///
/// Fails with the first cause when a peer that is there does not take its copy
/// (a full disk) and nobody can stand in for it; and when fewer than two
/// copies (one where there is to be but one) could be made at all.
pub(crate) async fn put(context: &Arc<Context>, bytes: Bytes, durability: Durability) -> Result<Kept> {
    let hashed = context.blocking(move || Ok(HashedChunk::of(bytes))).await?;
    let Some(synced) = durability.synced else {
        return make(context, hashed, durability.copies, |_, _| {}).await;
    };
    let (enough, heard) = oneshot::channel();
    let making = context.clone();
    context.spawn("copies of a chunk", async move {
        let (id, mut enough) = (hashed.id(), Some(enough));
        let made = make(&making, hashed, durability.copies, |have, was_there| {
            if have >= usize::from(synced)
                && let Some(enough) = enough.take()
            {
                // The put may have been given up meanwhile.
                let _ = enough.send(Ok(Kept { id, was_there }));
            }
        });
        match (made.await, enough) {
            // Repair makes what is missing.
            (Err(error), None) => tracing::info!(%error, chunk = %id.short(), "not all copies could be made"),
            (made, Some(enough)) => _ = enough.send(made),
            (Ok(_), None) => {}
        }
    });
    heard.await.map_err(|_| context.not_ready("it is stopping"))?
}

/// Makes all copies; tells each time how many there are, and whether all of
/// those were there before.
async fn make(
    context: &Arc<Context>,
    hashed: HashedChunk,
    copies: Copies,
    mut tell: impl FnMut(usize, bool),
) -> Result<Kept> {
    let chunk = hashed.id();
    let layout = context.require_layout()?;
    let replicas = match context.has_planted(Planted::AckBeforeReplicas) {
        true => 1,
        false => layout.number(copies),
    };
    let owning = || layout.members.iter().filter(|member| member.weight > 0).map(|member| member.id);
    let mut passed_by: BTreeSet<_> =
        context.members.look(|table| owning().filter(|peer| *peer != context.me && !table.is_live(*peer)).collect());
    let mut live = owning().count() - passed_by.len();
    let mut have = BTreeSet::new();
    let mut cause = None;
    let mut was_there = true;
    loop {
        let mut missing = layout.owners_where(chunk, replicas, |peer| !passed_by.contains(&peer));
        missing.retain(|owner| !have.contains(owner));
        if missing.is_empty() {
            break;
        }
        let at_once = missing.len();
        let sent = stream::iter(missing).map(|owner| {
            let hashed = hashed.clone();
            async move { (owner, bring(context, owner, hashed, copies).await) }
        });
        let mut sent = sent.buffer_unordered(at_once);
        while let Some((owner, result)) = sent.next().await {
            match result {
                Ok(had_it) => {
                    was_there &= had_it;
                    have.insert(owner);
                    tell(have.len(), was_there);
                }
                Err(_) if context.has_planted(Planted::FailedCopyCounts) => {
                    have.insert(owner);
                }
                Err(error) => {
                    tracing::warn!(%error, chunk = %chunk.short(), owner = %owner.short(), "no copy there");
                    passed_by.insert(owner);
                    if matches!(error, Error::Unreachable { .. } | Error::Timeout { .. } | Error::NotReady { .. }) {
                        live -= 1;
                    }
                    cause.get_or_insert(error);
                }
            }
        }
    }
    // Who has no weight holds nothing; where nobody has any, there is nobody to acknowledge it.
    let needed = 2.min(replicas).min(owning().count()).max(replicas.min(live)).max(1);
    match cause {
        _ if have.len() >= needed => Ok(Kept { id: chunk, was_there }),
        Some(cause @ (Error::DiskFull { .. } | Error::DiskFailed { .. } | Error::Busy { .. })) => Err(cause),
        Some(_) | None => Err(Error::NoQuorum {
            what: format!("chunk {}", chunk.short()),
            answered: have.len() as u32,
            needed: needed as u32,
        }),
    }
}
