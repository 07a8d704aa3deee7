//! The answering side of calls.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures::io::ReadHalf;
use futures::{AsyncReadExt, AsyncWrite};
use libp2p::Stream;
use shoal_ports::{Inbound, Reply};
use shoal_types::wire::FRAME_BYTES_MAX;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::{ANSWER_HEAD_BYTES, REQUEST_HEAD_BYTES, Status, decode_request_head};
use crate::frame::{FrameSink, length, read_payload};
use crate::link::{Busy, Link};
use crate::shared::Shared;

/// Refusals not yet written. Past it, requests are not read: whoever sends
/// them does not read either.
const REFUSALS_MAX: usize = 64;

/// An answer on its way. It holds its place among the calls under way until
/// its turn to be written.
struct Answer {
    id: u64,
    status: Status,
    payload: Bytes,
    room: OwnedSemaphorePermit,
    busy: Option<Busy>,
}

/// Hands the requests of a stream to the runtime and writes the answers, in
/// the order in which they come.
pub(crate) async fn serve(shared: Arc<Shared>, link: Arc<Link>, stream: Stream) {
    let (read, write) = stream.split();
    // Unbounded, but every answer holds a permit of one of two semaphores.
    let (answers, written) = mpsc::unbounded_channel();
    let serving =
        async { tokio::try_join!(read_requests(&shared, &link, read, answers), write_answers(write, written)) };
    if let Err(error) = serving.await {
        tracing::debug!(?link, %error, "calls ended");
        link.close();
    }
}

async fn read_requests(
    shared: &Shared,
    link: &Arc<Link>,
    mut read: ReadHalf<Stream>,
    answers: mpsc::UnboundedSender<Answer>,
) -> io::Result<()> {
    let room = Arc::new(Semaphore::new(shared.limits.calls_per_peer.max(1)));
    let refusals = Arc::new(Semaphore::new(REFUSALS_MAX));
    loop {
        let mut head = [0; REQUEST_HEAD_BYTES];
        read.read_exact(&mut head).await?;
        let (bytes, id) = decode_request_head(&head)?;
        let request = read_payload(&mut read, bytes).await?;
        // Either there is room for one more call and in the runtime's queue, or it is busy.
        if let (Ok(room), Ok(queue)) = (room.clone().try_acquire_owned(), shared.inbound.try_reserve()) {
            let slot = Slot { id, answers: answers.clone(), held: Some((room, link.busy())) };
            queue.send(Inbound::Call { from: link.peer, request, reply: Reply::new(|answer| slot.answer(answer)) });
        } else {
            let refusal = refusals.clone().acquire_owned().await.map_err(io::Error::other)?;
            let busy = Answer { id, status: Status::Busy, payload: Bytes::new(), room: refusal, busy: None };
            answers.send(busy).map_err(|_| io::ErrorKind::BrokenPipe)?;
        }
    }
}

/// Where one call's answer goes; dropped without one, it says so.
struct Slot {
    id: u64,
    answers: mpsc::UnboundedSender<Answer>,
    held: Option<(OwnedSemaphorePermit, Busy)>,
}

impl Slot {
    fn answer(mut self, answer: Bytes) {
        if answer.len() <= FRAME_BYTES_MAX {
            self.end(Status::Answered, answer);
        } else {
            tracing::error!(bytes = answer.len(), "an answer is longer than a frame may be");
            self.end(Status::Unanswered, Bytes::new());
        }
    }

    fn end(&mut self, status: Status, payload: Bytes) {
        if let Some((room, busy)) = self.held.take() {
            // When the link is gone, so is the caller.
            let _ = self.answers.send(Answer { id: self.id, status, payload, room, busy: Some(busy) });
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.end(Status::Unanswered, Bytes::new());
    }
}

async fn write_answers(write: impl AsyncWrite + Unpin, mut answers: mpsc::UnboundedReceiver<Answer>) -> io::Result<()> {
    let mut sink = FrameSink::new(write);
    while let Some(answer) = answers.recv().await {
        push(&mut sink, answer).await?;
        while let Ok(answer) = answers.try_recv() {
            push(&mut sink, answer).await?;
        }
        sink.flush().await?;
    }
    Ok(())
}

async fn push(sink: &mut FrameSink<impl AsyncWrite + Unpin>, answer: Answer) -> io::Result<()> {
    let Answer { id, status, payload, room, busy: _busy } = answer;
    // Given back before the caller can see the answer: it may call again at
    // once, and is not to find the place taken by the call that has ended.
    drop(room);
    let mut head = [0; ANSWER_HEAD_BYTES];
    head[..4].copy_from_slice(&length(&payload)?);
    head[4..REQUEST_HEAD_BYTES].copy_from_slice(&id.to_le_bytes());
    head[REQUEST_HEAD_BYTES] = status.code();
    sink.push(&head, &payload).await
}
