//! Frames on streams: a length, then as many bytes, read within bounds and
//! written in few pieces.

use std::io;

use bytes::Bytes;
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Payloads up to this size are copied beside their head, so that both leave
/// in one piece; longer ones are written from where they are.
const COALESCED_BYTES_MAX: usize = 16 << 10;

/// Small frames are gathered up to this size before they are written.
const GATHERED_BYTES_MAX: usize = 48 << 10;

/// What an idle sink keeps of its memory: there are several per peer.
const KEPT_BYTES: usize = 4 << 10;

/// Gathers frames and writes them.
pub(crate) struct FrameSink<W> {
    stream: W,
    gathered: Vec<u8>,
}

impl<W: AsyncWrite + Unpin> FrameSink<W> {
    pub(crate) fn new(stream: W) -> Self {
        Self { stream, gathered: Vec::new() }
    }

    /// Takes a head and its payload; they are on their way after [`FrameSink::flush`].
    /// Dropped halfway, the stream is of no more use.
    pub(crate) async fn push(&mut self, head: &[u8], payload: &[u8]) -> io::Result<()> {
        self.gathered.extend_from_slice(head);
        if payload.len() <= COALESCED_BYTES_MAX {
            self.gathered.extend_from_slice(payload);
            if self.gathered.len() < GATHERED_BYTES_MAX {
                return Ok(());
            }
            return self.write_gathered().await;
        }
        let (first, rest) = payload.split_at(COALESCED_BYTES_MAX);
        self.gathered.extend_from_slice(first);
        self.write_gathered().await?;
        self.stream.write_all(rest).await
    }

    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        self.write_gathered().await?;
        self.gathered.shrink_to(KEPT_BYTES);
        self.stream.flush().await
    }

    /// Says that no more comes.
    pub(crate) async fn close(&mut self) -> io::Result<()> {
        self.flush().await?;
        self.stream.close().await
    }

    /// What it wrote to.
    #[cfg(feature = "fuzzing")]
    pub(crate) fn into_inner(self) -> W {
        self.stream
    }

    async fn write_gathered(&mut self) -> io::Result<()> {
        if !self.gathered.is_empty() {
            self.stream.write_all(&self.gathered).await?;
            self.gathered.clear();
        }
        Ok(())
    }
}

/// Exactly `bytes` bytes, which the caller has checked against its bound.
pub(crate) async fn read_payload(stream: &mut (impl AsyncRead + Unpin), bytes: usize) -> io::Result<Bytes> {
    let mut payload = vec![0; bytes];
    stream.read_exact(&mut payload).await?;
    Ok(payload.into())
}

/// A length that is no longer than `max`.
pub(crate) async fn read_length(stream: &mut (impl AsyncRead + Unpin), max: usize) -> io::Result<usize> {
    let mut head = [0; 4];
    stream.read_exact(&mut head).await?;
    bounded(u32::from_le_bytes(head), max)
}

/// `length`, if it is within bounds.
pub(crate) fn bounded(length: u32, max: usize) -> io::Result<usize> {
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length > max {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("a frame of {length} bytes was announced, {max} are the most"),
        ));
    }
    Ok(length)
}

/// A payload's length as it is written.
pub(crate) fn length(payload: &[u8]) -> io::Result<[u8; 4]> {
    u32::try_from(payload.len()).map(u32::to_le_bytes).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use futures::io::Cursor;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn frames_come_out_as_they_went_in(sizes in proptest::collection::vec(0usize..40_000, 1..8)) {
            let frames: Vec<Vec<u8>> =
                sizes.iter().enumerate().map(|(n, size)| vec![n as u8; *size]).collect();
            let mut sink = FrameSink::new(Vec::new());
            block_on(async {
                for frame in &frames {
                    sink.push(&length(frame).unwrap(), frame).await.unwrap();
                }
                sink.flush().await.unwrap();
                let mut stream = Cursor::new(sink.stream);
                for frame in &frames {
                    let bytes = read_length(&mut stream, 40_000).await.unwrap();
                    assert_eq!(read_payload(&mut stream, bytes).await.unwrap(), *frame);
                }
            });
        }

        #[test]
        fn no_bytes_make_the_reader_panic_or_take_more_than_its_bound(
            bytes in proptest::collection::vec(any::<u8>(), 0..64),
        ) {
            let mut stream = Cursor::new(&bytes);
            let _ = block_on(async {
                let length = read_length(&mut stream, 48).await?;
                assert!(length <= 48);
                read_payload(&mut stream, length).await
            });
        }
    }
}
