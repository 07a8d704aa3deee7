//! From one host to another: when a packet arrives, how often, or whether it does.

use std::time::Duration;

use super::Packet;
use crate::host::HostId;
use crate::random::Random;
use crate::world::{Event, State};

/// What a lost packet of TCP costs, the first time.
const RETRANSMIT: Duration = Duration::from_millis(200);

/// How a packet is carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// May be lost, doubled, overtaken.
    Gossip,
    /// Half of what is lost comes late, half never; may be doubled.
    Call,
    /// Comes, late perhaps, or the link breaks. Waits for the line.
    Bulk,
    /// As bulk, but too short to wait for the line.
    Stream,
    /// Part of making or closing a link: lost where nothing gets through.
    Signal,
}

impl State {
    /// Sends a packet on its way. What chance does to it depends on the sender
    /// and on how many it has sent, on nothing else.
    pub(crate) fn send(&mut self, seed: u64, from: HostId, to: HostId, kind: Kind, scale: u64, packet: Packet) {
        let now = self.heap.now();
        let bytes = packet.bytes().len() as u64;
        let sender = &mut self.hosts[from.index()];
        sender.packets += 1;
        let mut fate = Random::of(seed, &[u64::from(from.0), sender.incarnations, sender.packets]);
        sender.stats.sent_bytes += bytes;
        self.network.sent_bytes += bytes;
        if !matches!(kind, Kind::Bulk | Kind::Stream) && self.network.is_blocked(from, to) {
            return;
        }
        let same_zone = self.hosts[from.index()].zone == self.hosts[to.index()].zone;
        let quality = self.network.quality(from, to, same_zone);
        let mut way = quality.latency + fate.time_below(quality.jitter);
        way += fate.time_below(self.hosts[from.index()].lag) + fate.time_below(self.hosts[to.index()].lag);
        if fate.chance(quality.loss) {
            match kind {
                Kind::Gossip => return,
                Kind::Call if fate.below(2) == 0 => return,
                Kind::Call | Kind::Bulk | Kind::Stream | Kind::Signal => {
                    way += RETRANSMIT;
                    while fate.chance(quality.loss) && way < 20 * RETRANSMIT {
                        way *= 2;
                    }
                }
            }
        }
        let overtaken = fate.chance(quality.reorder);
        if overtaken && matches!(kind, Kind::Gossip | Kind::Call) {
            way += 4 * (quality.latency + fate.time_below(quality.jitter));
        }
        let twice = matches!(packet, Packet::Gossip { .. } | Packet::Request { .. }) && fate.chance(quality.duplicate);
        let again = twice.then(|| (packet.clone(), fate.time_below(10 * (quality.latency + quality.jitter))));
        let arrival = match kind {
            Kind::Bulk => self.transfer(from, to, bytes.saturating_mul(scale), way, packet),
            Kind::Gossip | Kind::Call | Kind::Stream | Kind::Signal => {
                self.heap.push(way, Event::Arrive { at: to, packet });
                now + way
            }
        };
        if let Some((packet, later)) = again {
            self.heap.push_at(arrival + later, Event::Arrive { at: to, packet });
        }
    }

    /// Whether a packet that has come this far gets through. What belongs to a
    /// flow and does not is sent again, until it does or the link breaks.
    pub(crate) fn gets_through(&mut self, at: HostId, packet: &Packet) -> bool {
        let pipe = match packet {
            Packet::Piece { pipe, .. } | Packet::Credit { pipe, .. } | Packet::Unwanted { pipe } => *pipe,
            Packet::Open { flow, .. } | Packet::Opened { flow, .. } => *flow,
            _ => return true,
        };
        let Some(from) = self.network.pipes.other_end(pipe, at) else {
            return false;
        };
        let blocked = self.network.is_blocked(from, at);
        if blocked {
            self.heap.push(2 * RETRANSMIT, Event::Arrive { at, packet: packet.clone() });
        }
        !blocked
    }
}
