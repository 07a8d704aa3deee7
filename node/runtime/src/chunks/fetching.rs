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
use shoal_types::{ChunkId, Error, FlowHeader, HashedChunk, PeerId, Request, Response, Result, SliceProof, wire};

use super::{CHUNK_BYTES_MAX, first_frame, read_exactly};
use crate::context::Context;

/// How often the owners of a chunk are asked while one of them is busy.
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
pub(super) async fn fetch_part(context: &Arc<Context>, chunk: ChunkId, range: Option<(u32, u32)>) -> Result<Fetched> {
    let layout = context.require_layout()?;
    let owners = layout.owners(chunk).all();
    let is_candidate = |peer: &PeerId| *peer != context.me && context.is_live(*peer);
    for _ in 0..BUSY_TRIES {
        let asked: Vec<PeerId> = owners.iter().copied().filter(is_candidate).collect();
        match race(context, chunk, range, &asked).await {
            Raced::Won(fetched) => return Ok(fetched),
            // One that has it and too much to do is worth waiting for.
            Raced::Busy { ms } => context.ports.clock.sleep(Duration::from_millis(ms.clamp(10, 2_000))).await,
            Raced::Nobody => break,
        }
    }
    // Somebody may hold a copy in an owner's place, or from an older layout.
    let others: Vec<PeerId> = context
        .members
        .look(|table| table.live().map(|(peer, _)| peer).filter(|peer| !owners.contains(peer)).collect());
    for peer in others.iter().filter(|peer| is_candidate(peer)) {
        let has = context.call(*peer, Request::ChunkHas { chunks: vec![chunk] }).await;
        if matches!(has, Ok(Response::Has(has)) if has == [true])
            && let Ok(fetched) = fetch_from(context, *peer, chunk, range, &AtomicBool::new(false)).await
        {
            return Ok(fetched);
        }
    }
    Err(Error::ChunkLost { chunk })
}

/// What became of asking holders.
enum Raced {
    Won(Fetched),
    /// Nobody gave it, and one of them may a little later.
    Busy {
        ms: u64,
    },
    Nobody,
}

/// Asks the first of `holders`, and the next whenever one fails or none of
/// those who were asked has begun to answer in time. Who ends first is taken;
/// the others are told by the end of their flows.
async fn race(context: &Arc<Context>, chunk: ChunkId, range: Option<(u32, u32)>, holders: &[PeerId]) -> Raced {
    let has_begun = AtomicBool::new(false);
    let mut left = holders.iter().copied();
    let mut busy_ms = None;
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
            Some((_, Ok(fetched))) => return Raced::Won(fetched),
            Some((from, Err(error))) => {
                match error {
                    Error::Busy { retry_after_ms, .. } => busy_ms = Some(retry_after_ms),
                    error => {
                        tracing::info!(%error, chunk = %chunk.short(), from = %from.short(), "not from there");
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
    busy_ms.map_or(Raced::Nobody, |ms| Raced::Busy { ms })
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
mod tests {
    use super::*;

    const GROUP: u32 = SliceProof::GROUP_BYTES;

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
