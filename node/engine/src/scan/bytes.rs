use std::io;
use std::ops::Range;
use std::sync::Arc;

use ::bytes::Bytes;
use async_compression::tokio::bufread::{BzDecoder, GzipDecoder, XzDecoder, ZstdDecoder};
use datafusion::common::{DataFusionError, Result as DfResult};
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use shoal_types::{Error, Result};
use tokio::io::AsyncRead;
use tokio_util::io::{ReaderStream, StreamReader};

use crate::error::external;
use crate::pins::{Pin, PinSource, PinStore};

/// A local file is read in pieces of this size; an object chunk by chunk.
const LOCAL_PIECE_BYTES: u64 = 4 << 20;

/// Pieces read at the same time: the next comes while one is decoded.
const PIECES_AHEAD: usize = 2;

/// What is decompressed comes in pieces of up to this size.
const UNPACKED_PIECE_BYTES: usize = 64 << 10;

/// How a file is compressed, by the ending of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Compression {
    None,
    Gzip,
    Bzip2,
    Xz,
    Zstd,
}

impl Compression {
    /// The compression, and the name without its ending.
    pub(crate) fn of_name(name: &str) -> (Self, &str) {
        let endings = [
            (".gz", Self::Gzip),
            (".bgz", Self::Gzip),
            (".bz2", Self::Bzip2),
            (".xz", Self::Xz),
            (".zst", Self::Zstd),
            (".zstd", Self::Zstd),
        ];
        let lower = name.to_ascii_lowercase();
        for (ending, compression) in endings {
            if lower.ends_with(ending) {
                return (compression, &name[..name.len() - ending.len()]);
            }
        }
        (Self::None, name)
    }

    /// The content of all members, frames or streams that the bytes are.
    fn unpacked(self, packed: BoxStream<'static, DfResult<Bytes>>) -> BoxStream<'static, DfResult<Bytes>> {
        if self == Self::None {
            return packed;
        }
        let packed = StreamReader::new(packed.map_err(io::Error::from));
        let reader: Box<dyn AsyncRead + Send + Unpin> = match self {
            Self::None => Box::new(packed),
            Self::Gzip => {
                let mut decoder = GzipDecoder::new(packed);
                decoder.multiple_members(true);
                Box::new(decoder)
            }
            Self::Bzip2 => {
                let mut decoder = BzDecoder::new(packed);
                decoder.multiple_members(true);
                Box::new(decoder)
            }
            Self::Xz => {
                let mut decoder = XzDecoder::new(packed);
                decoder.multiple_members(true);
                Box::new(decoder)
            }
            Self::Zstd => {
                let mut decoder = ZstdDecoder::new(packed);
                decoder.multiple_members(true);
                Box::new(decoder)
            }
        };
        let unpacked = ReaderStream::with_capacity(reader, UNPACKED_PIECE_BYTES);
        unpacked.map_err(|error| unpacking(error.into())).boxed()
    }
}

/// The bytes of a range of a file, decompressed, piece by piece.
pub(crate) fn stream_bytes(
    store: Arc<PinStore>,
    pin: Arc<Pin>,
    range: Range<u64>,
    compression: Compression,
) -> BoxStream<'static, DfResult<Bytes>> {
    let pieces = stream::iter(pieces(&pin, range))
        .map(move |piece| {
            let (store, pin) = (Arc::clone(&store), Arc::clone(&pin));
            // On a task of its own, so that it goes on while the piece before is decoded.
            let read = tokio::spawn(async move { store.read(&pin, piece).await });
            async move { read.await.map_err(|error| Error::bug(format!("a read was interrupted: {error}")))? }
        })
        .buffered(PIECES_AHEAD)
        .map_err(external)
        .boxed();
    compression.unpacked(pieces)
}

/// The first bytes of a range, decompressed: at least `bytes` unless there are fewer.
pub(crate) async fn read_prefix(
    store: &Arc<PinStore>,
    pin: &Arc<Pin>,
    range: Range<u64>,
    compression: Compression,
    bytes: usize,
) -> Result<Vec<u8>> {
    let range = match compression {
        Compression::None => range.start..range.end.min(range.start.saturating_add(bytes as u64)),
        _ => range,
    };
    let failed = |error| crate::error::running(error, &pin.name);
    let mut stream = stream_bytes(Arc::clone(store), Arc::clone(pin), range, compression);
    let mut prefix = Vec::new();
    while prefix.len() < bytes {
        match stream.try_next().await.map_err(failed)? {
            Some(piece) => prefix.extend_from_slice(&piece),
            None => break,
        }
    }
    prefix.truncate(bytes);
    Ok(prefix)
}

fn pieces(pin: &Pin, range: Range<u64>) -> Vec<Range<u64>> {
    let whole = |range: Range<u64>| if range.start < range.end { vec![range] } else { Vec::new() };
    match &pin.source {
        PinSource::Object(manifest) if manifest.inline.is_none() => manifest
            .offsets()
            .map(|(at, chunk)| range.start.max(at)..range.end.min(at + u64::from(chunk.bytes)))
            .filter(|piece| piece.start < piece.end)
            .collect(),
        PinSource::Object(_) => whole(range),
        PinSource::Local { .. } => (range.start..range.end)
            .step_by(LOCAL_PIECE_BYTES as usize)
            .map(|at| at..range.end.min(at + LOCAL_PIECE_BYTES))
            .collect(),
    }
}

/// An error of a decompressor is about the data, unless a read failed under it.
fn unpacking(error: DataFusionError) -> DataFusionError {
    if crate::error::shoal_error(&error).is_some() {
        return error;
    }
    DataFusionError::ArrowError(
        Box::new(arrow::error::ArrowError::CsvError(format!("cannot be decompressed: {error}"))),
        None,
    )
}
