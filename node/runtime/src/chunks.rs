//! Chunks between peers: R copies of each, verified whenever they are read.

mod cache;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::future::join_all;
use shoal_ports::{Flow, FlowReader};
use shoal_types::{ChunkId, Error, FlowHeader, PeerId, Request, Response, Result, wire};

use crate::context::Context;
use crate::planted::Planted;
use crate::serve;
use crate::surplus;
pub(crate) use cache::ChunkCache;

/// The longest chunk that any peer takes.
pub(crate) const CHUNK_BYTES_MAX: u32 = 64 << 20;

/// How often the owners of a chunk are asked while one of them is busy.
const BUSY_TRIES: u32 = 100;

/// Of a chunk of so many bytes an owner is asked whether it has it before it
/// is sent: below, the question costs as much as the chunk.
const ASKED_BYTES_MIN: usize = 64 << 10;

/// Tries at one owner that answers but does not take the chunk.
const TRIES: u32 = 3;

/// A chunk that is on its owners.
pub(crate) struct Kept {
    pub(crate) id: ChunkId,
    /// Whether it was there before, on all of them.
    pub(crate) was_there: bool,
}

/// Keeps a chunk on its owners; who has it already is not sent it. Returns when every live one has it synced:
/// R of them, or all there are. An owner that is away is stood in for by the
/// next in rank, so that there are R copies whoever is missing.
///
/// Fails with the first cause when a peer that is there does not take its copy
/// (a full disk) and nobody can stand in for it; and when fewer than two
/// copies (one in a mesh of one) could be made at all.
pub(crate) async fn put(context: &Arc<Context>, bytes: Bytes) -> Result<Kept> {
    let hashed = bytes.clone();
    let chunk = context.blocking(move || Ok(ChunkId::of(&hashed))).await?;
    let layout = context.require_layout()?;
    let replicas = match context.has_planted(Planted::AckBeforeReplicas) {
        true => 1,
        false => context.config.replicas as usize,
    };
    let owning = || layout.members.iter().filter(|member| member.weight > 0).map(|member| member.id);
    let mut passed_by: BTreeSet<PeerId> =
        context.members.look(|table| owning().filter(|peer| *peer != context.me && !table.is_live(*peer)).collect());
    let mut live = owning().count() - passed_by.len();
    let mut have: BTreeSet<PeerId> = BTreeSet::new();
    let mut cause = None;
    let mut was_there = true;
    loop {
        let mut missing = layout.owners_where(chunk, replicas, |peer| !passed_by.contains(&peer));
        missing.retain(|owner| !have.contains(owner));
        if missing.is_empty() {
            break;
        }
        let sent = join_all(missing.into_iter().map(|owner| {
            let bytes = bytes.clone();
            async move { (owner, bring(context, owner, chunk, bytes).await) }
        }));
        for (owner, result) in sent.await {
            match result {
                Ok(had_it) => {
                    was_there &= had_it;
                    have.insert(owner);
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
    let needed = 2.min(replicas).min(layout.members.len()).max(replicas.min(live));
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

/// Brings a chunk to an owner; whether it was there before.
async fn bring(context: &Arc<Context>, owner: PeerId, chunk: ChunkId, bytes: Bytes) -> Result<bool> {
    if bytes.len() >= ASKED_BYTES_MIN {
        // Whoever does not answer, or does not know the question, is sent it.
        match context.call(owner, Request::ChunkWanted { chunk }).await {
            Ok(Response::Has(has)) if has == [true] => return Ok(true),
            Ok(_) | Err(_) => {}
        }
    }
    send(context, owner, chunk, bytes).await.map(|()| false)
}

/// Whether a put can count on the copy of a chunk here.
pub(crate) async fn wanted(context: &Arc<Context>, chunk: ChunkId) -> Result<bool> {
    // It is read as a whole, as one that comes is written.
    let _permit = context.inbound_chunks.acquire().await.map_err(|_| context.not_ready("it is stopping"))?;
    surplus::keep_what_is_here(context, chunk).await
}

/// Brings a chunk to one peer, this one perhaps; it is synced there on `Ok`.
pub(crate) async fn send(context: &Arc<Context>, to: PeerId, chunk: ChunkId, bytes: Bytes) -> Result<()> {
    if to == context.me {
        return surplus::keep(context, chunk, bytes).await;
    }
    let mut tries = 0;
    loop {
        tries += 1;
        let sent =
            context.timeout("sending a chunk", context.config.timing.chunk, send_once(context, to, chunk, &bytes));
        match sent.await {
            Err(Error::Busy { retry_after_ms, .. }) if tries < TRIES => {
                context.ports.clock.sleep(Duration::from_millis(retry_after_ms.clamp(10, 2_000))).await;
            }
            Err(Error::Unreachable { .. } | Error::Timeout { .. }) if tries < TRIES && context.is_live(to) => {
                context.ports.clock.sleep(context.config.timing.tick).await;
            }
            result => return result,
        }
    }
}

async fn send_once(context: &Arc<Context>, to: PeerId, chunk: ChunkId, bytes: &Bytes) -> Result<()> {
    let length = u32::try_from(bytes.len()).map_err(|_| Error::bug("a chunk of more than 4 GiB"))?;
    let header = wire::encode(&FlowHeader::ChunkPut { chunk, bytes: length })?;
    let Flow { mut writer, mut reader } = context.ports.transport.open(to, header).await?;
    serve::send_frames(&mut writer, bytes.clone()).await?;
    writer.finish().await?;
    first_frame::<()>(&mut reader, to).await
}

/// Takes a chunk that another peer brings.
pub(crate) async fn receive(context: &Arc<Context>, chunk: ChunkId, length: u32, flow: Flow) -> Result<()> {
    let Flow { mut writer, mut reader } = flow;
    let kept = async {
        if length > CHUNK_BYTES_MAX {
            return Err(Error::BadFrame { what: format!("a chunk of {length} bytes") });
        }
        let _permit = context.inbound_chunks.acquire().await.map_err(|_| context.not_ready("it is stopping"))?;
        let bytes = read_exactly(&mut reader, length).await?;
        surplus::keep(context, chunk, bytes).await
    };
    let answer: Result<()> = kept.await;
    serve::part(context, reader).await;
    writer.send(wire::encode(&answer)?).await?;
    writer.finish().await
}

/// The bytes of a chunk (those from start to end of `range`, when given), verified, and whether they
/// were here. A copy that is missing or broken here, though this peer owns
/// it, is put back on the way.
pub(crate) async fn read(context: &Arc<Context>, chunk: ChunkId, range: Option<(u32, u32)>) -> Result<(Bytes, bool)> {
    let store = context.ports.store.clone();
    let here = context.blocking(move || store.chunk_get(chunk, range)).await;
    match here {
        Ok(Some(bytes)) => return Ok((bytes, true)),
        Ok(None) => {}
        Err(error) => tracing::warn!(%error, chunk = %chunk.short(), "cannot read it here"),
    }
    let whole = match context.cache.get(chunk) {
        Some(whole) => whole,
        None => {
            let whole = fetch(context, chunk).await?;
            context.cache.put(chunk, whole.clone());
            whole
        }
    };
    if !context.has_planted(Planted::RepairTrusts) {
        mend(context, chunk, whole.clone());
    }
    let bytes = match range {
        None => whole,
        Some((start, end)) => {
            let end = (end as usize).min(whole.len());
            whole.slice((start as usize).min(end)..end)
        }
    };
    Ok((bytes, false))
}

/// A whole chunk from whoever has it: its owners first, then everyone.
async fn fetch(context: &Arc<Context>, chunk: ChunkId) -> Result<Bytes> {
    let layout = context.require_layout()?;
    let owners = layout.owners(chunk).all();
    let is_candidate = |peer: &PeerId| *peer != context.me && context.is_live(*peer);
    for _ in 0..BUSY_TRIES {
        let mut busy_ms = None;
        for owner in owners.iter().filter(|peer| is_candidate(peer)) {
            match fetch_from(context, *owner, chunk).await {
                Ok(bytes) => return Ok(bytes),
                Err(Error::Busy { retry_after_ms, .. }) => busy_ms = Some(retry_after_ms),
                Err(error) => {
                    tracing::info!(%error, chunk = %chunk.short(), from = %owner.short(), "not from there");
                }
            }
        }
        // One that has it and too much to do is worth waiting for.
        let Some(ms) = busy_ms else {
            break;
        };
        context.ports.clock.sleep(Duration::from_millis(ms.clamp(10, 2_000))).await;
    }
    // Somebody may hold a copy in an owner's place, or from an older layout.
    let others: Vec<PeerId> = context
        .members
        .look(|table| table.live().map(|(peer, _)| peer).filter(|peer| !owners.contains(peer)).collect());
    for peer in others.iter().filter(|peer| is_candidate(peer)) {
        let has = context.call(*peer, Request::ChunkHas { chunks: vec![chunk] }).await;
        if matches!(has, Ok(Response::Has(has)) if has == [true])
            && let Ok(bytes) = fetch_from(context, *peer, chunk).await
        {
            return Ok(bytes);
        }
    }
    Err(Error::ChunkLost { chunk })
}

async fn fetch_from(context: &Arc<Context>, from: PeerId, chunk: ChunkId) -> Result<Bytes> {
    let work = async {
        let header = wire::encode(&FlowHeader::ChunkGet { chunk, range: None })?;
        let Flow { writer, mut reader } = context.ports.transport.open(from, header).await?;
        writer.finish().await?;
        let length = first_frame::<u32>(&mut reader, from).await?;
        if length > CHUNK_BYTES_MAX {
            return Err(Error::BadFrame { what: format!("a chunk of {length} bytes") });
        }
        let bytes = read_exactly(&mut reader, length).await?;
        let checked = bytes.clone();
        if context.blocking(move || Ok(ChunkId::of(&checked))).await? != chunk {
            return Err(Error::BadFrame { what: "a chunk that is not what its name says".into() });
        }
        Ok(bytes)
    };
    context.timeout("fetching a chunk", context.config.timing.chunk, work).await
}

/// Puts a verified chunk back here if this peer is one of its owners.
fn mend(context: &Arc<Context>, chunk: ChunkId, bytes: Bytes) {
    let owned = context.layout().is_some_and(|layout| layout.is_owner(context.me, chunk));
    if owned {
        let store = context.ports.store.clone();
        context.ports.spawner.blocking(Box::new(move || match store.chunk_put(chunk, &bytes) {
            Ok(()) => tracing::info!(chunk = %chunk.short(), "mended from another copy"),
            Err(error) => tracing::warn!(%error, chunk = %chunk.short(), "cannot be mended"),
        }));
    }
}

/// Puts a copy that was found to be bad here back from another holder, if this
/// peer is one of the chunk's owners; else it is enough that another has it.
pub(crate) async fn restore(context: &Arc<Context>, chunk: ChunkId) -> Result<()> {
    let whole = fetch(context, chunk).await?;
    let is_owned = context.layout().is_some_and(|layout| layout.is_owner(context.me, chunk));
    if is_owned && !context.has_planted(Planted::RepairTrusts) {
        let store = context.ports.store.clone();
        context.blocking(move || store.chunk_put(chunk, &whole)).await?;
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
