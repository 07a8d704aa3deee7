//! Calls: requests pipelined on one stream, answers on its way back in any
//! order.
//!
//! ```text
//!   request   4 length (LE) | 8 id (LE)            | payload
//!   answer    4 length (LE) | 8 id (LE) | 1 status | payload
//! ```

#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod serve;

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures::io::ReadHalf;
use futures::{AsyncReadExt, AsyncWrite};
use libp2p::Stream;
use shoal_types::wire::FRAME_BYTES_MAX;
use shoal_types::{Error, PeerId, Result};
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::frame::{FrameSink, bounded, length, read_payload};
use crate::link::{CALLS, Link};

pub(crate) use serve::serve;

/// Requests handed over and not yet written. Past it, callers wait.
const QUEUE: usize = 64;

const REQUEST_HEAD_BYTES: usize = 12;
const ANSWER_HEAD_BYTES: usize = 13;

/// How a call ended at the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Answered,
    /// It has as much to do as it may have. The payload is empty.
    Busy,
    /// Nobody answered, or with too long an answer.
    Unanswered,
}

impl Status {
    const fn code(self) -> u8 {
        match self {
            Self::Answered => 0,
            Self::Busy => 1,
            Self::Unanswered => 2,
        }
    }

    const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Answered),
            1 => Some(Self::Busy),
            2 => Some(Self::Unanswered),
            _ => None,
        }
    }
}

/// When to come back to a busy peer.
pub(crate) const RETRY_AFTER_MS: u64 = 100;

/// A request on its way.
pub(crate) struct Request {
    id: u64,
    payload: Bytes,
}

/// The calling side of a link.
pub(crate) struct Calls {
    peer: PeerId,
    queue: mpsc::Sender<Request>,
    room: Semaphore,
    next: AtomicU64,
    pending: Mutex<HashMap<u64, oneshot::Sender<Result<Bytes>>>>,
}

impl Calls {
    pub(crate) fn new(peer: PeerId, under_way_max: usize) -> (Self, mpsc::Receiver<Request>) {
        let (queue, feed) = mpsc::channel(QUEUE);
        let calls = Self {
            peer,
            queue,
            room: Semaphore::new(under_way_max.max(1)),
            next: AtomicU64::new(0),
            pending: Mutex::default(),
        };
        (calls, feed)
    }

    fn pending(&self) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<Result<Bytes>>>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Calls over `link`. Waits while too many calls are under way; ends at once
/// when the link does. Dropping it gives the answer up.
pub(crate) async fn call(link: &Arc<Link>, payload: Bytes) -> Result<Bytes> {
    let calls = &link.calls;
    let _busy = link.busy();
    let calling = async {
        let _room = calls.room.acquire().await.map_err(|_| link.unreachable())?;
        let (answer, answered) = oneshot::channel();
        let id = calls.next.fetch_add(1, Relaxed);
        calls.pending().insert(id, answer);
        let _pending = Pending { calls, id };
        calls.queue.send(Request { id, payload }).await.map_err(|_| link.unreachable())?;
        answered.await.map_err(|_| link.unreachable())?
    };
    link.closed.run_until_cancelled(calling).await.unwrap_or_else(|| Err(link.unreachable()))
}

/// A call under way; forgotten when dropped.
struct Pending<'a> {
    calls: &'a Calls,
    id: u64,
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.calls.pending().remove(&self.id);
    }
}

/// Writes the link's requests and reads their answers. A link on which this
/// fails is closed.
pub(crate) async fn run(link: Arc<Link>, requests: mpsc::Receiver<Request>) {
    let running = async {
        let (read, write) = link.stream(CALLS).await.map_err(io::Error::other)?.split();
        tokio::try_join!(send_requests(write, requests), read_answers(read, &link.calls))
    };
    if let Err(error) = running.await {
        tracing::debug!(?link, %error, "calls broke");
        link.close();
    }
}

async fn send_requests(write: impl AsyncWrite + Unpin, mut requests: mpsc::Receiver<Request>) -> io::Result<()> {
    let mut sink = FrameSink::new(write);
    while let Some(request) = requests.recv().await {
        sink.push(&request_head(&request)?, &request.payload).await?;
        while let Ok(request) = requests.try_recv() {
            sink.push(&request_head(&request)?, &request.payload).await?;
        }
        sink.flush().await?;
    }
    Ok(())
}

fn request_head(request: &Request) -> io::Result<[u8; REQUEST_HEAD_BYTES]> {
    let mut head = [0; REQUEST_HEAD_BYTES];
    head[..4].copy_from_slice(&length(&request.payload)?);
    head[4..].copy_from_slice(&request.id.to_le_bytes());
    Ok(head)
}

async fn read_answers(mut read: ReadHalf<Stream>, calls: &Calls) -> io::Result<()> {
    loop {
        let mut head = [0; ANSWER_HEAD_BYTES];
        read.read_exact(&mut head).await?;
        let (bytes, id, status) = decode_answer_head(&head)?;
        let payload = read_payload(&mut read, bytes).await?;
        let Some(answer) = calls.pending().remove(&id) else {
            // Its caller has given up.
            continue;
        };
        let peer = calls.peer;
        let _ = answer.send(match status {
            Status::Answered => Ok(payload),
            Status::Busy => Err(Error::Busy { peer, retry_after_ms: RETRY_AFTER_MS }),
            Status::Unanswered => Err(Error::Unreachable { peer, why: "it gave no answer".into() }),
        });
    }
}

fn decode_answer_head(head: &[u8; ANSWER_HEAD_BYTES]) -> io::Result<(usize, u64, Status)> {
    let (bytes, id) = decode_request_head(&head[..REQUEST_HEAD_BYTES])?;
    let status = Status::from_code(head[REQUEST_HEAD_BYTES])
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "an answer of unknown status"))?;
    Ok((bytes, id, status))
}

fn decode_request_head(head: &[u8]) -> io::Result<(usize, u64)> {
    let short = || io::Error::from(io::ErrorKind::UnexpectedEof);
    let (bytes, id) = head.split_first_chunk::<4>().ok_or_else(short)?;
    let (id, _) = id.split_first_chunk::<8>().ok_or_else(short)?;
    Ok((bounded(u32::from_le_bytes(*bytes), FRAME_BYTES_MAX)?, u64::from_le_bytes(*id)))
}

/// What a caller sees when nobody could even try.
pub(crate) fn too_long(bytes: usize, max: usize, what: &str) -> Error {
    Error::bug(format!("a {what} of {bytes} bytes, {max} are the most"))
}

/// The timeout of a call, in words.
pub(crate) fn timeout(peer: PeerId, limit: std::time::Duration) -> Error {
    Error::Timeout {
        what: format!("a call to peer {}", peer.short()),
        ms: u64::try_from(limit.as_millis()).unwrap_or(u64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_bytes_make_the_decoders_panic(head in any::<[u8; ANSWER_HEAD_BYTES]>(), cut in 0usize..13) {
            let _ = decode_answer_head(&head);
            if let Ok((bytes, _)) = decode_request_head(&head[..cut]) {
                prop_assert!(bytes <= FRAME_BYTES_MAX);
            }
        }
    }

    #[test]
    fn a_head_reads_back_as_it_was_written() {
        let request = Request { id: 77, payload: Bytes::from_static(b"abc") };
        assert_eq!(decode_request_head(&request_head(&request).unwrap()).unwrap(), (3, 77));
    }
}
