//! The two halves of a flow.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{AsyncRead, AsyncReadExt, FutureExt};
use libp2p::Stream;
use shoal_ports::{FlowReader, FlowWriter};
use shoal_types::wire::FRAME_BYTES_MAX;
use shoal_types::{Error, Result};

use super::Held;
use crate::calls::too_long;
use crate::frame::{FrameSink, bounded, length};
use crate::link::Link;

/// In place of a length: the sender has sent everything.
const END: [u8; 4] = [0xff; 4];

pub(super) struct Writer {
    link: Arc<Link>,
    /// Gone once it broke, or a frame was given up halfway.
    sink: Option<FrameSink<Stream>>,
    _held: Arc<Held>,
}

impl Writer {
    pub(super) fn new(link: Arc<Link>, stream: Stream, held: Arc<Held>) -> Self {
        Self { link, sink: Some(FrameSink::new(stream)), _held: held }
    }

    async fn write(&mut self, frame: Bytes) -> Result<()> {
        if frame.len() > FRAME_BYTES_MAX {
            return Err(too_long(frame.len(), FRAME_BYTES_MAX, "flow's frame"));
        }
        let broken = |error: io::Error| broken(&self.link, &error);
        // Taken out while it writes: should this future be dropped midway, the
        // stream is reset rather than continued in the middle of a frame.
        let mut sink = self.sink.take().ok_or_else(|| self.link.unreachable())?;
        let writing = async {
            sink.push(&length(&frame)?, &frame).await?;
            sink.flush().await
        };
        self.link.closed.run_until_cancelled(writing).await.ok_or_else(|| self.link.unreachable())?.map_err(broken)?;
        self.sink = Some(sink);
        Ok(())
    }

    async fn end(mut self: Box<Self>) -> Result<()> {
        let mut sink = self.sink.take().ok_or_else(|| self.link.unreachable())?;
        let ending = async {
            sink.push(&END, &[]).await?;
            sink.close().await
        };
        self.link
            .closed
            .run_until_cancelled(ending)
            .await
            .ok_or_else(|| self.link.unreachable())?
            .map_err(|error| broken(&self.link, &error))
    }
}

impl FlowWriter for Writer {
    fn send(&mut self, frame: Bytes) -> BoxFuture<'_, Result<()>> {
        self.write(frame).boxed()
    }

    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<()>> {
        self.end().boxed()
    }
}

pub(super) struct Reader {
    link: Arc<Link>,
    stream: Option<Stream>,
    ended: bool,
    frame: Partial,
    _held: Arc<Held>,
}

/// What has been read of the next frame. Kept between calls, so that a read
/// given up halfway loses nothing.
#[derive(Default)]
pub(crate) struct Partial {
    head: [u8; 4],
    head_read: usize,
    payload: Option<Vec<u8>>,
    payload_read: usize,
}

impl Reader {
    pub(super) fn new(link: Arc<Link>, stream: Stream, held: Arc<Held>) -> Self {
        Self { link, stream: Some(stream), ended: false, frame: Partial::default(), _held: held }
    }

    async fn read(&mut self) -> Result<Option<Bytes>> {
        if self.ended {
            return Ok(None);
        }
        let stream = self.stream.as_mut().ok_or_else(|| self.link.unreachable())?;
        let read = self.link.closed.run_until_cancelled(self.frame.read(stream)).await;
        match read.unwrap_or_else(|| Err(io::ErrorKind::ConnectionReset.into())) {
            Ok(Some(frame)) => Ok(Some(frame)),
            Ok(None) => {
                self.ended = true;
                self.stream = None;
                Ok(None)
            }
            Err(error) => {
                self.stream = None;
                Err(broken(&self.link, &error))
            }
        }
    }
}

impl Partial {
    /// The next frame; `None` at the end.
    pub(crate) async fn read(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Bytes>> {
        while self.head_read < self.head.len() {
            self.head_read += some(stream.read(&mut self.head[self.head_read..]).await?)?;
        }
        if self.head == END {
            return Ok(None);
        }
        if self.payload.is_none() {
            self.payload = Some(vec![0; bounded(u32::from_le_bytes(self.head), FRAME_BYTES_MAX)?]);
        }
        if let Some(payload) = &mut self.payload {
            while self.payload_read < payload.len() {
                self.payload_read += some(stream.read(&mut payload[self.payload_read..]).await?)?;
            }
        }
        let payload = std::mem::take(self).payload.unwrap_or_default();
        Ok(Some(payload.into()))
    }
}

/// A stream that closes before the end was reset.
fn some(bytes: usize) -> io::Result<usize> {
    if bytes == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(bytes) }
}

impl FlowReader for Reader {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, Error>> {
        self.read().boxed()
    }
}

fn broken(link: &Link, error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::InvalidData => Error::BadFrame { what: error.to_string() },
        // How yamux says that the other half was dropped.
        io::ErrorKind::UnexpectedEof | io::ErrorKind::WriteZero | io::ErrorKind::BrokenPipe
            if !link.closed.is_cancelled() =>
        {
            Error::Unreachable { peer: link.peer, why: "it gave the flow up".into() }
        }
        _ => link.unreachable(),
    }
}
