//! Objects: a stream of bytes in, a manifest under a name; and back.

mod addition;
mod append;
mod intake;
mod joining;
mod recognise;
mod sending;
mod turns;

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use shoal_types::{Error, Etag, Format, Manifest, ObjectName, Result};

use crate::buckets;
use crate::chunks;
use crate::collect::{self, Lease};
use crate::context::Context;
use crate::foreground::Awaited;
use crate::history;
use crate::names::{self, Earlier, Listed};
use crate::peer::{ContentMd5, CopyVersion, Said, Terms};
pub(crate) use append::append;
use intake::Intake;
use recognise::{Cutting, recognise};
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

/// How often an object is tried to be listed while the layout changes under it.
const LISTING_TRIES: u32 = 8;

/// Stores `body` under `name`, in the format that its name and its first bytes
/// tell unless one is said. Returns once every chunk is synced on every
/// live owner and the name is decided. On an error the name stands for what it
/// did before, unless that [is in doubt](Error::is_in_doubt): then it may stand
/// for this, or come to.
///
/// # Errors
/// Of a request that was made before [`Error::NotFound`] when what it put was
/// removed since, [`Error::Invalid`] when that has other bytes than these.
pub(crate) async fn put(
    context: &Arc<Context>,
    name: ObjectName,
    said: Said,
    terms: Terms,
    body: BoxStream<'static, Result<Bytes>>,
) -> Result<Stored> {
    let (recognised, body) = recognise(&name, said.format, body).await?;
    let cutting = Cutting::new(context, &name, said.format, recognised);
    let mut intake = Intake::new(context, cutting, body);
    if said.md5 != ContentMd5::Left {
        intake = intake.with_md5();
    }
    let durability = buckets::durability(context, &name).await?;
    let mut sending = Sending::new(context, durability);
    // What fits into the manifest is cut all the same, to be checked, and rides there whole.
    let mut small = Vec::new();
    loop {
        let cuts = intake.next().await?;
        let is_last = cuts.is_empty();
        small.extend(cuts);
        if intake.bytes() > Manifest::INLINE_BYTES_MAX as u64 {
            for cut in small.drain(..) {
                sending.push(cut).await?;
            }
        }
        if is_last {
            break;
        }
    }
    let (chunks, there_bytes, lease) = sending.finish().await?;
    let taken_in = intake.finish().await?;
    let md5 = taken_in.md5.map(|md5| data_encoding::HEXLOWER.encode(&md5));
    if let (ContentMd5::Expected(expected), Some(md5)) = (said.md5, &md5) {
        let expected = data_encoding::HEXLOWER.encode(&expected);
        if expected != *md5 {
            return Err(Error::invalid(
                format!("the content of '{name}' was to have the MD5 {expected}, and has {md5}"),
                "nothing was stored; it was changed on its way, or the MD5 is that of something else",
            ));
        }
    }
    let inline = (taken_in.bytes <= Manifest::INLINE_BYTES_MAX as u64).then(|| Bytes::from(small.concat()));
    let etag = match (taken_in.blake3, &inline, chunks.as_slice()) {
        (_, Some(content), _) => Etag(blake3::hash(content).to_hex().to_string()),
        (Some(hash), ..) => Etag(hash.to_hex().to_string()),
        (None, None, [only]) => Etag(only.id.to_string()),
        (None, None, _) => return Err(Error::bug("several chunks, and no hash of the whole")),
    };
    let manifest = Manifest {
        bytes: taken_in.bytes,
        etag,
        md5,
        format: taken_in.format,
        modified_ms: context.ports.clock.wall_ms(),
        chunks,
        inline,
    };
    let manifest = match list(context, &name, &manifest, &terms, lease).await? {
        Some(earlier) => put_before(&name, manifest, earlier)?,
        None => manifest,
    };
    Ok(Stored { manifest, there_bytes })
}

/// What was put under the id of a request before, of which `put` was taken in
/// now: the same, as far as that can be told.
fn put_before(name: &ObjectName, put: Manifest, earlier: Earlier) -> Result<Manifest> {
    match earlier {
        // Of that nothing is left to compare; it was written all the same.
        Earlier { is_replaced: true, .. } => Ok(put),
        Earlier { manifest, .. } if manifest.etag == put.etag => Ok(manifest),
        Earlier { manifest, .. } => Err(Error::invalid(
            format!("'{name}' was put under this id with other bytes: it has ETag {}", manifest.etag),
            "nothing was changed; put these under an id of their own",
        )),
    }
}

