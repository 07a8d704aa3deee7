//! What this peer answers to others: calls and flows.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use ractor::call;
use shoal_ports::{Flow, FlowReader, FlowWriter};
use shoal_types::{
    ChunkId, Copies, Error, FlowHeader, FragmentId, JobId, OutputId, PeerId, RegisterKey, RegisterPlace, RegisterSpan,
    Request, Response, Result, SliceProof, wire,
};

use crate::chunks::{self, Cause};
use crate::collect;
use crate::context::{Context, lock};
use crate::doctor;
use crate::foreground::Awaited;
use crate::health;
use crate::layouts::{self, LayoutMsg};
use crate::moving;
use crate::planted::Planted;
use crate::registers;
use crate::role;
use crate::scrub;
use crate::secrets;
use crate::worker::WorkerMsg;

/// Entries of one page of a register scan.
const SCAN_MAX: u32 = 1_000;

/// Bytes of register values in one page, so that it fits a frame.
const SCAN_BYTES_MAX: usize = wire::FRAME_BYTES_MAX / 2;

/// Chunks asked about in one call.
pub(crate) const HAS_MAX: usize = 8_192;

/// Answers a call; from this peer itself too.
pub(crate) async fn answer(context: &Arc<Context>, from: PeerId, request: Request) -> Result<Response> {
    match request {
        Request::LayoutGet => Ok(Response::Layout(context.layout().map(|layout| layout.layout().as_ref().clone()))),
        Request::LayoutLearn(layout) => {
            let stopped = |_| context.not_ready("its layouts have stopped");
            let layout = Arc::new(layout);
            let learn = |reply| LayoutMsg::Learn { layout, reply };
            match call!(context.actors()?.layouts, learn).map_err(stopped)? {
                true => Ok(Response::Done),
                false => Err(context.not_ready("that is no layout of its mesh")),
            }
        }
        Request::LayoutSynced(layout) => {
            let synced = lock(&context.synced).clone().filter(|(done, _)| *done == layout);
            let refused = lock(&context.refused).clone().filter(|(of, _)| *of == layout);
            match (synced, refused) {
                // What a disk refuses afterwards takes nothing of that back.
                (Some((_, missed)), _) => Ok(Response::Synced(Some(missed))),
                (None, Some((_, error))) => Err(error),
                (None, None) => Ok(Response::Synced(None)),
            }
        }
        Request::Register { layout, key, op } => {
            context.hint_layout(from, layout)?;
            // Layouts are nobody's but the mesh's own.
            let _awaited = (!matches!(key, RegisterKey::Layout(..))).then(|| Awaited::begin(context));
            registers::accept(context, layout, key, op).await.map(Response::Register)
        }
        Request::RegisterScan { layout, span, after, limit } => {
            let ours = context.require_layout()?.id();
            // Its names are not those of ours.
            if ours.mesh != layout.mesh {
                return Err(context.not_ready("it is a member of another mesh"));
            }
            // Others may keep them by now; or it takes this peer in, and what is
            // here is from before.
            if ours.version != layout.version {
                context.hint_layout(from, layout)?;
                return Err(Error::StaleLayout { theirs: layout.version, ours: ours.version });
            }
            scan(context, span, after, limit).await
        }
        Request::ChunkHas { chunks } => has(context, chunks.into_iter().map(|chunk| (chunk, None)).collect()).await,
        Request::ChunkKept { chunks } => {
            has(context, chunks.into_iter().map(|(chunk, copies)| (chunk, Some(copies))).collect()).await
        }
        Request::ChunkWanted { chunk, copies } => {
            chunks::wanted(context, chunk, copies).await.map(|has| Response::Has(vec![has]))
        }
        Request::Examine { addresses } => doctor::examined(context, addresses).await.map(Response::Examined),
        Request::SecretsLearn(theirs) => {
            secrets::learn(context, &theirs).await?;
            Ok(Response::Secrets(context.secrets.look(Clone::clone)))
        }
        Request::RoleChange(change) => role::change(context, &change).await.map(|()| Response::Done),
        Request::IsEmpty { replicas } => {
            let insists = context.other_replicas(replicas).is_some();
            Ok(Response::Empty(!insists && layouts::is_empty(context).await?))
        }
        Request::JobList => Ok(Response::Jobs(context.jobs.summaries().await)),
        Request::JobShow { job } => Ok(Response::Job(context.jobs.summary(job).await)),
        Request::JobRuns { job } => Ok(Response::Runs(context.jobs.runs(job))),
        Request::JobCancel { job } => {
            context.jobs.cancel(job);
            Ok(Response::Done)
        }
        Request::JobRelease { job } => {
            let _ = context.actors()?.worker.cast(WorkerMsg::Release(job));
            Ok(Response::Done)
        }
        Request::ChunkClaim { chunks, copies } => {
            if chunks.len() > HAS_MAX {
                return Err(Error::BadFrame { what: format!("{} chunks claimed at once", chunks.len()) });
            }
            let (claimed, store) = (context.clone(), context.ports.store.clone());
            let claim = move |chunk| Ok(claimed.surplus.claim(chunk) && store.chunk_want(chunk, copies)?);
            let has = context.blocking(move || chunks.into_iter().map(claim).collect()).await?;
            Ok(Response::Has(has))
        }
        Request::References { layout, beside, from: begin } => {
            collect::references(context, from, layout, beside, begin).await
        }
        Request::Moving => Ok(Response::Moving(moving::here(context))),
        Request::RegisterSums { layout, branch } => {
            Ok(Response::RegisterSums(context.compared.sums(layout, from, branch)))
        }
        Request::RegisterBallots { layout, leaves, kind, after } => {
            registers::ballots(context, from, layout, leaves, kind, after).await
        }
        Request::ChunkSums { layout, branch, total } => {
            Ok(Response::ChunkSums(context.chunks_compared.sums_unless(layout, from, branch, total)))
        }
        Request::RegistersSwept(layout) => Ok(Response::Swept(context.swept.is_done(layout))),
        Request::Condition => health::condition(context).await.map(Response::Condition),
    }
}

