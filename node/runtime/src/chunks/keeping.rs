//! A chunk that is put: as many copies of it as there are to be.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::channel::oneshot;
use futures::future::{Either, select, select_all};
use shoal_types::{BucketSettings, ChunkId, Copies, Error, HashedChunk, PeerId, Result};
use tokio::sync::OwnedSemaphorePermit;

use super::copying::Copying;
use super::takers::Takers;
use crate::context::Context;
use crate::planted::Planted;

/// How often it is looked whether somebody is late with a copy.
const LOOK_EVERY: Duration = Duration::from_secs(1);

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
/// in rank, so that there are R copies whoever is missing; so is one that takes
/// much longer than others to acknowledge its copy, whichever of the two comes
/// first, and at once while that is remembered ([`Acks`](super::Acks)). Where
/// copies follow that are not waited for, so many bytes of them do at the most
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
    let owning = layout.members.iter().filter(|member| member.weight > 0).map(|member| member.id);
    let away =
        context.members.look(|table| owning.filter(|peer| *peer != context.me && !table.is_live(*peer)).collect());
    let silent = context.acks.silent(context.ports.clock.now());
    let mut takers = Takers::new(&layout, chunk, replicas, away, silent);
    let begin = |takers: Vec<PeerId>| {
        let now = context.ports.clock.now();
        takers.into_iter().map(|to| Copying::begin(context, to, &hashed, copies, now)).collect::<Vec<_>>()
    };
    let mut running = begin(takers.next());
    let mut tried = takers.left_out();
    tried.retain(|peer| context.acks.is_due(*peer, context.ports.clock.now()));
    begin(tried).into_iter().for_each(Copying::go_on);
    let mut cause = None;
    let mut was_there = true;
    while !takers.is_done() && !running.is_empty() {
        let ended;
        (ended, running) = match select(select_all(running), context.ports.clock.sleep(LOOK_EVERY)).await {
            Either::Left(((ended, _, others), _)) => (Some(ended), others),
            Either::Right(((), others)) => (None, others.into_inner()),
        };
        match ended {
            Some((owner, Ok(had_it))) => {
                was_there &= had_it;
                takers.have.insert(owner);
                tell(takers.have.len(), was_there);
            }
            Some((owner, Err(_))) if context.has_planted(Planted::FailedCopyCounts) => {
                takers.have.insert(owner);
            }
            Some((owner, Err(Error::Timeout { .. }))) if context.is_live(owner) && takers.is_asked_again(owner) => {}
            Some((owner, Err(error))) => {
                tracing::warn!(%error, chunk = %chunk.short(), owner = %owner.short(), "no copy there");
                takers.refused(owner, &error);
                cause.get_or_insert(error);
            }
            None => {
                let now = context.ports.clock.now();
                running.iter().filter(|copying| copying.is_late(now)).for_each(|copying| takers.late(copying.to));
            }
        }
        running.extend(begin(takers.next()));
    }
    running.into_iter().for_each(Copying::go_on);
    let (have, needed) = (takers.have.len(), takers.needed());
    match cause {
        _ if have >= needed => Ok(Kept { id: chunk, was_there }),
        Some(cause @ (Error::DiskFull { .. } | Error::DiskFailed { .. } | Error::Busy { .. })) => Err(cause),
        Some(_) | None => {
            let silent = takers.unanswering().map_or(String::new(), |peer| {
                format!(", of which peer {} does not acknowledge its copy", peer.short())
            });
            let what = format!("chunk {}{silent}", chunk.short());
            Err(Error::NoQuorum { what, answered: have as u32, needed: needed as u32 })
        }
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "the test runs in real time")]
mod tests {
    use std::time::Duration;

    use tokio::sync::mpsc;

    use super::*;
    use crate::chunks::TRIES;
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

    #[tokio::test]
    async fn who_does_not_acknowledge_a_copy_in_time_is_named_where_nobody_can_take_it() {
        let (events, _inbound) = mpsc::channel(1);
        let mut config = config();
        config.timing.chunk = Duration::from_millis(20);
        let network = Arc::new(Network::new(config.info.id, events));
        let context = mesh(Context::new(config, ports(network.clone())), &[9]);
        network.opens_when_told();
        let put = put(&context, Bytes::from("chunk"), Durability::default()).await;
        let Err(error @ Error::NoQuorum { answered: 1, needed: 2, .. }) = put else { panic!("{put:?}") };
        let named = format!("peer {} does not acknowledge its copy", PeerId::from_bytes([9; 32]).short());
        assert!(error.to_string().contains(&named), "{error}");
        assert_eq!(network.opened(), TRIES, "there is nobody else");
    }
}
