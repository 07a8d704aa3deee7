//! Calls on links.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::channel::oneshot;
#[cfg(test)]
use shoal_types::FlowHeader;
use shoal_types::{Error, PeerId, Result};

use super::Packet;
use super::links::Epoch;
use super::path::Kind;
use crate::host::HostId;
use crate::world::World;

/// Calls that wait for their answers.
#[derive(Default)]
pub(crate) struct Calls {
    last: u64,
    waiting: BTreeMap<u64, Call>,
    /// Counted from when a test wants to know.
    #[cfg(test)]
    pub(crate) asked: Option<Asked>,
}

/// What peers ask each other about chunks.
#[cfg(test)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Chunks asked for by their ids.
    pub(crate) ids: usize,
    /// Calls for sums.
    pub(crate) sums: usize,
    /// Bytes of both.
    pub(crate) bytes: usize,
    /// Flows by which a missing copy is brought.
    pub(crate) brought: usize,
    /// Flows by which a copy is put.
    pub(crate) put: usize,
    /// Turns at registers.
    pub(crate) turns: usize,
}

#[cfg(test)]
impl Asked {
    fn note(&mut self, frame: &Bytes) {
        use shoal_types::{Request, wire};
        match wire::decode::<Request>(frame) {
            Ok(Request::ChunkHas { chunks }) => self.ids += chunks.len(),
            Ok(Request::ChunkKept { chunks }) => self.ids += chunks.len(),
            Ok(Request::ChunkSums { .. }) => self.sums += 1,
            Ok(_) | Err(_) => return,
        }
        self.bytes += frame.len();
    }

    pub(super) fn note_flow(&mut self, header: &FlowHeader) {
        self.brought += usize::from(matches!(header, FlowHeader::ChunkRepair { .. }));
        self.put += usize::from(matches!(header, FlowHeader::ChunkPut { .. }));
        self.turns += usize::from(matches!(header, FlowHeader::RegisterTurn { .. }));
    }
}

struct Call {
    from: HostId,
    to: HostId,
    peer: PeerId,
    epoch: Epoch,
    answer: oneshot::Sender<Result<Bytes>>,
}

impl Calls {
    /// Fails what `from` has asked over a link that is down.
    pub(super) fn fail(&mut self, from: HostId, to: HostId, epoch: Epoch) {
        let lost: Vec<u64> = self
            .waiting
            .iter()
            .filter(|(_, call)| call.from == from && call.to == to && call.epoch == epoch)
            .map(|(number, _)| *number)
            .collect();
        for number in lost {
            if let Some(call) = self.waiting.remove(&number) {
                let why = "the link to it broke".into();
                let _ = call.answer.send(Err(Error::Unreachable { peer: call.peer, why }));
            }
        }
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// How many there have been.
    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    /// Who has waited since before the call of this number, and for whom.
    pub(crate) fn older(&self, number: u64) -> impl Iterator<Item = (HostId, HostId)> {
        self.waiting.range(..=number).map(|(_, call)| (call.from, call.to))
    }
}

/// Forgets a call that nobody waits for any more.
struct Waiting {
    world: World,
    call: u64,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let forgotten = self.world.state().network.calls.waiting.remove(&self.call);
        drop(forgotten);
    }
}

impl World {
    /// Asks over the link; ready with the answer, whenever it comes.
    pub(crate) async fn call(&self, from: HostId, to: HostId, peer: PeerId, frame: Bytes) -> Result<Bytes> {
        let epoch = self.link(from, to).await.map_err(|why| Error::Unreachable { peer, why })?;
        let (answer, answered) = oneshot::channel();
        let waiting = {
            let mut state = self.state();
            state.network.calls.last += 1;
            #[cfg(test)]
            if let Some(asked) = &mut state.network.calls.asked {
                asked.note(&frame);
            }
            let call = state.network.calls.last;
            state.network.calls.waiting.insert(call, Call { from, to, peer, epoch, answer });
            state.send(self.seed(), from, to, Kind::Call, 1, Packet::Request { from, epoch, call, frame });
            Waiting { world: self.clone(), call }
        };
        let result = answered.await;
        drop(waiting);
        result.unwrap_or_else(|_| Err(Error::Unreachable { peer, why: "the call was given up".into() }))
    }

    pub(super) fn answer_arrives(&self, call: u64, frame: Option<Bytes>) {
        let found = self.state().network.calls.waiting.remove(&call);
        if let Some(found) = found {
            let gone = || Error::Unreachable { peer: found.peer, why: "it let go of a request".into() };
            let _ = found.answer.send(frame.ok_or_else(gone));
        }
    }
}

/// The far end of a call: answers it once. Dropped unanswered, the caller hears of it.
pub(super) struct Answering {
    pub(super) world: World,
    pub(super) at: HostId,
    pub(super) to: HostId,
    pub(super) incarnation: u64,
    pub(super) call: Option<u64>,
}

impl Answering {
    pub(super) fn answer(mut self, frame: Bytes) {
        self.send(Some(frame));
    }

    fn send(&mut self, frame: Option<Bytes>) {
        let Some(call) = self.call.take() else {
            return;
        };
        let mut state = self.world.state();
        // The dead say nothing.
        if state.hosts[self.at.index()].lives(self.incarnation) {
            state.send(self.world.seed(), self.at, self.to, Kind::Call, 1, Packet::Answer { call, frame });
        }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.send(None);
    }
}
