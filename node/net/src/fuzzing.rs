//! The decoders of what comes over a connection, as functions that take any
//! bytes and assert what must hold of them. For the crate `shoal-fuzz` only.

mod mux;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::AsyncRead;
use futures::executor::block_on;
use shoal_types::wire::{FRAME_BYTES_MAX, GOSSIP_BYTES_MAX};

use crate::address;
pub use crate::admission::fuzzing::{admission, admissions};
pub use crate::calls::fuzzing::call_heads;
use crate::flows::halves::Partial;
use crate::frame::{FrameSink, length, read_length, read_payload};
pub use mux::mux;

/// Gossip frames on a stream, which comes in pieces of so many bytes as the first says.
pub fn gossip_frames(bytes: &[u8]) {
    let Some((piece, bytes)) = bytes.split_first() else { return };
    let mut stream = Pieces::of(bytes, *piece);
    let mut sink = FrameSink::new(Vec::new());
    let reading = async {
        loop {
            let bytes = read_length(&mut stream, GOSSIP_BYTES_MAX).await?;
            assert!(bytes <= GOSSIP_BYTES_MAX);
            let frame = read_payload(&mut stream, bytes).await?;
            assert_eq!(frame.len(), bytes);
            sink.push(&length(&frame)?, &frame).await?;
        }
    };
    let ended: io::Result<()> = block_on(reading);
    assert!(ended.is_err());
    block_on(sink.flush()).expect("memory takes everything");
    let written = sink.into_inner();
    assert_eq!(written, bytes[..written.len()]);
}

/// Frames of a flow, in pieces likewise.
pub fn flow_frames(bytes: &[u8]) {
    let Some((piece, bytes)) = bytes.split_first() else { return };
    let mut stream = Pieces::of(bytes, *piece);
    let mut partial = Partial::default();
    let mut rest = bytes;
    while let Ok(Some(frame)) = block_on(partial.read(&mut stream)) {
        assert!(frame.len() <= FRAME_BYTES_MAX);
        let (head, payload) = rest.split_first_chunk::<4>().expect("a frame was read");
        assert_eq!(u32::from_le_bytes(*head) as usize, frame.len());
        assert_eq!(frame, payload[..frame.len()]);
        rest = &payload[frame.len()..];
    }
}

/// A text that may be an address.
pub fn address(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if address::is_host_port(text) {
        assert!(text.len() <= address::BYTES_MAX);
        assert!(!text.contains(['/', ' ', '\n']));
    }
}

/// A stream that gives so many bytes at a time, and then ends.
struct Pieces<'a> {
    bytes: &'a [u8],
    piece: usize,
}

impl<'a> Pieces<'a> {
    fn of(bytes: &'a [u8], piece: u8) -> Self {
        Self { bytes, piece: usize::from(piece).max(1) }
    }
}

impl AsyncRead for Pieces<'_> {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let bytes = self.piece.min(self.bytes.len()).min(buffer.len());
        let (now, later) = self.bytes.split_at(bytes);
        buffer[..bytes].copy_from_slice(now);
        self.bytes = later;
        Poll::Ready(Ok(bytes))
    }
}
