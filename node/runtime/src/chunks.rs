//! Chunks between peers: R copies of each, verified whenever they are read.

mod acks;
mod cache;
mod copying;
mod fetching;
mod held;
mod keeping;
mod patience;
mod ranges;
mod takers;

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use shoal_ports::{Flow, FlowReader};
use shoal_types::{ChunkId, Copies, Error, FlowHeader, HashedChunk, PeerId, Request, Response, Result, wire};
use tokio::sync::Semaphore;

use crate::context::Context;
use crate::foreground::Awaited;
use crate::planted::Planted;
use crate::replicate::yielding::Move;
use crate::serve;
use crate::surplus;
pub(crate) use acks::Acks;
pub(crate) use cache::ChunkCache;
use fetching::{Fetched, fetch, fetch_part};
pub(crate) use held::are_held;
pub(crate) use keeping::{Durability, Kept, put};
pub(crate) use patience::Patience;
pub(crate) use ranges::Ranges;

/// The longest chunk that any peer takes.
pub(crate) const CHUNK_BYTES_MAX: u32 = 64 << 20;

/// Of a chunk of so many bytes an owner is asked whether it has it before it
/// is sent: below, the question costs as much as the chunk.
const ASKED_BYTES_MIN: usize = 64 << 10;

/// Tries at one owner that answers but does not take the chunk.
const TRIES: u32 = 3;

/// Chunks that are put here, and written here, at once: a disk that hangs has
/// no more of them in memory.
pub(crate) const KEEPING_AT_ONCE: usize = 32;

/// Brings a chunk to an owner; whether it was there before.
async fn bring(context: &Arc<Context>, owner: PeerId, hashed: HashedChunk, copies: Copies) -> Result<bool> {
    if owner == context.me {
        // The disk here may hang as any other.
        let kept = keep_here(context, hashed, copies);
        return context.timeout("keeping a chunk", context.config.timing.chunk, kept).await;
    }
    if is_there(context, owner, &hashed, copies).await {
        return Ok(true);
    }
    let chunk = hashed.id();
    send(context, owner, chunk, hashed.into_bytes(), copies, Cause::Put).await.map(|()| false)
}

async fn keep_here(context: &Arc<Context>, hashed: HashedChunk, copies: Copies) -> Result<bool> {
    if is_there(context, context.me, &hashed, copies).await {
        return Ok(true);
    }
    // Held until it is written, also when nobody waits for that any more.
    let turn = context.keeping_turns.clone().acquire_owned().await;
    let turn = turn.map_err(|_| context.not_ready("it is stopping"))?;
    surplus::keep_hashed(context, hashed, copies, turn).await.map(|()| false)
}

/// Whether a put can count on a copy there. Whoever does not answer is sent it.
async fn is_there(context: &Arc<Context>, owner: PeerId, hashed: &HashedChunk, copies: Copies) -> bool {
    if hashed.bytes().len() < ASKED_BYTES_MIN {
        return false;
    }
    let asked = context.call(owner, Request::ChunkWanted { chunk: hashed.id(), copies }).await;
    matches!(asked, Ok(Response::Has(has)) if has == [true])
}

/// Whether a put can count on the copy of a chunk here.
pub(crate) async fn wanted(context: &Arc<Context>, chunk: ChunkId, copies: Copies) -> Result<bool> {
    // It is read as a whole, as one that comes is written.
    let _permit = context.inbound_chunks.acquire().await.map_err(|_| context.not_ready("it is stopping"))?;
    surplus::keep_what_is_here(context, chunk, copies).await
}

/// Why a chunk is brought.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cause {
    /// Somebody waits for it.
    Put,
    /// A copy is missing.
    Repair,
}

/// Brings a chunk to another peer; it is synced there on `Ok`.
pub(crate) async fn send(
    context: &Arc<Context>,
    to: PeerId,
    chunk: ChunkId,
    bytes: Bytes,
    copies: Copies,
    cause: Cause,
) -> Result<()> {
    let mut tries = 0;
    loop {
        tries += 1;
        let sent = context.timeout(
            "sending a chunk",
            context.config.timing.chunk,
            send_once(context, to, chunk, &bytes, copies, cause),
        );
        match sent.await {
            Err(Error::Busy { retry_after_ms, .. }) if tries < TRIES => {
                context.ports.clock.sleep(Duration::from_millis(retry_after_ms.clamp(10, 2_000))).await;
            }
            // Behind a line so slow, or a disk that hangs, others wait.
            Err(Error::Unreachable { .. }) if tries < TRIES && context.is_live(to) => {
                context.ports.clock.sleep(context.config.timing.tick).await;
            }
            result => return result,
        }
    }
}

