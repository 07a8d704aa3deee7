//! A chunk that is put: as many copies of it as there are to be.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use futures::channel::oneshot;
use futures::{StreamExt, stream};
use shoal_types::{BucketSettings, ChunkId, Copies, Error, HashedChunk, Result};
use tokio::sync::OwnedSemaphorePermit;

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
/// in rank, so that there are R copies whoever is missing. Where copies follow
/// that are not waited for, so many bytes of them do at the most
/// ([`Bounds::lagging_bytes`](crate::config::Bounds)).
///
/// Fails with the first cause when a peer that is there does not take its copy
/// (a full disk) and nobody can stand in for it; and when fewer than two
/// copies (one where there is to be but one) could be made at all.
pub(crate) async fn put(context: &Arc<Context>, bytes: Bytes, durability: Durability) -> Result<Kept> {
    let hashed = context.blocking(move || Ok(HashedChunk::of(bytes))).await?;
    let Some(synced) = durability.synced else {
        return make(context, hashed, durability.copies, |_, _| {}).await;
    };
    let room = room_to_follow(context, hashed.bytes().len()).await?;
    let (enough, heard) = oneshot::channel();
    let making = context.clone();
    context.spawn("copies of a chunk", async move {
        let _room = room;
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

/// Waits until there is room in memory for a chunk of so many bytes that stays
/// there longer than its put waits for it: behind an owner that is slow or does
/// not answer they come faster than they go.
async fn room_to_follow(context: &Context, bytes: usize) -> Result<OwnedSemaphorePermit> {
    // One that is longer than all of the room goes by itself.
    let bytes = u32::try_from(bytes.min(context.config.bounds.lagging_bytes)).unwrap_or(u32::MAX);
    let room = context.lagging_bytes.clone().acquire_many_owned(bytes).await;
    room.map_err(|_| context.not_ready("it is stopping"))
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

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "the test runs in real time")]
mod tests {
    use std::time::Duration;

    use tokio::sync::mpsc;

    use super::*;
    use crate::tests::ports::Network;
    use crate::tests::{config, mesh, ports};

    /// Each was a task of its own with its chunk in memory, as many as came in
    /// the minutes for which an owner that does not answer is tried: gigabytes.
    #[tokio::test]
    async fn copies_that_follow_are_bounded_and_a_put_waits_for_room() {
        let (events, _inbound) = mpsc::channel(1);
        let mut config = config();
        config.bounds.lagging_bytes = 8;
        let network = Arc::new(Network::new(config.info.id, events));
        let context = mesh(Context::new(config, ports(network.clone())), &[9]);
        network.opens_when_told();
        let durability = Durability { copies: Copies::DEFAULT, synced: Some(1) };
        for chunk in ["one.", "two."] {
            assert!(
                put(&context, Bytes::from(chunk), durability).await.is_ok(),
                "it does not wait for the other owner"
            );
        }
        let mut third = Box::pin(put(&context, Bytes::from("longer than all of the room"), durability));
        assert!(tokio::time::timeout(Duration::from_millis(50), &mut third).await.is_err(), "there is no room");
        assert_eq!(network.opened(), 2);
        network.opens_nothing();
        assert!(third.await.is_ok(), "there is room again, for one that is longer by itself");
    }
}