async fn scan(
    context: &Arc<Context>,
    span: RegisterSpan,
    after: Option<RegisterPlace>,
    limit: u32,
) -> Result<Response> {
    let store = context.ports.store.clone();
    let limit = limit.clamp(1, SCAN_MAX) as usize;
    let mut entries = context.blocking(move || store.register_scan(&span, after.as_ref(), limit)).await?;
    let mut more = entries.len() == limit;
    let mut bytes = 0;
    let fits = entries
        .iter()
        .take_while(|entry| {
            bytes += entry.value.as_ref().map_or(0, Bytes::len) + 256;
            bytes <= SCAN_BYTES_MAX
        })
        .count()
        .max(1);
    if fits < entries.len() {
        entries.truncate(fits);
        more = true;
    }
    Ok(Response::Entries { entries, more })
}

/// Serves a flow that another peer opened.
pub(crate) async fn flow(context: Arc<Context>, from: PeerId, header: Bytes, flow: Flow) {
    let served = match wire::decode::<FlowHeader>(&header) {
        Ok(FlowHeader::ChunkPut { chunk, bytes, copies }) => {
            chunks::receive(&context, chunk, bytes, copies, Cause::Put, flow).await
        }
        Ok(FlowHeader::ChunkRepair { chunk, bytes, copies }) => {
            chunks::receive(&context, chunk, bytes, copies, Cause::Repair, flow).await
        }
        Ok(FlowHeader::ChunkGet { chunk, range }) => match asked(flow).await {
            Ok(writer) => chunk_get(&context, chunk, range, writer).await,
            Err(error) => Err(error),
        },
        Ok(FlowHeader::ChunkSlice { chunk, range }) => match asked(flow).await {
            Ok(writer) => chunk_slice(&context, chunk, range, writer).await,
            Err(error) => Err(error),
        },
        Ok(FlowHeader::FragmentGet { job, fragment }) => match asked(flow).await {
            Ok(writer) => fragment_get(&context, job, fragment, writer).await,
            Err(error) => Err(error),
        },
        Ok(FlowHeader::TaskRun(spec)) => match context.actors() {
            Ok(actors) => actors.worker.cast(WorkerMsg::Run { from, spec, flow }).map_err(|_| Error::Cancelled),
            Err(error) => Err(error),
        },
        Ok(FlowHeader::OutputGet { output, bucket }) => match asked(flow).await {
            Ok(writer) => output_get(&context, output, bucket, writer).await,
            Err(error) => Err(error),
        },
        Ok(FlowHeader::Scrub { bytes_per_second }) => match asked(flow).await {
            Ok(writer) => scrub::serve(&context, bytes_per_second, writer).await,
            Err(error) => Err(error),
        },
        Ok(FlowHeader::RegisterTurn { key }) => registers::serve_turn(&context, from, key, flow).await,
        Err(error) => {
            let Flow { writer, reader } = flow;
            let told = refuse(writer, error).await;
            part(&context, reader).await;
            told
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, from = %from.short(), "a flow ended early");
    }
}

/// Waits until the asking side has said all that it has to say, which is
/// nothing: a half that is dropped before its end resets the flow, and the
/// answer with it.
async fn asked(flow: Flow) -> Result<Box<dyn FlowWriter>> {
    let Flow { writer, mut reader } = flow;
    match reader.next().await? {
        None => Ok(writer),
        Some(_) => Err(Error::BadFrame { what: "a frame where none is expected".into() }),
    }
}

/// Keeps the receiving half until the other side has ended it, having read
/// what it was told; for a bounded time.
pub(crate) async fn part(context: &Arc<Context>, mut reader: Box<dyn FlowReader>) {
    let ended = async {
        while reader.next().await?.is_some() {}
        Ok(())
    };
    // Whoever does not end it in time is reset.
    let _ = context.timeout("the end of a flow", context.config.timing.call, ended).await;
}