async fn send_once(
    context: &Arc<Context>,
    to: PeerId,
    chunk: ChunkId,
    bytes: &Bytes,
    copies: Copies,
    cause: Cause,
) -> Result<()> {
    let length = u32::try_from(bytes.len()).map_err(|_| Error::bug("a chunk of more than 4 GiB"))?;
    let header = wire::encode(&match cause {
        Cause::Put => FlowHeader::ChunkPut { chunk, bytes: length, copies },
        Cause::Repair => FlowHeader::ChunkRepair { chunk, bytes: length, copies },
    })?;
    let Flow { mut writer, mut reader } = context.ports.transport.open(to, header).await?;
    if matches!(cause, Cause::Repair) {
        // Its turn comes before its bytes do.
        first_frame::<()>(&mut reader, to).await?;
    }
    serve::send_frames(&mut writer, bytes.clone()).await?;
    writer.finish().await?;
    first_frame::<()>(&mut reader, to).await
}

/// Takes a chunk that another peer brings: a copy that was missing when there
/// is room for it beside what somebody waits for.
pub(crate) async fn receive(
    context: &Arc<Context>,
    chunk: ChunkId,
    length: u32,
    copies: Copies,
    cause: Cause,
    mut flow: Flow,
) -> Result<()> {
    match cause {
        Cause::Put => {
            let _awaited = Awaited::begin(context);
            take(context, chunk, length, copies, flow, Some(&context.inbound_chunks)).await
        }
        Cause::Repair => {
            let begun = async {
                // Who has no room holds up nobody's turn.
                room(context, chunk, length).await?;
                Move::take(context).await
            };
            match begun.await {
                Ok(moving) => {
                    flow.writer.send(wire::encode(&Ok::<(), Error>(()))?).await?;
                    // Who brings it gives up as soon.
                    let taken = take(context, chunk, length, copies, flow, None);
                    let taken = context.timeout("a copy to come", context.config.timing.chunk, taken).await;
                    moving.rest().await;
                    taken
                }
                Err(error) => {
                    let told = serve::refuse(flow.writer, error).await;
                    serve::part(context, flow.reader).await;
                    told
                }
            }
        }
    }
}

/// An error where the disk here takes no chunk of so many bytes that is not here.
async fn room(context: &Arc<Context>, chunk: ChunkId, length: u32) -> Result<()> {
    let store = context.ports.store.clone();
    let look = move || match store.chunk_len(chunk)? {
        Some(_) => Ok(()),
        None => store.chunk_room(u64::from(length)),
    };
    context.blocking(look).await
}

/// Takes a chunk, when there is room among those that are `inbound`.
async fn take(
    context: &Arc<Context>,
    chunk: ChunkId,
    length: u32,
    copies: Copies,
    flow: Flow,
    inbound: Option<&Semaphore>,
) -> Result<()> {
    let Flow { mut writer, mut reader } = flow;
    let kept = async {
        if length > CHUNK_BYTES_MAX {
            return Err(Error::BadFrame { what: format!("a chunk of {length} bytes") });
        }
        let _permit = match inbound {
            Some(inbound) => Some(inbound.acquire().await.map_err(|_| context.not_ready("it is stopping"))?),
            None => None,
        };
        let bytes = read_exactly(&mut reader, length).await?;
        surplus::keep(context, chunk, bytes, copies).await
    };
    let answer: Result<()> = kept.await;
    serve::part(context, reader).await;
    writer.send(wire::encode(&answer)?).await?;
    writer.finish().await
}

