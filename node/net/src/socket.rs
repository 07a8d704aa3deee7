//! TCP as links use it: counted, with keepalive, then encrypted and multiplexed.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::{AsyncRead, AsyncWrite};
use libp2p::Transport as _;
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::Boxed;
use libp2p::core::transport::timeout::TransportTimeout;
use libp2p::core::upgrade::Version;
use libp2p::identity::Keypair;
use libp2p::tcp;
use shoal_types::Result;
use socket2::{SockRef, TcpKeepalive};

use crate::Limits;
use crate::mux::Mux;
use crate::tls::Tls;

/// What has passed through all sockets of this peer, and who was turned away.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) sent_bytes: AtomicU64,
    pub(crate) received_bytes: AtomicU64,
    pub(crate) refused: AtomicU64,
}

/// TCP, TLS and yamux, with a time limit on the making of a connection.
pub(crate) fn transport(
    key: &Keypair,
    limits: &Limits,
    counters: Arc<Counters>,
) -> Result<Boxed<(libp2p::PeerId, StreamMuxerBox)>> {
    let silence = limits.silence;
    let tcp = tcp::tokio::Transport::new(tcp::Config::new().nodelay(true));
    let tcp = TransportTimeout::with_outgoing_timeout(tcp, limits.connect);
    Ok(tcp
        .map(move |stream, _| Socket::new(stream, silence, counters))
        .upgrade(Version::V1Lazy)
        .authenticate(Tls::new(key)?)
        .multiplex(Mux::new())
        .timeout(limits.handshake)
        .boxed())
}

/// A TCP stream that counts what passes.
struct Socket {
    stream: tcp::tokio::TcpStream,
    counters: Arc<Counters>,
}

impl Socket {
    fn new(stream: tcp::tokio::TcpStream, silence: Duration, counters: Arc<Counters>) -> Self {
        // A host that vanished sends nothing, not even a reset: let the kernel
        // ask, and give up on what nobody acknowledges. A socket on which this
        // fails is merely slower to break.
        let socket = SockRef::from(&stream.0);
        let keepalive =
            TcpKeepalive::new().with_time(silence / 2).with_interval((silence / 8).max(Duration::from_secs(1)));
        let set = socket.set_tcp_keepalive(&keepalive);
        #[cfg(target_os = "linux")]
        let set = set.and(socket.set_tcp_user_timeout(Some(silence)));
        if let Err(error) = set {
            tracing::debug!(%error, "keepalive could not be set");
        }
        Self { stream, counters }
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let bytes = ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        self.counters.received_bytes.fetch_add(bytes as u64, Relaxed);
        Poll::Ready(Ok(bytes))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        let bytes = ready!(Pin::new(&mut self.stream).poll_write(cx, buffer))?;
        self.counters.sent_bytes.fetch_add(bytes as u64, Relaxed);
        Poll::Ready(Ok(bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let bytes = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, buffers))?;
        self.counters.sent_bytes.fetch_add(bytes as u64, Relaxed);
        Poll::Ready(Ok(bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(cx)
    }
}