/// Which chunks are here for others to count on; one of which there are to be
/// so many copies is as wanted from now on.
async fn has(context: &Arc<Context>, chunks: Vec<(ChunkId, Option<Copies>)>) -> Result<Response> {
    if chunks.len() > HAS_MAX {
        return Err(Error::BadFrame { what: format!("{} chunks asked about at once", chunks.len()) });
    }
    let settled = context.layout().filter(|layout| !layout.is_joint());
    let trusted = settled.filter(|_| context.has_planted(Planted::RepairTrusts));
    let (asked, store) = (context.clone(), context.ports.store.clone());
    let has = move |(chunk, copies): (ChunkId, Option<Copies>)| match &trusted {
        Some(layout) if layout.is_owner(asked.me, chunk) => Ok(true),
        Some(_) | None => {
            let is_here = asked.surplus.is_kept(chunk) && store.chunk_len(chunk)?.is_some();
            if let (true, Some(copies)) = (is_here, copies.filter(|_| !asked.has_planted(Planted::KeepsOldNumber)))
                && let Err(error) = store.chunk_want(chunk, copies)
            {
                // It is here all the same, on a disk that takes nothing any more.
                tracing::info!(%error, chunk = %chunk.short(), "how many copies there are to be cannot be kept");
            }
            Ok(is_here)
        }
    };
    let has = context.blocking(move || chunks.into_iter().map(has).collect()).await?;
    Ok(Response::Has(has))
}

/// Answers a flow with an error instead of what it is for.
pub(crate) async fn refuse(mut writer: Box<dyn FlowWriter>, error: Error) -> Result<()> {
    writer.send(wire::encode(&Err::<(), Error>(error))?).await?;
    writer.finish().await
}

async fn chunk_get(
    context: &Arc<Context>,
    chunk: ChunkId,
    range: Option<(u32, u32)>,
    writer: Box<dyn FlowWriter>,
) -> Result<()> {
    let _awaited = Awaited::begin(context);
    let store = context.ports.store.clone();
    match context.blocking(move || store.chunk_get(chunk, range)).await {
        Ok(Some(bytes)) => send_all(writer, bytes).await,
        Ok(None) => refuse(writer, Error::ChunkLost { chunk }).await,
        Err(error) => refuse(writer, error).await,
    }
}

/// Sends a slice of a chunk with what shows that it is one. The store keeps
/// what it has checked for the next range of it.
async fn chunk_slice(
    context: &Arc<Context>,
    chunk: ChunkId,
    range: (u32, u32),
    mut writer: Box<dyn FlowWriter>,
) -> Result<()> {
    let _awaited = Awaited::begin(context);
    let store = context.ports.store.clone();
    let prove = move || {
        let whole = store.chunk_get(chunk, Some((0, u32::MAX)))?.ok_or(Error::ChunkLost { chunk })?;
        let proof = SliceProof::of(&whole, range);
        let slice = whole.slice(proof.start as usize..proof.end as usize);
        Ok((proof, slice))
    };
    match context.blocking(prove).await {
        Ok((proof, slice)) => {
            writer.send(wire::encode(&Ok::<_, Error>(proof))?).await?;
            send_frames(&mut writer, slice).await?;
            writer.finish().await
        }
        Err(error) => refuse(writer, error).await,
    }
}

async fn fragment_get(
    context: &Arc<Context>,
    job: JobId,
    fragment: FragmentId,
    writer: Box<dyn FlowWriter>,
) -> Result<()> {
    match context.jobs.fragment(job, fragment) {
        Some(bytes) => send_all(writer, bytes).await,
        None => refuse(writer, Error::Cancelled).await,
    }
}

async fn output_get(
    context: &Arc<Context>,
    output: OutputId,
    bucket: u32,
    mut writer: Box<dyn FlowWriter>,
) -> Result<()> {
    let mut frames = match context.ports.compute.output(output, bucket) {
        Ok(frames) => frames,
        Err(error) => return refuse(writer, error).await,
    };
    writer.send(wire::encode(&Ok::<(), Error>(()))?).await?;
    while let Some(frame) = frames.next().await {
        // An error here resets the flow, and the reader tries elsewhere.
        writer.send(frame?).await?;
    }
    writer.finish().await
}

/// Sends a length, then the bytes in frames.
async fn send_all(mut writer: Box<dyn FlowWriter>, bytes: Bytes) -> Result<()> {
    let length = u32::try_from(bytes.len()).map_err(|_| Error::bug("more than 4 GiB in one value"))?;
    writer.send(wire::encode(&Ok::<u32, Error>(length))?).await?;
    send_frames(&mut writer, bytes).await?;
    writer.finish().await
}

/// Sends bytes in frames, without copying them.
pub(crate) async fn send_frames(writer: &mut Box<dyn FlowWriter>, mut bytes: Bytes) -> Result<()> {
    while !bytes.is_empty() {
        let frame = bytes.split_to(bytes.len().min(wire::FRAME_BYTES_MAX));
        writer.send(frame).await?;
    }
    Ok(())
}