/// The bytes of a chunk (those from start to end of `range`, when given),
/// verified, and whether they were here. A copy that is gone or broken here,
/// though this peer owns it, is put back on the way.
pub(crate) async fn read(context: &Arc<Context>, chunk: ChunkId, range: Option<(u32, u32)>) -> Result<(Bytes, bool)> {
    let store = context.ports.store.clone();
    let here = context.blocking(move || Ok((store.chunk_copies(chunk)?, store.chunk_get(chunk, range)?))).await;
    let lost = match here {
        Ok((_, Some(bytes))) => return Ok((bytes, true)),
        Ok((lost, None)) => lost.filter(|copies| owns(context, chunk, *copies)),
        Err(error) => {
            tracing::warn!(%error, chunk = %chunk.short(), "cannot read it here");
            None
        }
    };
    let whole = match (context.cache.get(chunk), range) {
        (Some(whole), _) => whole,
        // Of what is to be put back all is wanted.
        (None, Some(range)) if lost.is_none() && context.ranges.is_alone(chunk) => {
            match fetch_part(context, chunk, Some(range)).await? {
                Fetched::Range(bytes) => return Ok((bytes, false)),
                Fetched::Whole(whole) => whole,
            }
        }
        (None, _) => fetch(context, chunk).await?,
    };
    context.cache.put(whole.clone());
    if let (Some(copies), false) = (lost, context.has_planted(Planted::RepairTrusts)) {
        mend(context, whole.clone(), copies);
    }
    let whole = whole.into_bytes();
    let bytes = match range {
        None => whole,
        Some((start, end)) => {
            let end = (end as usize).min(whole.len());
            whole.slice((start as usize).min(end)..end)
        }
    };
    Ok((bytes, false))
}

/// Whether one of so many copies of a chunk belongs here.
fn owns(context: &Context, chunk: ChunkId, copies: Copies) -> bool {
    context.layout().is_some_and(|layout| layout.is_owner_of(context.me, chunk, copies))
}

/// Puts a verified chunk back here.
fn mend(context: &Arc<Context>, whole: HashedChunk, copies: Copies) {
    let (store, chunk) = (context.ports.store.clone(), whole.id());
    context.ports.spawner.blocking(Box::new(move || match store.chunk_keep(&whole, copies) {
        Ok(()) => tracing::info!(chunk = %chunk.short(), "mended from another copy"),
        Err(error) => tracing::warn!(%error, chunk = %chunk.short(), "cannot be mended"),
    }));
}

/// Puts one of so many copies, which was found to be bad here, back from
/// another holder, if this peer is one of the chunk's owners; else it is enough
/// that another has it.
pub(crate) async fn restore(context: &Arc<Context>, chunk: ChunkId, copies: Copies) -> Result<()> {
    let whole = fetch(context, chunk).await?;
    if owns(context, chunk, copies) && !context.has_planted(Planted::RepairTrusts) {
        let store = context.ports.store.clone();
        context.blocking(move || store.chunk_keep(&whole, copies)).await?;
        tracing::info!(chunk = %chunk.short(), "mended from another copy");
    }
    Ok(())
}

/// The first frame of an answering flow: a `Result`.
pub(crate) async fn first_frame<T: serde::de::DeserializeOwned>(
    reader: &mut Box<dyn FlowReader>,
    from: PeerId,
) -> Result<T> {
    match reader.next().await? {
        Some(frame) => wire::decode::<Result<T>>(&frame)?,
        None => Err(Error::Unreachable { peer: from, why: "it ended a flow without an answer".into() }),
    }
}

/// Exactly `length` bytes, which the caller has bounded.
pub(crate) async fn read_exactly(reader: &mut Box<dyn FlowReader>, length: u32) -> Result<Bytes> {
    let length = length as usize;
    let mut bytes = BytesMut::with_capacity(length);
    while let Some(frame) = reader.next().await? {
        if bytes.is_empty() && frame.len() == length {
            return Ok(frame);
        }
        if bytes.len() + frame.len() > length {
            return Err(Error::BadFrame { what: "more bytes than announced".into() });
        }
        bytes.extend_from_slice(&frame);
        if bytes.len() == length {
            break;
        }
    }
    if bytes.len() == length {
        Ok(bytes.freeze())
    } else {
        Err(Error::BadFrame { what: format!("{} bytes of {length} announced", bytes.len()) })
    }
}
