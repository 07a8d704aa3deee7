//! Flows: two streams each, one per direction, so that either half can end or
//! break by itself.
//!
//! ```text
//!   opener                                                 other side
//!     | flow:  8 id (LE) | 4 length | header  -------------> |
//!     | <------------------------- back:  8 id | 1 status    |
//!     | frames ------------------------------------------->  |
//!     | <--------------------------------------------- frames|
//!
//!   frame   4 length (LE) | payload        end   4 bytes of 0xff
//! ```
//!
//! A half dropped before its end resets its stream, which the other side sees
//! as a failure. Who does not read holds up who writes: yamux gives credit
//! for what has been read.

pub(crate) mod halves;

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::{AsyncReadExt, AsyncWriteExt};
use libp2p::Stream;
use shoal_ports::{Flow, Inbound};
use shoal_types::wire::FRAME_BYTES_MAX;
use shoal_types::{Error, Result};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;

use crate::frame::{length, read_length, read_payload};
use crate::link::{BACK, Busy, FLOW, Link, OPENS_MAX};
use crate::shared::Shared;
use halves::{Reader, Writer};

/// How long the first bytes of a stream may take.
const FIRST_BYTES: Duration = Duration::from_secs(5);

/// When to come back to a peer that has no room for a flow.
const RETRY_AFTER_MS: u64 = 100;

const ACCEPTED: u8 = 0;
const BUSY: u8 = 1;

/// The flows that this side is opening on a link.
pub(crate) struct Flows {
    next: AtomicU64,
    opening: Semaphore,
    waiting: Mutex<HashMap<u64, oneshot::Sender<Back>>>,
}

/// The other side's answer: its status, and the stream on which it came.
struct Back {
    status: u8,
    stream: Stream,
}

impl Default for Flows {
    fn default() -> Self {
        Self { next: AtomicU64::new(0), opening: Semaphore::new(OPENS_MAX), waiting: Mutex::default() }
    }
}

impl Flows {
    fn waiting(&self) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<Back>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a flow keeps occupied while one of its halves lives.
pub(crate) struct Held {
    _busy: Busy,
    _room: Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)>,
}

/// Opens a flow on a bulk link; ready when the other side has taken it.
pub(crate) async fn open(link: &Arc<Link>, header: &[u8]) -> Result<Flow> {
    let held = Held { _busy: link.busy(), _room: None };
    let opening = async {
        let _room = link.flows.opening.acquire().await.map_err(|_| link.unreachable())?;
        let id = link.flows.next.fetch_add(1, Relaxed);
        let (back, answered) = oneshot::channel();
        link.flows.waiting().insert(id, back);
        let _waiting = Waiting { flows: &link.flows, id };
        let mut stream = link.stream(FLOW).await?;
        let broken = |error: io::Error| Error::Unreachable { peer: link.peer, why: error.to_string() };
        let mut first = id.to_le_bytes().to_vec();
        first.extend_from_slice(&length(header).map_err(broken)?);
        first.extend_from_slice(header);
        stream.write_all(&first).await.map_err(broken)?;
        stream.flush().await.map_err(broken)?;
        let back = answered.await.map_err(|_| link.unreachable())?;
        match back.status {
            ACCEPTED => Ok((stream, back.stream)),
            _ => Err(Error::Busy { peer: link.peer, retry_after_ms: RETRY_AFTER_MS }),
        }
    };
    let (out, back) = link.closed.run_until_cancelled(opening).await.unwrap_or_else(|| Err(link.unreachable()))?;
    Ok(flow(link, out, back, held))
}

fn flow(link: &Arc<Link>, out: Stream, back: Stream, held: Held) -> Flow {
    let held = Arc::new(held);
    Flow {
        writer: Box::new(Writer::new(link.clone(), out, held.clone())),
        reader: Box::new(Reader::new(link.clone(), back, held)),
    }
}

/// A flow being opened; forgotten when dropped.
struct Waiting<'a> {
    flows: &'a Flows,
    id: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.flows.waiting().remove(&self.id);
    }
}

/// Takes in a flow that the peer opens.
pub(crate) async fn accept(shared: Arc<Shared>, link: Arc<Link>, mut stream: Stream) {
    let accepting = async {
        let mut id = [0; 8];
        let header = timeout(FIRST_BYTES, async {
            stream.read_exact(&mut id).await?;
            let bytes = read_length(&mut stream, FRAME_BYTES_MAX).await?;
            read_payload(&mut stream, bytes).await
        })
        .await??;
        timeout(FIRST_BYTES, answer(&shared, &link, id, stream, header)).await?
    };
    let done: io::Result<()> = accepting.await;
    if let Err(error) = done {
        tracing::debug!(?link, %error, "a flow was not taken");
    }
}

async fn answer(shared: &Shared, link: &Arc<Link>, id: [u8; 8], stream: Stream, header: Bytes) -> io::Result<()> {
    let room = link.flow_room.clone().try_acquire_owned().and_then(|peers| {
        let all = shared.flow_room.clone().try_acquire_owned()?;
        Ok((peers, all))
    });
    let queue = shared.inbound.try_reserve();
    let mut back = link.stream(BACK).await.map_err(io::Error::other)?;
    let (Ok(room), Ok(queue)) = (room, queue) else {
        send_status(&mut back, id, BUSY).await?;
        return back.close().await;
    };
    send_status(&mut back, id, ACCEPTED).await?;
    let held = Held { _busy: link.busy(), _room: Some(room) };
    queue.send(Inbound::Open { from: link.peer, header, flow: flow(link, back, stream, held) });
    Ok(())
}

async fn send_status(back: &mut Stream, id: [u8; 8], status: u8) -> io::Result<()> {
    let mut first = [0; 9];
    first[..8].copy_from_slice(&id);
    first[8] = status;
    back.write_all(&first).await?;
    back.flush().await
}

/// Takes in the way back of a flow that this side opens.
pub(crate) async fn accept_back(link: Arc<Link>, mut stream: Stream) {
    let mut first = [0; 9];
    if !matches!(timeout(FIRST_BYTES, stream.read_exact(&mut first)).await, Ok(Ok(()))) {
        return;
    }
    let (id, status) = first.split_at(8);
    let mut bytes = [0; 8];
    bytes.copy_from_slice(id);
    // Whoever opened it may have given up.
    let waiting = link.flows.waiting().remove(&u64::from_le_bytes(bytes));
    if let Some(waiting) = waiting {
        let _ = waiting.send(Back { status: status[0], stream });
    }
}
