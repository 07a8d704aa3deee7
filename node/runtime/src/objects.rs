//! Objects: a stream of bytes in, a manifest under a name; and back.

mod addition;
mod append;
mod joining;
mod sending;
mod turns;

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use md5::{Digest, Md5};
use shoal_ports::Cutter;
use shoal_types::{Error, Etag, Format, Manifest, ObjectName, Result};

use crate::chunks;
use crate::collect::{self, Lease};
use crate::context::Context;
use crate::history;
use crate::names::{self, Listed};
use crate::peer::{CopyVersion, PutCondition};
pub(crate) use append::append;
use sending::Sending;
pub(crate) use turns::AppendTurns;

/// Chunks that are fetched ahead of the reader.
const READ_AHEAD: usize = 2;

/// An object that was put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    pub manifest: Manifest,
    /// Bytes of chunks that were on all of their owners before, and were not
    /// sent again: of a put that was interrupted, or of the same content
    /// under another name.
    pub there_bytes: u64,
}

/// What is known of an object while its bytes come in.
struct Intake {
    cutter: Box<dyn Cutter>,
    blake3: blake3::Hasher,
    md5: Md5,
    bytes: u64,
    /// The whole content while it may still fit into the manifest.
    head: Option<BytesMut>,
}

impl Intake {
    fn push(&mut self, piece: Bytes) -> Result<Vec<Bytes>> {
        self.blake3.update(&piece);
        self.md5.update(&piece);
        self.bytes += piece.len() as u64;
        if let Some(head) = &mut self.head {
            head.extend_from_slice(&piece);
            if head.len() > Manifest::INLINE_BYTES_MAX {
                self.head = None;
            }
        }
        self.cutter.push(piece)
    }
}

/// How often an object is tried to be listed while the layout changes under it.
const LISTING_TRIES: u32 = 8;

/// Work on so many bytes is done where it comes up: it takes less time than to
/// have another thread do it.
const LIGHT_BYTES: u64 = 16 << 10;

/// Hashes and cuts: that keeps a core busy, and is no work for the reactor
/// where there is much of it.
async fn aside<T: Send + 'static>(
    context: &Context,
    bytes: u64,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    if bytes <= LIGHT_BYTES { work() } else { context.blocking(work).await }
}

/// Stores `body` under `name`. Returns once every chunk is synced on every
/// live owner and the name is decided. On an error the name stands for what it
/// did before.
pub(crate) async fn put(
    context: &Arc<Context>,
    name: ObjectName,
    format: Format,
    condition: PutCondition,
    mut body: BoxStream<'static, Result<Bytes>>,
) -> Result<Stored> {
    let mut intake = Intake {
        cutter: context.ports.compute.cutter(name.as_str(), format),
        blake3: blake3::Hasher::new(),
        md5: Md5::new(),
        bytes: 0,
        head: Some(BytesMut::new()),
    };
    let mut sending = Sending::new(context);
    let mut held = Vec::new();
    while let Some(piece) = body.try_next().await? {
        let bytes = piece.len() as u64;
        let work = move || {
            let cuts = intake.push(piece)?;
            Ok((intake, cuts))
        };
        let cuts;
        (intake, cuts) = aside(context, bytes, work).await?;
        held.extend(cuts);
        if intake.head.is_none() {
            for cut in held.drain(..) {
                sending.push(cut).await?;
            }
        }
    }
    if intake.head.is_none() {
        for cut in held.drain(..) {
            sending.push(cut).await?;
        }
    }
    loop {
        let bytes = intake.bytes;
        let work = move || {
            let cuts = intake.cutter.finish_some()?;
            Ok((intake, cuts))
        };
        let cuts;
        (intake, cuts) = aside(context, bytes, work).await?;
        if cuts.is_empty() {
            break;
        }
        // What fits into the manifest is cut all the same, to be checked, and rides there whole.
        if intake.head.is_none() {
            for cut in cuts {
                sending.push(cut).await?;
            }
        }
    }
    let (chunks, there_bytes, lease) = sending.finish().await?;
    let manifest = Manifest {
        bytes: intake.bytes,
        etag: Etag(intake.blake3.finalize().to_hex().to_string()),
        md5: data_encoding::HEXLOWER.encode(&intake.md5.finalize()),
        format,
        modified_ms: context.ports.clock.wall_ms(),
        chunks,
        inline: intake.head.map(BytesMut::freeze),
    };
    list(context, &name, &manifest, &condition, lease).await?;
    Ok(Stored { manifest, there_bytes })
}

