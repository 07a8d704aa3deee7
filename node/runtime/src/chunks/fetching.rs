//! A chunk from another peer: from whoever of its holders has it first.
//!
//! ```text
//!   first owner ──▶ (silent) ·····················╳ ended
//!        └ patience ┘
//!   second owner     ──▶ length ▶ bytes ▶ checked ─▶ taken
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::{BoxFuture, Either, pending, select, select_all};
use shoal_ports::Flow;
use shoal_types::{
    ChunkId, Error, ErrorClass, FlowHeader, HashedChunk, PeerId, Request, Response, Result, SliceProof, wire,
};

use super::{CHUNK_BYTES_MAX, first_frame, read_exactly};
use crate::context::Context;

/// How often the holders of a chunk are asked while one of them is busy.
const BUSY_TRIES: u32 = 100;

/// What a holder gave.
pub(super) enum Fetched {
    Whole(HashedChunk),
    /// The bytes of the range that was asked for.
    Range(Bytes),
}

/// A whole chunk from whoever has it: its owners first, then everyone.
pub(super) async fn fetch(context: &Arc<Context>, chunk: ChunkId) -> Result<HashedChunk> {
    match fetch_part(context, chunk, None).await? {
        Fetched::Whole(whole) => Ok(whole),
        Fetched::Range(_) => Err(Error::bug("a range of a chunk that was asked for as a whole")),
    }
}

/// A range of a chunk, or all of it where the range is most of that; all where
/// no range is given.
///
/// # Errors
/// [`Error::ChunkLost`] where nobody has it whole who can be reached; else what
/// kept one of those who may have it from giving it.
pub(super) async fn fetch_part(context: &Arc<Context>, chunk: ChunkId, range: Option<(u32, u32)>) -> Result<Fetched> {
    let layout = context.require_layout()?;
    let owners = layout.owners(chunk).all();
    let mut cause = match patiently(context, chunk, range, &owners).await {
        Ok(fetched) => return Ok(fetched),
        Err(error) => error,
    };
    // Somebody may hold a copy in an owner's place, or from an older layout.
    let others: Vec<PeerId> = context
        .members
        .look(|table| table.live().map(|(peer, _)| peer).filter(|peer| !owners.contains(peer)).collect());
    let mut busy = Vec::new();
    for peer in others.into_iter().filter(|peer| is_candidate(context, *peer)) {
        match fetch_if_there(context, peer, chunk, range).await {
            Ok(fetched) => return Ok(fetched),
            Err(Error::Busy { .. }) => busy.push(peer),
            Err(error) if is_of_a_holder(&error) => cause = error,
            Err(_) => {}
        }
    }
    match patiently(context, chunk, range, &busy).await {
        Err(error) if !is_of_a_holder(&error) => Err(cause),
        result => result,
    }
}

/// Whom to ask for a chunk.
fn is_candidate(context: &Context, peer: PeerId) -> bool {
    peer != context.me && context.is_live(peer)
}

/// From one that need not have it.
async fn fetch_if_there(
    context: &Arc<Context>,
    peer: PeerId,
    chunk: ChunkId,
    range: Option<(u32, u32)>,
) -> Result<Fetched> {
    match context.call(peer, Request::ChunkHas { chunks: vec![chunk] }).await? {
        Response::Has(has) if has == [true] => fetch_from(context, peer, chunk, range, &AtomicBool::new(false)).await,
        _ => Err(Error::ChunkLost { chunk }),
    }
}

/// Whether it is what keeps somebody from giving a chunk who may have it
/// whole, and is there.
fn is_of_a_holder(error: &Error) -> bool {
    let is_gone = matches!(error, Error::ChunkLost { .. } | Error::Unreachable { .. } | Error::BadFrame { .. });
    !is_gone && error.class() == ErrorClass::Retry
}

/// From whoever of `holders` gives it first. One that has it and too much to
/// do is worth waiting for.
async fn patiently(
    context: &Arc<Context>,
    chunk: ChunkId,
    range: Option<(u32, u32)>,
    holders: &[PeerId],
) -> Result<Fetched> {
    let mut tries = 0;
    loop {
        let asked: Vec<PeerId> = holders.iter().copied().filter(|peer| is_candidate(context, *peer)).collect();
        tries += 1;
        match race(context, chunk, range, &asked).await {
            Err(Error::Busy { retry_after_ms, .. }) if tries < BUSY_TRIES => {
                context.ports.clock.sleep(Duration::from_millis(retry_after_ms.clamp(10, 2_000))).await;
            }
            result => return result,
        }
    }
}

