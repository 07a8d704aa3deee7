//! Many streams on one connection: yamux, with frames and windows of our choice.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::{Future, Ready, ready as now};
use std::iter;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use futures::{AsyncRead, AsyncWrite};
use libp2p::core::UpgradeInfo;
use libp2p::core::muxing::{StreamMuxer, StreamMuxerEvent};
use libp2p::core::upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade};
use tokio::time::{Sleep, sleep};
use yamux::{Config, Connection, ConnectionError, Mode};

/// Streams of one connection, both directions together. A flow takes two, and
/// a peer may have twice [`Limits::flows_per_peer`](crate::Limits) of them; a
/// peer that goes past this loses the connection.
pub(crate) const STREAMS_MAX: usize = 2048;

/// What all streams of one connection may buffer for slow readers. Yamux
/// wants at least 256 KiB a stream.
const WINDOW_BYTES_MAX: usize = STREAMS_MAX * (256 << 10);

/// The payload of one frame. At 64 KiB a frame costs little beside its bytes,
/// and still takes less than 0.2 ms of a gigabit link from other streams.
const FRAME_BYTES: usize = 64 << 10;

/// Streams that the other side has opened and this side has not looked at.
/// Yamux itself stops opening at as many.
const BACKLOG_MAX: usize = 256;

/// How long saying goodbye may take; the other side may have vanished.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Makes a [`Muxer`] of an encrypted connection.
#[derive(Clone)]
pub(crate) struct Mux(Config);

impl Mux {
    pub(crate) fn new() -> Self {
        let mut config = Config::default();
        // In this order: each checks itself against the other.
        config.set_max_connection_receive_window(None);
        config.set_max_num_streams(STREAMS_MAX);
        config.set_max_connection_receive_window(Some(WINDOW_BYTES_MAX));
        config.set_split_send_size(FRAME_BYTES);
        Self(config)
    }
}

impl UpgradeInfo for Mux {
    type Info = &'static str;
    type InfoIter = iter::Once<Self::Info>;

    fn protocol_info(&self) -> Self::InfoIter {
        iter::once("/yamux/1.0.0")
    }
}

impl<C: AsyncRead + AsyncWrite + Send + Unpin + 'static> InboundConnectionUpgrade<C> for Mux {
    type Output = Muxer<C>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Self::Error>>;

    fn upgrade_inbound(self, connection: C, _: Self::Info) -> Self::Future {
        now(Ok(Muxer::new(Connection::new(connection, self.0, Mode::Server))))
    }
}

impl<C: AsyncRead + AsyncWrite + Send + Unpin + 'static> OutboundConnectionUpgrade<C> for Mux {
    type Output = Muxer<C>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Self::Error>>;

    fn upgrade_outbound(self, connection: C, _: Self::Info) -> Self::Future {
        now(Ok(Muxer::new(Connection::new(connection, self.0, Mode::Client))))
    }
}

/// A yamux connection as libp2p drives it.
pub(crate) struct Muxer<C> {
    connection: Connection<C>,
    /// Yamux makes progress only while it is asked for inbound streams, which
    /// libp2p does not always want: they wait here.
    backlog: VecDeque<yamux::Stream>,
    waiting: Option<Waker>,
    closing: Option<Pin<Box<Sleep>>>,
}

impl<C: AsyncRead + AsyncWrite + Unpin> Muxer<C> {
    fn new(connection: Connection<C>) -> Self {
        Self { connection, backlog: VecDeque::new(), waiting: None, closing: None }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<yamux::Stream, ConnectionError>> {
        self.connection.poll_next_inbound(cx).map(|next| next.unwrap_or(Err(ConnectionError::Closed)))
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> StreamMuxer for Muxer<C> {
    type Substream = yamux::Stream;
    type Error = ConnectionError;

    fn poll_inbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<yamux::Stream, ConnectionError>> {
        if let Some(stream) = self.backlog.pop_front() {
            return Poll::Ready(Ok(stream));
        }
        let next = self.poll_next(cx);
        if next.is_pending() {
            self.waiting = Some(cx.waker().clone());
        }
        next
    }

    fn poll_outbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<yamux::Stream, ConnectionError>> {
        self.connection.poll_new_outbound(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), ConnectionError>> {
        if let Poll::Ready(done) = self.connection.poll_close(cx) {
            return Poll::Ready(done);
        }
        self.closing.get_or_insert_with(|| Box::pin(sleep(CLOSE_TIMEOUT))).as_mut().poll(cx).map(Ok)
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<StreamMuxerEvent, ConnectionError>> {
        let stream = ready!(self.poll_next(cx))?;
        if self.backlog.len() < BACKLOG_MAX {
            self.backlog.push_back(stream);
            if let Some(waker) = self.waiting.take() {
                waker.wake();
            }
        } else {
            tracing::debug!("the other side opens streams faster than they are taken: one is reset");
        }
        // There may be more at once.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
