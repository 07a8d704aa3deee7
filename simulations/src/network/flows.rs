//! Flows: two pipes each, one per direction, that end or break by themselves.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::task::{Poll, Waker};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use shoal_ports::{Flow, FlowReader, FlowWriter};
use shoal_types::{Error, FlowHeader, PeerId, Result, wire};

use super::links::Epoch;
use super::path::Kind;
use super::{Packet, Piece};
use crate::host::HostId;
use crate::world::{State, World};

/// Frames of one pipe on their way or unread; the writer waits for room.
const WINDOW: u64 = 16;

/// Flows that one peer may have opened to another, and all together to one.
/// As in the real transport: past it the opener sees `Busy`.
const FLOWS_PER_PEER: usize = 128;
const FLOWS: usize = 2_048;

/// When to come back to a peer that has no room. As in the real transport.
const RETRY_AFTER_MS: u64 = 100;

#[derive(Default)]
pub(crate) struct Pipes {
    /// Flows that are open to a host (first), by who opened them.
    taken: BTreeMap<HostId, BTreeMap<HostId, usize>>,
    last: u64,
    pipes: BTreeMap<u64, Pipe>,
}

/// One direction of a flow.
struct Pipe {
    writer: HostId,
    reader: HostId,
    epoch: Epoch,
    /// Frames sent, and those of them that were read, as the writer knows.
    sent: u64,
    credited: u64,
    /// What came too early, and the number of what is to come next.
    early: BTreeMap<u64, Piece>,
    next: u64,
    ready: VecDeque<Piece>,
    /// Whether the other side has taken the flow.
    opened: bool,
    /// Whether its bytes stand for more: those of chunks and exchanges do.
    scaled: bool,
    /// Or has no room for it.
    busy: bool,
    broken_for_writer: bool,
    broken_for_reader: bool,
    halves: u8,
    writer_waker: Option<Waker>,
    reader_waker: Option<Waker>,
}

impl Pipe {
    fn new(writer: HostId, reader: HostId, epoch: Epoch, scaled: bool) -> Self {
        Self {
            writer,
            reader,
            epoch,
            sent: 0,
            credited: 0,
            early: BTreeMap::new(),
            next: 0,
            ready: VecDeque::new(),
            opened: false,
            scaled,
            busy: false,
            broken_for_writer: false,
            broken_for_reader: false,
            halves: 2,
            writer_waker: None,
            reader_waker: None,
        }
    }

    fn wake_writer(&mut self) {
        if let Some(waker) = self.writer_waker.take() {
            waker.wake();
        }
    }

    fn wake_reader(&mut self) {
        if let Some(waker) = self.reader_waker.take() {
            waker.wake();
        }
    }
}

impl Pipes {
    pub(super) fn other_end(&self, pipe: u64, end: HostId) -> Option<HostId> {
        self.pipes.get(&pipe).map(|pipe| if pipe.writer == end { pipe.reader } else { pipe.writer })
    }

    /// A link is down for one of its ends: so are the pipes on it.
    pub(super) fn break_at(&mut self, at: HostId, other: HostId, epoch: Epoch) {
        for pipe in self.pipes.values_mut().filter(|pipe| pipe.epoch == epoch) {
            if pipe.writer == at && pipe.reader == other {
                pipe.broken_for_writer = true;
                pipe.wake_writer();
            } else if pipe.reader == at && pipe.writer == other {
                pipe.broken_for_reader = true;
                pipe.wake_reader();
            }
        }
    }

    /// Pipes that end at a host.
    pub(crate) fn of(&self, host: HostId) -> usize {
        self.pipes.values().filter(|pipe| pipe.writer == host || pipe.reader == host).count()
    }

    /// How many there have been.
    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    /// The ends of those that were there before the one of this number.
    pub(crate) fn older(&self, number: u64) -> impl Iterator<Item = (HostId, HostId)> {
        self.pipes.range(..=number).map(|(_, pipe)| (pipe.writer, pipe.reader))
    }