/// Asks the first of `holders`, and the next whenever one fails or none of
/// those who were asked has begun to answer in time. Who ends first is taken;
/// the others are told by the end of their flows.
///
/// # Errors
/// [`Error::Busy`] where one of them may give it a little later; else as
/// [`fetch_part`].
async fn race(
    context: &Arc<Context>,
    chunk: ChunkId,
    range: Option<(u32, u32)>,
    holders: &[PeerId],
) -> Result<Fetched> {
    let has_begun = AtomicBool::new(false);
    let mut left = holders.iter().copied();
    let (mut busy, mut cause) = (None, Error::ChunkLost { chunk });
    let ask = |from: PeerId| -> BoxFuture<'_, (PeerId, Result<Fetched>)> {
        let has_begun = &has_begun;
        async move { (from, fetch_from(context, from, chunk, range, has_begun).await) }.boxed()
    };
    let mut running: Vec<_> = left.next().map(ask).into_iter().collect();
    while !running.is_empty() {
        let patience = match left.len() > 0 && !has_begun.load(Ordering::Relaxed) {
            true => context.ports.clock.sleep(context.patience.limit()),
            // There is nobody else, or no need.
            false => pending().boxed(),
        };
        let ended;
        (ended, running) = match select(select_all(running), patience).await {
            Either::Left(((ended, _, others), _)) => (Some(ended), others),
            Either::Right(((), others)) => (None, others.into_inner()),
        };
        match ended {
            Some((_, Ok(fetched))) => return Ok(fetched),
            Some((from, Err(error))) => {
                if let Error::Busy { .. } = error {
                    busy = Some(error);
                } else {
                    tracing::info!(%error, chunk = %chunk.short(), from = %from.short(), "not from there");
                    if is_of_a_holder(&error) {
                        cause = error;
                    }
                }
                // It may have been the one that had begun.
                has_begun.store(false, Ordering::Relaxed);
            }
            None if has_begun.load(Ordering::Relaxed) => continue,
            None => tracing::debug!(chunk = %chunk.short(), "nobody answers, asks another holder too"),
        }
        running.extend(left.next().map(ask));
    }
    Err(busy.unwrap_or(cause))
}

/// A chunk from one peer, or a range of it, checked. Says when that has `begun`
/// to answer.
async fn fetch_from(
    context: &Arc<Context>,
    from: PeerId,
    chunk: ChunkId,
    range: Option<(u32, u32)>,
    begun: &AtomicBool,
) -> Result<Fetched> {
    let work = async {
        let asked = context.ports.clock.now();
        let header = wire::encode(&match range {
            None => FlowHeader::ChunkGet { chunk, range: None },
            Some(range) => FlowHeader::ChunkSlice { chunk, range },
        })?;
        let Flow { writer, mut reader } = context.ports.transport.open(from, header).await?;
        writer.finish().await?;
        let (proof, length) = match range {
            None => (None, first_frame::<u32>(&mut reader, from).await?),
            Some(range) => {
                let proof = first_frame::<SliceProof>(&mut reader, from).await?;
                let length = proof.end.saturating_sub(proof.start);
                (Some((proof, range)), length)
            }
        };
        if length > CHUNK_BYTES_MAX {
            return Err(Error::BadFrame { what: format!("a chunk of {length} bytes") });
        }
        begun.store(true, Ordering::Relaxed);
        context.patience.note(context.ports.clock.now().saturating_sub(asked));
        let bytes = read_exactly(&mut reader, length).await?;
        let checked = context.blocking(move || Ok(check(chunk, proof, bytes))).await?;
        checked.ok_or_else(|| Error::BadFrame { what: "a chunk that is not what its name says".into() })
    };
    context.timeout("fetching a chunk", context.config.timing.chunk, work).await
}

