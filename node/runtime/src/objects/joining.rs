//! The bytes of an append behind those of the object.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use shoal_types::{ChunkRef, Error, Etag, Format, Manifest, ObjectName, Result};

use super::addition::Addition;
use super::sending::Sending;
use crate::buckets;
use crate::chunks;
use crate::context::Context;

/// A last chunk of so many bytes that ends where a record does stays as it is,
/// and what is appended begins another: else each line that is appended would
/// write a chunk of the full size anew. Much less would make many chunks of an
/// object that is appended to line by line.
const SEALED_BYTES: usize = 4 << 20;

/// The object that `before` (nothing, where there is no object) becomes by an
/// addition, its chunks on their owners; append number `count` since it was
/// put. Reads the last chunk of what was before, and no more of it.
///
/// ```text
///   before:    | chunk | chunk | last |
///   addition:                          | head | rest | rest |
///   joined:    | chunk | chunk | last and head, | rest | rest |
///                                cut anew
/// ```
///
/// # Errors
/// [`Error::Invalid`] where it would be longer than an object can be, and
/// those of reading and keeping chunks.
pub(super) async fn join(
    context: &Arc<Context>,
    name: &ObjectName,
    before: Option<&Manifest>,
    addition: &Addition,
    format: Format,
    count: u64,
) -> Result<Manifest> {
    let bytes = before.map_or(0, |before| before.bytes).checked_add(addition.bytes);
    let bytes = bytes.ok_or_else(|| Error::invalid(format!("'{name}' would be longer than 16 EiB"), ""))?;
    let (mut kept, last) = match before {
        Some(before) => apart(context, before).await?,
        None => (Vec::new(), Bytes::new()),
    };
    let mut end = End { format, last, is_closed: true };
    if !end.last.is_empty() {
        end = is_closed(context, name, end).await?;
    }
    let all_is_here = kept.is_empty() && addition.rest.is_empty();
    let joined = all_is_here.then(|| joined(&end.last, &addition.head));
    let etag = match (&joined, before) {
        (Some(all), _) => of_content(context, all.clone()).await?,
        // Nobody has all of the content in one place.
        (None, Some(before)) if before.bytes > 0 => Etag::of_append(&before.etag, addition.blake3.as_bytes(), count),
        (None, _) => Etag(addition.blake3.to_hex().to_string()),
    };
    let inline = joined.filter(|all| all.len() <= Manifest::INLINE_BYTES_MAX);
    if inline.is_none() {
        if end.is_closed && end.last.len() >= SEALED_BYTES {
            kept.extend(before.and_then(|before| before.chunks.last()).cloned());
            end.last = Bytes::new();
        }
        kept.extend(tail(context, name, end, addition).await?);
    }
    let modified_ms = context.ports.clock.wall_ms();
    Ok(Manifest { bytes, etag, md5: None, format, modified_ms, chunks: kept, inline })
}

/// What an object ends in.
struct End {
    format: Format,
    last: Bytes,
    /// Whether that ends where a record does.
    is_closed: bool,
}

/// The chunks that stay as they are, and the bytes of the last one.
async fn apart(context: &Arc<Context>, before: &Manifest) -> Result<(Vec<ChunkRef>, Bytes)> {
    if let Some(inline) = &before.inline {
        return Ok((Vec::new(), inline.clone()));
    }
    match before.chunks.split_last() {
        Some((last, kept)) => Ok((kept.to_vec(), chunks::read(context, last.id, None).await?.0)),
        None => Ok((Vec::new(), Bytes::new())),
    }
}

async fn is_closed(context: &Arc<Context>, name: &ObjectName, end: End) -> Result<End> {
    let (compute, name) = (context.ports.compute.clone(), name.clone());
    context
        .blocking(move || {
            let is_closed = compute.ends_record(name.as_str(), end.format, &end.last);
            Ok(End { is_closed, ..end })
        })
        .await
}

/// The chunks of what an object ends in and of an addition.
async fn tail(context: &Arc<Context>, name: &ObjectName, end: End, addition: &Addition) -> Result<Vec<ChunkRef>> {
    let mut sending = Sending::new(context, buckets::durability(context, name).await?);
    // It was cut by what the object was then, which others may have changed since.
    let is_alike = addition.format == end.format;
    if end.last.is_empty() && is_alike {
        if !addition.head.is_empty() {
            sending.push(addition.head.clone()).await?;
        }
        let (mut chunks, ..) = sending.finish().await?;
        chunks.extend(addition.rest.iter().cloned());
        return Ok(chunks);
    }
    let mut cutter = context.ports.compute.cutter(name.as_str(), end.format);
    // Behind an open quote the cuts of a CSV are others. Few objects end in one.
    let cuts_hold = is_alike && (end.is_closed || end.format != Format::Csv);
    let mut pieces = vec![end.last, addition.head.clone()];
    pieces.retain(|piece| !piece.is_empty());
    let mut to_read = if cuts_hold { [].iter() } else { addition.rest.iter() };
    loop {
        let is_last = pieces.is_empty();
        let cuts;
        (cutter, cuts) = context
            .blocking(move || {
                let mut cuts = Vec::new();
                for piece in pieces {
                    cuts.extend(cutter.push(piece)?);
                }
                if is_last {
                    cuts.extend(cutter.finish()?);
                }
                Ok((cutter, cuts))
            })
            .await?;
        for cut in cuts {
            sending.push(cut).await?;
        }
        if is_last {
            break;
        }
        pieces = match to_read.next() {
            Some(chunk) => vec![chunks::read(context, chunk.id, None).await?.0],
            None => Vec::new(),
        };
    }
    let (mut chunks, ..) = sending.finish().await?;
    if cuts_hold {
        chunks.extend(addition.rest.iter().cloned());
    }
    Ok(chunks)
}

fn joined(last: &Bytes, head: &Bytes) -> Bytes {
    if last.is_empty() {
        return head.clone();
    }
    let mut all = BytesMut::with_capacity(last.len() + head.len());
    all.extend_from_slice(last);
    all.extend_from_slice(head);
    all.freeze()
}

/// The ETag of content that is here as a whole.
async fn of_content(context: &Arc<Context>, all: Bytes) -> Result<Etag> {
    context.blocking(move || Ok(Etag(blake3::hash(&all).to_hex().to_string()))).await
}

#[cfg(test)]
mod tests {
    use super::*;

    // Where nothing was there to be joined to, chunks that were cut as plain
    // bytes were listed as those of a CSV that somebody else had put meanwhile:
    // with half a record in each.
    #[tokio::test]
    async fn what_was_cut_by_another_format_is_cut_anew() {
        let (peer, ..) = crate::tests::peer().await;
        let context = peer.context();
        let name: ObjectName = "b/x".parse().unwrap();
        for (format, expected) in [(Format::Csv, vec![8]), (Format::Bytes, vec![4, 4])] {
            let mut rest = Sending::new(context, buckets::durability(context, &name).await.unwrap());
            rest.push(Bytes::from("1\n2\n")).await.unwrap();
            let (rest, _, lease) = rest.finish().await.unwrap();
            let (head, blake3) = (Bytes::from("a\n\"\n"), blake3::hash(b"any"));
            let addition = Addition { format: Format::Bytes, head, rest, lease, bytes: 8, blake3 };
            let joined = join(context, &name, None, &addition, format, 1).await.unwrap();
            let lengths: Vec<u32> = joined.chunks.iter().map(|chunk| chunk.bytes).collect();
            assert_eq!((joined.format, lengths), (format, expected));
        }
    }
}
