use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, coalesce_ranges,
};
use shoal_types::{ChunkId, Error, Result};

use super::{ByteSource, Pin, PinSource, ScanCounters};

/// Where plans find pinned files; the path is the pin's key.
pub(crate) const STORE_URL: &str = "shoal://pins";

/// Chunks up to this size are read whole whatever part is wanted: checking
/// them against their name needs all of them anyway.
const WHOLE_CHUNK_BYTES_MAX: u32 = 1 << 20;

/// Ranges closer than this are read in one go.
const COALESCE_BYTES: u64 = 256 << 10;

/// Chunks read whole are remembered up to this many bytes, for a reader that
/// comes back for other columns of the same row group.
const CHUNK_CACHE_BYTES: usize = 32 << 20;

/// The pinned files of a plan as an object store, for DataFusion's readers.
///
/// Byte ranges become reads of chunks. It lives as long as one task, or the
/// planning of one query.
pub(crate) struct PinStore {
    pins: HashMap<String, Arc<Pin>>,
    source: ByteSource,
    counters: Arc<ScanCounters>,
    chunks: Mutex<Vec<(ChunkId, Bytes)>>,
}

impl PinStore {
    pub(crate) fn new(pins: impl IntoIterator<Item = Pin>, source: ByteSource) -> Self {
        let pins = pins.into_iter().map(|pin| (pin.key.clone(), Arc::new(pin))).collect();
        Self { pins, source, counters: Arc::default(), chunks: Mutex::default() }
    }

    pub(crate) fn counters(&self) -> &Arc<ScanCounters> {
        &self.counters
    }

    pub(crate) fn pin(&self, key: &str) -> Result<&Arc<Pin>> {
        self.pins.get(key).ok_or_else(|| Error::bug(format!("the plan reads {key}, which it did not pin")))
    }

    /// What DataFusion wants to know of a file.
    pub(crate) fn meta(pin: &Pin) -> ObjectMeta {
        ObjectMeta {
            location: Path::from(pin.key.as_str()),
            // The key names the content, so no date is needed to tell versions apart.
            last_modified: Default::default(),
            size: pin.bytes,
            e_tag: None,
            version: None,
        }
    }

    /// A range of a pinned file.
    pub(crate) async fn read(&self, pin: &Pin, range: Range<u64>) -> Result<Bytes> {
        if let Some((chunk, at)) = self.worth_reading_whole(pin, &range, range.end - range.start.min(range.end)) {
            let bytes = self.whole_chunk(chunk).await?;
            let inside = (range.start - at) as usize..(range.end - at) as usize;
            if inside.end > bytes.len() {
                return Err(Error::BadFrame {
                    what: format!("chunk {} is shorter than its manifest says", chunk.short()),
                });
            }
            return Ok(bytes.slice(inside));
        }
        self.source.range(pin, range, &self.counters).await
    }

    /// The chunk that holds all of `range`, and where it begins, when reading
    /// it whole is no dearer than reading the `wanted` bytes of it.
    fn worth_reading_whole(&self, pin: &Pin, range: &Range<u64>, wanted: u64) -> Option<(ChunkId, u64)> {
        let PinSource::Object(manifest) = &pin.source else { return None };
        let (at, chunk) = manifest.offsets().find(|(at, chunk)| {
            *at <= range.start && range.end <= at + u64::from(chunk.bytes) && range.start < range.end
        })?;
        let known = self.remembered(chunk.id).is_some();
        let cheap = chunk.bytes <= WHOLE_CHUNK_BYTES_MAX || wanted * 2 >= u64::from(chunk.bytes);
        (known || cheap).then_some((chunk.id, at))
    }

    async fn whole_chunk(&self, chunk: ChunkId) -> Result<Bytes> {
        if let Some(bytes) = self.remembered(chunk) {
            return Ok(bytes);
        }
        let bytes = self.source.chunk(chunk, None, &self.counters).await?;
        if bytes.len() <= CHUNK_CACHE_BYTES {
            let mut chunks = self.chunks.lock().unwrap_or_else(PoisonError::into_inner);
            chunks.push((chunk, bytes.clone()));
            while chunks.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() > CHUNK_CACHE_BYTES {
                chunks.remove(0);
            }
        }
        Ok(bytes)
    }

    fn remembered(&self, chunk: ChunkId) -> Option<Bytes> {
        let chunks = self.chunks.lock().unwrap_or_else(PoisonError::into_inner);
        chunks.iter().find(|(id, _)| *id == chunk).map(|(_, bytes)| bytes.clone())
    }

    /// Reads, once, the chunks of which most is wanted.
    async fn warm(&self, pin: &Pin, ranges: &[Range<u64>]) -> Result<()> {
        let PinSource::Object(manifest) = &pin.source else { return Ok(()) };
        for (at, chunk) in manifest.offsets() {
            let end = at + u64::from(chunk.bytes);
            let wanted: u64 = ranges.iter().map(|range| range.end.min(end).saturating_sub(range.start.max(at))).sum();
            if wanted * 2 >= u64::from(chunk.bytes) && wanted > 0 {
                self.whole_chunk(chunk.id).await?;
            }
        }
        Ok(())
    }

    fn find(&self, location: &Path) -> object_store::Result<Arc<Pin>> {
        self.pin(location.as_ref()).cloned().map_err(as_store_error)
    }
}

fn as_store_error(error: Error) -> object_store::Error {
    object_store::Error::Generic { store: "shoal", source: Box::new(error) }
}

impl fmt::Debug for PinStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PinStore({} files)", self.pins.len())
    }
}

impl fmt::Display for PinStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("shoal")
    }
}

#[async_trait]
impl ObjectStore for PinStore {
    async fn get_opts(&self, location: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        let pin = self.find(location)?;
        let meta = Self::meta(&pin);
        let range = match &options.range {
            Some(range) => range.as_range(meta.size).map_err(|error| as_store_error(Error::bug(error.to_string())))?,
            None => 0..meta.size,
        };
        let bytes =
            if options.head { Bytes::new() } else { self.read(&pin, range.clone()).await.map_err(as_store_error)? };
        let payload = GetResultPayload::Stream(stream::once(async move { Ok(bytes) }).boxed());
        Ok(GetResult { payload, meta, range, attributes: Default::default() })
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> object_store::Result<Vec<Bytes>> {
        let pin = self.find(location)?;
        self.warm(&pin, ranges).await.map_err(as_store_error)?;
        let pin = &pin;
        coalesce_ranges(
            ranges,
            |range| async move { self.read(pin, range).await.map_err(as_store_error) },
            COALESCE_BYTES,
        )
        .await
    }

    async fn put_opts(&self, _: &Path, _: PutPayload, _: PutOptions) -> object_store::Result<PutResult> {
        Err(read_only())
    }

    async fn put_multipart_opts(
        &self,
        _: &Path,
        _: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        Err(read_only())
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        locations.and_then(|_| async { Err(read_only()) }).boxed()
    }

    fn list(&self, _: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        stream::iter(self.pins.values().map(|pin| Ok(Self::meta(pin))).collect::<Vec<_>>()).boxed()
    }

    async fn list_with_delimiter(&self, _: Option<&Path>) -> object_store::Result<ListResult> {
        Err(read_only())
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> object_store::Result<()> {
        Err(read_only())
    }
}

fn read_only() -> object_store::Error {
    object_store::Error::NotSupported { source: "pinned files are only read".into() }
}