/// What came, if it is of that chunk.
fn check(chunk: ChunkId, proof: Option<(SliceProof, (u32, u32))>, bytes: Bytes) -> Option<Fetched> {
    match proof {
        Some((proof, range)) if !proof.is_whole() => {
            let (from, to) = proof.within(range).filter(|_| proof.is_of(chunk, &bytes))?;
            Some(Fetched::Range(bytes.slice(from..to)))
        }
        Some(_) | None => HashedChunk::named(chunk, bytes).map(Fetched::Whole),
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "the tests run in real time")]
mod tests {
    use tokio::sync::mpsc;

    use super::*;
    use crate::tests::ports::Network;
    use crate::tests::{config, info, link, mesh, ports};

    const GROUP: u32 = SliceProof::GROUP_BYTES;

    const BYTES: Bytes = Bytes::from_static(b"a chunk that is elsewhere");

    fn somewhere() -> (Arc<Context>, Arc<Network>) {
        let (events, _inbound) = mpsc::channel(1);
        let config = config();
        let network = Arc::new(Network::new(config.info.id, events));
        (mesh(Context::new(config, ports(network.clone())), &[9]), network)
    }

    /// All of it was told as lost, with the advice to bring back a peer, where
    /// the one that had it was there and slow.
    #[tokio::test]
    async fn only_what_nobody_has_is_told_as_lost() {
        let (context, network) = somewhere();
        let (chunk, peer) = (ChunkId::of(&BYTES), info(9).id);
        let lost = Error::ChunkLost { chunk };
        let slow = Error::Timeout { what: "a disk".into(), ms: 1 };
        let failed = Error::DiskFailed { peer, why: "it is old".into() };
        let away = Error::Unreachable { peer, why: "it went away".into() };
        for (said, expected) in [(&slow, &slow), (&failed, &failed), (&lost, &lost), (&away, &lost)] {
            network.refuses(said);
            let result = fetch(&context, chunk).await;
            assert_eq!(result.map(|chunk| chunk.id()).as_ref(), Err(expected));
        }
    }

    #[tokio::test]
    async fn one_that_holds_it_in_an_owners_place_and_is_busy_is_waited_for() {
        let (context, network) = somewhere();
        let (chunk, busy) = (ChunkId::of(&BYTES), Error::Busy { peer: info(8).id, retry_after_ms: 10 });
        link(&context, &[8]);
        context.members.change(|table| table.set(info(9).id, None));
        network.answers_after(0);
        network.answers(Response::Has(vec![true]));
        network.refuses(&busy);
        let mut fetched = Box::pin(fetch(&context, chunk));
        assert!(tokio::time::timeout(Duration::from_millis(50), &mut fetched).await.is_err(), "it waits");
        network.has_fragment(&BYTES);
        assert_eq!(fetched.await.map(|chunk| chunk.id()), Ok(chunk));
    }

    #[test]
    fn a_part_of_another_place_or_another_chunk_is_not_taken() {
        let whole: Vec<u8> = (0..8 * GROUP).map(|at| (at / 1_000) as u8).collect();
        let (id, range) = (ChunkId::of(&whole), (GROUP + 1, GROUP + 9));
        let proof = SliceProof::of(&whole, range);
        let part = Bytes::copy_from_slice(&whole[GROUP as usize..2 * GROUP as usize]);
        let taken = check(id, Some((proof.clone(), range)), part.clone());
        assert!(matches!(taken, Some(Fetched::Range(bytes)) if bytes == whole[range.0 as usize..range.1 as usize]));
        let other = (3 * GROUP, 3 * GROUP + 9);
        assert!(check(id, Some((proof.clone(), other)), part.clone()).is_none(), "another place");
        assert!(check(ChunkId::of(b"other"), Some((proof.clone(), range)), part.clone()).is_none());
        assert!(check(id, Some((proof, range)), Bytes::from(vec![0; GROUP as usize])).is_none());
        // The whole chunk answers as well, and only the whole one.
        let all = SliceProof::of(&whole, (0, 8 * GROUP));
        let taken = check(id, Some((all.clone(), range)), Bytes::from(whole));
        assert!(matches!(taken, Some(Fetched::Whole(chunk)) if chunk.id() == id));
        assert!(check(id, Some((all, range)), part).is_none());
    }
}