    fn let_go(&mut self, number: u64) {
        if let Some(pipe) = self.pipes.get_mut(&number) {
            pipe.halves -= 1;
            if pipe.halves == 0 {
                self.pipes.remove(&number);
            }
        }
    }
}

/// What one half of a flow knows of itself.
struct Half {
    world: World,
    pipe: u64,
    here: HostId,
    incarnation: u64,
    other: PeerId,
    over: bool,
    /// At the side to which the flow was opened.
    _room: Option<Arc<Room>>,
}

/// The room that a flow takes at the side to which it was opened, while one of
/// its halves lives there.
struct Room {
    world: World,
    at: HostId,
    from: HostId,
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut state = self.world.state();
        if let Some(taken) = state.network.pipes.taken.get_mut(&self.at).and_then(|by| by.get_mut(&self.from)) {
            *taken = taken.saturating_sub(1);
        }
    }
}

impl Half {
    fn broken(&self) -> Error {
        Error::Unreachable { peer: self.other, why: "the flow broke".into() }
    }
}

struct Writer(Half);
struct Reader(Half);

impl World {
    /// Opens a flow; ready when the other side has taken it.
    pub(crate) async fn open(&self, from: HostId, to: HostId, incarnation: u64, header: Bytes) -> Result<Flow> {
        let (peer, ours) = {
            let state = self.state();
            (state.hosts[to.index()].id, state.hosts[from.index()].id)
        };
        let epoch = self.link(from, to).await.map_err(|why| Error::Unreachable { peer, why })?;
        let decoded = wire::decode::<FlowHeader>(&header);
        #[cfg(test)]
        if let (Some(asked), Ok(header)) = (&mut self.state().network.calls.asked, &decoded) {
            asked.note_flow(header);
        }
        let scaled = matches!(
            decoded,
            Ok(FlowHeader::ChunkPut { .. }
                | FlowHeader::ChunkRepair { .. }
                | FlowHeader::ChunkGet { .. }
                | FlowHeader::ChunkSlice { .. }
                | FlowHeader::OutputGet { .. })
        );
        let flow = {
            let mut state = self.state();
            let pipes = &mut state.network.pipes;
            let there = pipes.last + 1;
            pipes.last += 2;
            pipes.pipes.insert(there, Pipe::new(from, to, epoch, scaled));
            pipes.pipes.insert(there + 1, Pipe::new(to, from, epoch, scaled));
            let packet = Packet::Open { from, epoch, flow: there, header };
            state.send(self.seed(), from, to, Kind::Stream, 1, packet);
            there
        };
        let half =
            |pipe| Half { world: self.clone(), pipe, here: from, incarnation, other: peer, over: false, _room: None };
        let flow = (Writer(half(flow)), Reader(half(flow + 1)));
        let _ = ours;
        std::future::poll_fn(|cx| flow.0.poll_opened(cx)).await?;
        Ok(Flow { writer: Box::new(flow.0), reader: Box::new(flow.1) })
    }

    /// The far end of a flow that has just arrived; `None` when there is no
    /// room for it, which its opener is told.
    pub(super) fn flow_taken(&self, at: HostId, from: HostId, incarnation: u64, flow: u64) -> Option<Flow> {
        let Some(room) = self.room(at, from) else {
            self.flow_busy(at, from, flow);
            return None;
        };
        let other = self.state().hosts[from.index()].id;
        let half = |pipe| Half {
            world: self.clone(),
            pipe,
            here: at,
            incarnation,
            other,
            over: false,
            _room: Some(room.clone()),
        };
        self.state().send(self.seed(), at, from, Kind::Stream, 1, Packet::Opened { flow, taken: true });
        Some(Flow { writer: Box::new(Writer(half(flow + 1))), reader: Box::new(Reader(half(flow))) })
    }