/// Makes a name stand for an object. Chunks whose lease is over are claimed
/// again. Gives what is there where this very request has done so before.
async fn list(
    context: &Arc<Context>,
    name: &ObjectName,
    manifest: &Manifest,
    terms: &Terms,
    mut lease: Lease,
) -> Result<Option<Earlier>> {
    for _ in 0..LISTING_TRIES {
        match names::write(context, name, manifest, terms, lease).await? {
            Listed::Written => return Ok(None),
            Listed::WasWritten(earlier) => return Ok(Some(earlier)),
            Listed::TooLate => {
                let chunks: Vec<_> = manifest.chunks.iter().map(|chunk| chunk.id).collect();
                let durability = buckets::durability(context, name).await?;
                lease = collect::claim(context, &chunks, durability).await?;
            }
        }
    }
    Err(context.not_ready("members come and go, and what was put could not be listed in between"))
}

/// Makes `to` stand for the content that `from` stands for at that moment, or
/// for that of a `version` of it. No chunk moves, whatever the size, unless
/// there are to be more copies where `to` is: chunks are named by their
/// content, and both names list the same ones. The copy keeps how the content
/// was cut (its format), unless a CSV's fields are separated by something else
/// under its name: then it is plain bytes, which are read as a whole. It is as
/// old as the copying: two copies are never one
/// value, so that of two at a time, both only where there is nothing, one is
/// refused.
///
/// # Errors
/// [`Error::NotFound`] when there is no `from`, or the copy was made before and
/// removed since, [`Error::Conflict`] when it is
/// another version or the condition on `to` does not hold, [`Error::Invalid`]
/// when both are one name, and no former version is to come back.
pub(crate) async fn copy(
    context: &Arc<Context>,
    from: &ObjectName,
    to: &ObjectName,
    version: &CopyVersion,
    terms: &Terms,
) -> Result<Manifest> {
    if from == to && !matches!(version, CopyVersion::Of(_)) {
        return Err(Error::invalid(format!("'{from}' would be copied onto itself"), "give the copy another name"));
    }
    let found = match source(context, from, version).await {
        Ok(found) => found,
        Err(error) if terms.request.is_none() => return Err(error),
        // It may have been there when this very request was made.
        Err(error) => {
            let there = names::standing(context, to).await?;
            return match there.is_by(terms.request) {
                true => there.manifest.ok_or_else(|| names::removed_since(to, "put")),
                false => Err(error),
            };
        }
    };
    // The other bucket may want more copies; and what is listed now need not be in a moment.
    let durability = buckets::durability(context, to).await?;
    let chunks: Vec<_> = found.chunks.iter().map(|chunk| chunk.id).collect();
    let lease = collect::claim(context, &chunks, durability).await?;
    let is_cut_otherwise = found.format == Format::Csv
        && Format::delimiter_of_name(from.as_str()) != Format::delimiter_of_name(to.as_str());
    let format = if is_cut_otherwise { Format::Bytes } else { found.format };
    let copy = Manifest { format, modified_ms: context.ports.clock.wall_ms(), ..found };
    // Asked for again it is what was copied then, whatever the source has become.
    let copied_before = list(context, to, &copy, terms, lease).await?;
    Ok(copied_before.map_or(copy, |earlier| earlier.manifest))
}

/// What is to be copied.
async fn source(context: &Arc<Context>, from: &ObjectName, version: &CopyVersion) -> Result<Manifest> {
    match version {
        CopyVersion::Of(version) => history::find(context, from, version).await,
        CopyVersion::Now => names::require(context, from).await,
        CopyVersion::NowIf(version) => {
            let found = names::require(context, from).await?;
            if found.etag == *version { Ok(found) } else { Err(names::conflict(from, Some(&found))) }
        }
    }
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
    let awaited = Awaited::begin(context);
    let context = context.clone();
    stream::iter(pieces)
        .map(move |(chunk, range)| {
            let context = context.clone();
            async move { chunks::read(&context, chunk, range).await.map(|(bytes, _)| bytes) }
        })
        .buffered(READ_AHEAD)
        .inspect(move |_| {
            let _ = (&hold, &awaited);
        })
        .boxed()
}
