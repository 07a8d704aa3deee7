use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use shoal_ports::{Planning, TaskIo};
use shoal_types::{ChunkId, Error, Result};

use super::{Pin, PinSource, modified_ns};

/// Where chunks come from: what a planner may ask, or what a task may.
#[derive(Clone)]
pub(crate) enum ByteSource {
    Planning(Arc<dyn Planning>),
    Task(Arc<dyn TaskIo>),
}

/// Bytes scanned so far.
#[derive(Debug, Default)]
pub(crate) struct ScanCounters {
    pub local_bytes: AtomicU64,
    pub remote_bytes: AtomicU64,
}

impl ScanCounters {
    fn count(&self, bytes: usize, local: bool) {
        let counter = if local { &self.local_bytes } else { &self.remote_bytes };
        counter.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

impl ByteSource {
    /// Bytes of a chunk, all that were asked for.
    pub(crate) async fn chunk(
        &self,
        chunk: ChunkId,
        range: Option<(u32, u32)>,
        counters: &ScanCounters,
    ) -> Result<Bytes> {
        let (bytes, local) = match self {
            Self::Planning(planning) => (planning.read_chunk(chunk, range).await?, true),
            Self::Task(io) => io.read_chunk(chunk, range).await?,
        };
        counters.count(bytes.len(), local);
        match range {
            Some((start, end)) if bytes.len() != end.saturating_sub(start) as usize => Err(Error::BadFrame {
                what: format!("{} bytes of chunk {} for {start}..{end}", bytes.len(), chunk.short()),
            }),
            _ => Ok(bytes),
        }
    }

    /// A range of a pinned file's bytes, chunk by chunk, through `read`
    /// (which may remember chunks).
    pub(crate) async fn range(&self, pin: &Pin, range: Range<u64>, counters: &ScanCounters) -> Result<Bytes> {
        if range.start >= range.end {
            return Ok(Bytes::new());
        }
        if range.end > pin.bytes {
            return Err(Error::bug(format!(
                "{}..{} of {}, which has {} bytes",
                range.start, range.end, pin.name, pin.bytes
            )));
        }
        match &pin.source {
            PinSource::Local { path, modified_ns } => {
                let (path, modified_ns, name) = (path.clone(), *modified_ns, pin.name.clone());
                let bytes = tokio::task::spawn_blocking(move || read_local(&path, &name, modified_ns, range))
                    .await
                    .map_err(|error| Error::bug(format!("reading a file was interrupted: {error}")))??;
                counters.count(bytes.len(), true);
                Ok(bytes)
            }
            PinSource::Object(manifest) => {
                if let Some(inline) = &manifest.inline {
                    return inline_range(pin, inline, range);
                }
                let mut parts = Vec::new();
                for (at, chunk) in manifest.offsets() {
                    let end = at + u64::from(chunk.bytes);
                    if at >= range.end || end <= range.start {
                        continue;
                    }
                    let whole = range.start <= at && end <= range.end;
                    // Within a chunk, whose length is a u32.
                    let inside = ((range.start.max(at) - at) as u32, (range.end.min(end) - at) as u32);
                    parts.push(self.chunk(chunk.id, (!whole).then_some(inside), counters).await?);
                }
                Ok(joined(parts))
            }
        }
    }
}

fn inline_range(pin: &Pin, inline: &Bytes, range: Range<u64>) -> Result<Bytes> {
    let range = range.start as usize..range.end as usize;
    if range.end > inline.len() {
        return Err(Error::BadFrame { what: format!("the manifest of {} holds too few bytes", pin.name) });
    }
    Ok(inline.slice(range))
}

fn joined(mut parts: Vec<Bytes>) -> Bytes {
    if parts.len() == 1 {
        return parts.swap_remove(0);
    }
    let mut all = BytesMut::with_capacity(parts.iter().map(Bytes::len).sum());
    for part in parts {
        all.extend_from_slice(&part);
    }
    all.freeze()
}

/// Reads a range of a local file, provided it is still the file that was planned with.
fn read_local(path: &str, name: &str, version: u128, range: Range<u64>) -> Result<Bytes> {
    use std::os::unix::fs::FileExt;

    let complain = |what: String| Error::BadData {
        object: name.into(),
        what,
        hint: "run the query again once nobody changes the file".into(),
    };
    if modified_ns(path)? != version {
        return Err(complain("the file was changed while the query ran".into()));
    }
    let file = std::fs::File::open(path).map_err(|error| complain(format!("cannot be opened: {error}")))?;
    let mut bytes = vec![0; (range.end - range.start) as usize];
    file.read_exact_at(&mut bytes, range.start).map_err(|error| complain(format!("cannot be read: {error}")))?;
    Ok(bytes.into())
}