    /// Room for a flow that arrives; `None` when there is none left.
    fn room(&self, at: HostId, from: HostId) -> Option<Arc<Room>> {
        let mut state = self.state();
        let by = state.network.pipes.taken.entry(at).or_default();
        let all: usize = by.values().sum();
        let taken = by.entry(from).or_default();
        if all >= FLOWS || *taken >= FLOWS_PER_PEER {
            return None;
        }
        *taken += 1;
        Some(Arc::new(Room { world: self.clone(), at, from }))
    }

    /// A flow for which there is no room: its opener is told.
    fn flow_busy(&self, at: HostId, from: HostId, flow: u64) {
        let mut state = self.state();
        state.send(self.seed(), at, from, Kind::Stream, 1, Packet::Opened { flow, taken: false });
        state.network.pipes.let_go(flow);
        state.network.pipes.let_go(flow + 1);
    }

    /// A flow that nobody took: both of its pipes lose an end.
    pub(super) fn flow_refused(&self, flow: u64) {
        let mut state = self.state();
        for number in [flow, flow + 1] {
            if let Some(pipe) = state.network.pipes.pipes.get_mut(&number) {
                pipe.broken_for_writer = true;
                pipe.broken_for_reader = true;
                pipe.wake_writer();
                pipe.wake_reader();
            }
            state.network.pipes.let_go(number);
        }
    }
}

impl State {
    pub(super) fn opened_arrives(&mut self, flow: u64, taken: bool) {
        if let Some(pipe) = self.network.pipes.pipes.get_mut(&flow) {
            pipe.opened = taken;
            pipe.busy = !taken;
            pipe.wake_writer();
        }
    }

    pub(super) fn piece_arrives(&mut self, number: u64, order: u64, piece: Piece) {
        let Some(pipe) = self.network.pipes.pipes.get_mut(&number) else {
            return;
        };
        pipe.early.insert(order, piece);
        while let Some(piece) = pipe.early.remove(&pipe.next) {
            pipe.next += 1;
            pipe.ready.push_back(piece);
        }
        pipe.wake_reader();
    }

    pub(super) fn credit_arrives(&mut self, number: u64, frames: u64) {
        if let Some(pipe) = self.network.pipes.pipes.get_mut(&number) {
            pipe.credited = pipe.credited.max(frames);
            pipe.wake_writer();
        }
    }

    pub(super) fn unwanted_arrives(&mut self, number: u64) {
        if let Some(pipe) = self.network.pipes.pipes.get_mut(&number) {
            pipe.broken_for_writer = true;
            pipe.wake_writer();
        }
    }

    /// Puts a piece into a pipe.
    fn put(&mut self, seed: u64, scale: u64, number: u64, piece: Piece) {
        let Some(pipe) = self.network.pipes.pipes.get_mut(&number) else {
            return;
        };
        let (order, from, to) = (pipe.sent, pipe.writer, pipe.reader);
        pipe.sent += 1;
        // The few bytes between the frames of a chunk or an exchange are what they are.
        let scale = match &piece {
            Piece::Frame(bytes) if pipe.scaled && bytes.len() >= 256 => scale,
            Piece::Frame(_) | Piece::End | Piece::Reset => 1,
        };
        self.send(seed, from, to, Kind::Bulk, scale, Packet::Piece { pipe: number, number: order, piece });
    }
}

impl Writer {
    fn poll_opened(&self, cx: &mut std::task::Context<'_>) -> Poll<Result<()>> {
        let mut state = self.0.world.state();
        match state.network.pipes.pipes.get_mut(&self.0.pipe) {
            Some(pipe) if pipe.broken_for_writer => Poll::Ready(Err(self.0.broken())),
            Some(pipe) if pipe.opened => Poll::Ready(Ok(())),
            Some(pipe) if pipe.busy => {
                Poll::Ready(Err(Error::Busy { peer: self.0.other, retry_after_ms: RETRY_AFTER_MS }))
            }
            Some(pipe) => {
                pipe.writer_waker = Some(cx.waker().clone());
                Poll::Pending
            }
            None => Poll::Ready(Err(self.0.broken())),
        }
    }