/// Makes a name stand for an object. Chunks whose lease is over are claimed again.
async fn list(
    context: &Arc<Context>,
    name: &ObjectName,
    manifest: &Manifest,
    condition: &PutCondition,
    mut lease: Lease,
) -> Result<()> {
    for _ in 0..LISTING_TRIES {
        match names::write(context, name, manifest, condition, lease).await? {
            Listed::Written => return Ok(()),
            Listed::TooLate => {
                let chunks: Vec<_> = manifest.chunks.iter().map(|chunk| chunk.id).collect();
                lease = collect::claim(context, &chunks).await?;
            }
        }
    }
    Err(context.not_ready("members come and go, and what was put could not be listed in between"))
}

/// Makes `to` stand for the content that `from` stands for at that moment, or
/// for that of a `version` of it. No chunk moves, whatever the size:
/// chunks are named by their content, and both names list the same ones. The
/// copy keeps how the content was cut (its format), and is as old as the
/// copying: two copies are never one value, so that of two at a time, both
/// only where there is nothing, one is refused.
///
/// # Errors
/// [`Error::NotFound`] when there is no `from`, [`Error::Conflict`] when it is
/// another version or the condition on `to` does not hold, [`Error::Invalid`]
/// when both are one name, and no former version is to come back.
pub(crate) async fn copy(
    context: &Arc<Context>,
    from: &ObjectName,
    to: &ObjectName,
    version: &CopyVersion,
    condition: &PutCondition,
) -> Result<Manifest> {
    if from == to && !matches!(version, CopyVersion::Of(_)) {
        return Err(Error::invalid(format!("'{from}' would be copied onto itself"), "give the copy another name"));
    }
    // From here on what it lists is listed.
    let lease = Lease::new(context);
    let found = match version {
        CopyVersion::Of(version) => history::find(context, from, version).await?,
        CopyVersion::Now | CopyVersion::NowIf(_) => names::require(context, from).await?,
    };
    if matches!(version, CopyVersion::NowIf(version) if found.etag != *version) {
        return Err(names::conflict(from, Some(&found)));
    }
    let copy = Manifest { modified_ms: context.ports.clock.wall_ms(), ..found };
    list(context, to, &copy, condition, lease).await?;
    Ok(copy)
}

/// The bytes of `range` (offset, length; cut to the object's end), chunk by
/// chunk, each verified, a few fetched ahead.
pub(crate) fn read(
    context: &Arc<Context>,
    manifest: &Manifest,
    range: Option<(u64, u64)>,
) -> BoxStream<'static, Result<Bytes>> {
    let (start, length) = range.unwrap_or((0, manifest.bytes));
    let start = start.min(manifest.bytes);
    let end = start.saturating_add(length).min(manifest.bytes);
    if let Some(inline) = &manifest.inline {
        let bytes = inline.slice(start as usize..end as usize);
        return stream::iter((!bytes.is_empty()).then_some(Ok(bytes))).boxed();
    }
    let mut pieces = Vec::new();
    for (offset, chunk) in manifest.offsets() {
        let chunk_end = offset + u64::from(chunk.bytes);
        if chunk_end > start && offset < end {
            let from = start.saturating_sub(offset);
            let to = end.min(chunk_end) - offset;
            let whole = from == 0 && to == u64::from(chunk.bytes);
            // Both fit: they are within a chunk's length.
            pieces.push((chunk.id, (!whole).then_some((from as u32, to as u32))));
        }
    }
    // What is read to its end is there to its end, whatever becomes of the name.
    let hold = context.in_use.hold(pieces.iter().map(|(chunk, _)| *chunk).collect());
    let context = context.clone();
    stream::iter(pieces)
        .map(move |(chunk, range)| {
            let context = context.clone();
            async move { chunks::read(&context, chunk, range).await.map(|(bytes, _)| bytes) }
        })
        .buffered(READ_AHEAD)
        .inspect(move |_| {
            let _ = &hold;
        })
        .boxed()
}
