//! What happens when a packet reaches its host.

use shoal_ports::{Inbound, Reply};
use tokio::sync::mpsc;

use super::Packet;
use super::calls::Answering;
use super::links::Epoch;
use crate::host::HostId;
use crate::world::World;

impl World {
    pub(crate) fn arrive(&self, at: HostId, packet: Packet) {
        if !self.state().gets_through(at, &packet) {
            return;
        }
        match packet {
            Packet::Connect { from, incarnation } => self.connect_arrives(at, from, incarnation),
            Packet::Accept { from, epoch } => self.accept_arrives(at, from, epoch),
            Packet::Confirm { from, epoch } => {
                self.link_up(at, from, epoch);
            }
            Packet::Refuse { from } => self.dial_failed(at, from, None, "nobody listens there"),
            Packet::DialOver { to, dial } => self.dial_failed(at, to, Some(dial), "it does not answer"),
            Packet::Close { from, epoch } => self.link_down(at, from, epoch),
            Packet::Silence { other, epoch } => self.silence_arrives(at, other, epoch),
            Packet::Gossip { from, epoch, frame } => {
                if let Some((inbound, peer)) = self.receives(at, from, epoch, frame.len()) {
                    self.inform(at, Some(inbound), Inbound::Gossip { from: peer, frame });
                }
            }
            Packet::Request { from, epoch, call, frame } => {
                if let Some((inbound, peer)) = self.receives(at, from, epoch, frame.len()) {
                    let incarnation = self.incarnation(at);
                    let answering = Answering { world: self.clone(), at, to: from, incarnation, call: Some(call) };
                    let reply = Reply::new(move |frame| answering.answer(frame));
                    self.inform(at, Some(inbound), Inbound::Call { from: peer, request: frame, reply });
                }
            }
            Packet::Answer { call, frame } => {
                self.count_received(at, frame.as_ref().map_or(0, bytes::Bytes::len));
                self.answer_arrives(call, frame);
            }
            Packet::Open { from, epoch, flow, header } => match self.receives(at, from, epoch, header.len()) {
                Some((inbound, peer)) => {
                    if let Some(flow) = self.flow_taken(at, from, self.incarnation(at), flow) {
                        self.inform(at, Some(inbound), Inbound::Open { from: peer, header, flow });
                    }
                }
                None => self.flow_refused(flow),
            },
            Packet::Opened { flow, taken } => self.state().opened_arrives(flow, taken),
            Packet::Piece { pipe, number, piece } => {
                if let super::Piece::Frame(frame) = &piece {
                    self.count_received(at, frame.len());
                }
                self.state().piece_arrives(pipe, number, piece);
            }
            Packet::Credit { pipe, frames } => self.state().credit_arrives(pipe, frames),
            Packet::Unwanted { pipe } => self.state().unwanted_arrives(pipe),
        }
    }

    fn incarnation(&self, at: HostId) -> u64 {
        self.state().hosts[at.index()].incarnations
    }

    fn count_received(&self, at: HostId, bytes: usize) {
        self.state().hosts[at.index()].stats.received_bytes += bytes as u64;
    }

    /// Who gets what has come over a link, if that is still there. The first
    /// thing that comes over it makes it one.
    fn receives(
        &self,
        at: HostId,
        from: HostId,
        epoch: Epoch,
        bytes: usize,
    ) -> Option<(mpsc::Sender<Inbound>, shoal_types::PeerId)> {
        if !self.link_up(at, from, epoch) {
            return None;
        }
        let mut state = self.state();
        let peer = state.hosts[from.index()].id;
        let host = &mut state.hosts[at.index()];
        host.stats.received_bytes += bytes as u64;
        Some((host.inbound()?, peer))
    }

    /// Hands something to a host's peer. A queue that is full loses it, and is
    /// remembered to have been.
    pub(crate) fn inform(&self, at: HostId, inbound: Option<mpsc::Sender<Inbound>>, event: Inbound) {
        let Some(inbound) = inbound else {
            return;
        };
        let dropped = inbound.try_send(event);
        let waiting = inbound.max_capacity() - inbound.capacity();
        {
            let mut state = self.state();
            let stats = &mut state.hosts[at.index()].stats;
            stats.inbound_max = stats.inbound_max.max(waiting + usize::from(dropped.is_err()));
        }
        // Dropping it may answer a call: not while the state is held.
        drop(dropped);
    }
}
