//! A connection's bytes, once decrypted: streams and their frames.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};

use futures::executor::block_on;
use futures::io::Cursor;
use futures::{AsyncRead, AsyncWrite};
use libp2p::core::muxing::StreamMuxer;
use libp2p::core::upgrade::{InboundConnectionUpgrade, UpgradeInfo};

use crate::mux::Mux;

/// The muxer is asked to go on until it has nothing to say so often in a row.
const IDLE_STEPS_MAX: usize = 4;

/// Bytes that may be answered for each that came, and besides: pings are
/// answered, streams reset, windows given; a header has 12 bytes.
const ANSWERED_PER_BYTE: usize = 4;
const ANSWERED_BESIDES: usize = 64 << 10;

/// Streams that somebody opens and fills as it likes, and that are read.
pub fn mux(bytes: &[u8]) {
    let mux = Mux::new();
    let info = mux.protocol_info().next().unwrap_or_default();
    let written = Arc::<AtomicUsize>::default();
    let connection = Connection { bytes: Cursor::new(bytes.to_vec()), written: written.clone() };
    let Ok(mut muxer) = block_on(mux.upgrade_inbound(connection, info));
    let mut cx = Context::from_waker(std::task::Waker::noop());
    let (mut streams, mut buffer) = (Vec::new(), vec![0; 64 << 10]);
    let mut idle = 0;
    while idle < IDLE_STEPS_MAX {
        idle += 1;
        match Pin::new(&mut muxer).poll_inbound(&mut cx) {
            Poll::Ready(Ok(stream)) => {
                idle = 0;
                streams.push(stream);
                continue;
            }
            Poll::Ready(Err(_)) => break,
            Poll::Pending => {
                if Pin::new(&mut muxer).poll(&mut cx).is_ready() {
                    break;
                }
            }
        }
        streams.retain_mut(|stream| {
            let read = pin!(stream).poll_read(&mut cx, &mut buffer);
            if read.is_ready() {
                idle = 0;
            }
            !matches!(read, Poll::Ready(Ok(0) | Err(_)))
        });
        assert!(streams.len() <= crate::mux::STREAMS_MAX);
    }
    let written = written.load(Relaxed);
    assert!(written <= bytes.len() * ANSWERED_PER_BYTE + ANSWERED_BESIDES, "{written} bytes in answer");
}

/// Gives bytes and then ends; takes any.
struct Connection {
    bytes: Cursor<Vec<u8>>,
    written: Arc<AtomicUsize>,
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.bytes).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.written.fetch_add(bytes.len(), Relaxed);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