    fn poll_send(&self, cx: &mut std::task::Context<'_>, frame: &Bytes) -> Poll<Result<()>> {
        let half = &self.0;
        let mut state = half.world.state();
        if !state.hosts[half.here.index()].lives(half.incarnation) {
            return Poll::Pending;
        }
        match state.network.pipes.pipes.get_mut(&half.pipe) {
            Some(pipe) if pipe.broken_for_writer => Poll::Ready(Err(half.broken())),
            Some(pipe) if pipe.sent - pipe.credited >= WINDOW => {
                pipe.writer_waker = Some(cx.waker().clone());
                Poll::Pending
            }
            Some(_) => {
                let scale = half.world.config().bytes_scale;
                state.put(half.world.seed(), scale, half.pipe, Piece::Frame(frame.clone()));
                Poll::Ready(Ok(()))
            }
            None => Poll::Ready(Err(half.broken())),
        }
    }

    fn end(&mut self, piece: Piece) -> Result<()> {
        let half = &mut self.0;
        if std::mem::replace(&mut half.over, true) {
            return Ok(());
        }
        let mut state = half.world.state();
        let whole = state.network.pipes.pipes.get(&half.pipe).is_some_and(|pipe| !pipe.broken_for_writer);
        if whole && state.hosts[half.here.index()].lives(half.incarnation) {
            state.put(half.world.seed(), 1, half.pipe, piece);
        }
        state.network.pipes.let_go(half.pipe);
        if whole { Ok(()) } else { Err(half.broken()) }
    }
}

impl FlowWriter for Writer {
    fn send(&mut self, frame: Bytes) -> BoxFuture<'_, Result<()>> {
        async move { std::future::poll_fn(|cx| self.poll_send(cx, &frame)).await }.boxed()
    }

    fn finish(mut self: Box<Self>) -> BoxFuture<'static, Result<()>> {
        async move { self.end(Piece::End) }.boxed()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Broken or not: it is over.
        let _ = self.end(Piece::Reset);
    }
}

impl Reader {
    fn poll_next(&mut self, cx: &mut std::task::Context<'_>) -> Poll<Result<Option<Bytes>>> {
        let half = &mut self.0;
        if half.over {
            return Poll::Ready(Ok(None));
        }
        let mut state = half.world.state();
        let Some(pipe) = state.network.pipes.pipes.get_mut(&half.pipe) else {
            return Poll::Ready(Err(half.broken()));
        };
        match pipe.ready.pop_front() {
            Some(Piece::Frame(frame)) => {
                let (frames, from, to) = (pipe.next - pipe.ready.len() as u64, pipe.reader, pipe.writer);
                let packet = Packet::Credit { pipe: half.pipe, frames };
                state.send(half.world.seed(), from, to, Kind::Stream, 1, packet);
                Poll::Ready(Ok(Some(frame)))
            }
            Some(Piece::End) => {
                half.over = true;
                state.network.pipes.let_go(half.pipe);
                Poll::Ready(Ok(None))
            }
            Some(Piece::Reset) => {
                pipe.broken_for_reader = true;
                Poll::Ready(Err(half.broken()))
            }
            None if pipe.broken_for_reader => Poll::Ready(Err(half.broken())),
            None => {
                pipe.reader_waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl FlowReader for Reader {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Bytes>>> {
        async move { std::future::poll_fn(|cx| self.poll_next(cx)).await }.boxed()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let half = &mut self.0;
        if std::mem::replace(&mut half.over, true) {
            return;
        }
        let mut state = half.world.state();
        let other = state.network.pipes.pipes.get(&half.pipe).map(|pipe| pipe.writer);
        if let Some(writer) = other
            && state.hosts[half.here.index()].lives(half.incarnation)
        {
            let packet = Packet::Unwanted { pipe: half.pipe };
            state.send(half.world.seed(), half.here, writer, Kind::Stream, 1, packet);
        }
        state.network.pipes.let_go(half.pipe);
    }
}
