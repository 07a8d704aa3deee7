//! The lines of hosts, which bulk waits for: each is sent and received in turn.

use std::time::Duration;

use super::Packet;
use crate::host::HostId;
use crate::world::{Event, State};

/// Bulk on its way from one host to another.
#[derive(Debug, Clone)]
pub(crate) struct Transfer {
    pub(crate) to: HostId,
    pub(crate) packet: Packet,
    from: HostId,
    /// In the order of these it waits.
    number: u64,
    sent: Duration,
    bytes: u64,
    /// From the end of one line to that of the other.
    way: Duration,
    up: Turn,
    down: Turn,
}

/// When a line has to do with it.
#[derive(Debug, Clone, Copy)]
struct Turn {
    begins: Duration,
    ends: Duration,
}

impl Turn {
    fn new(begins: Duration, takes: Duration) -> Self {
        Self { begins, ends: begins + takes }
    }

    /// From now on at another pace: `takes` is for the whole of it.
    fn anew(self, now: Duration, ready: Duration, earliest: Duration, takes: Duration) -> Self {
        if self.ends <= now {
            self
        } else if self.begins < now {
            let left = (self.ends - now).as_secs_f64() / (self.ends - self.begins).as_secs_f64();
            Self { begins: self.begins, ends: ready.max(now) + takes.mul_f64(left) }
        } else {
            Self::new(ready.max(earliest).max(now), takes)
        }
    }
}

impl Transfer {
    fn arrival(&self) -> Duration {
        self.down.ends.max(self.up.ends + self.way)
    }
}

impl State {
    /// Sends what has to wait for the line; when it arrives.
    pub(super) fn transfer(&mut self, from: HostId, to: HostId, bytes: u64, way: Duration, packet: Packet) -> Duration {
        let now = self.heap.now();
        let takes = self.takes(from, to, bytes);
        let up = Turn::new(self.hosts[from.index()].up_ready.max(now), takes);
        let down = Turn::new(self.hosts[to.index()].down_ready.max(now + way), takes);
        self.network.transfers += 1;
        let number = self.network.transfers;
        self.enter(Transfer { to, packet, from, number, sent: now, bytes, way, up, down })
    }

    /// Lines have become slower or faster: everything that is on them or waits
    /// for them takes as long as it takes now.
    pub(crate) fn lines_changed(&mut self) {
        let now = self.heap.now();
        let waiting = self.heap.take_if(|event| matches!(event, Event::Transfer(_)));
        let mut waiting: Vec<Transfer> = waiting
            .into_iter()
            .filter_map(|event| match event {
                Event::Transfer(transfer) => Some(*transfer),
                _ => None,
            })
            .collect();
        waiting.sort_by_key(|transfer| transfer.number);
        for host in &mut self.hosts {
            host.up_ready = host.up_ready.min(now);
            host.down_ready = host.down_ready.min(now);
        }
        for mut transfer in waiting {
            let takes = self.takes(transfer.from, transfer.to, transfer.bytes);
            let sender = &self.hosts[transfer.from.index()];
            transfer.up = transfer.up.anew(now, sender.up_ready, now, takes);
            let receiver = &self.hosts[transfer.to.index()];
            let earliest = transfer.sent + transfer.way;
            transfer.down = transfer.down.anew(now, receiver.down_ready, earliest, takes);
            self.enter(transfer);
        }
    }

    fn enter(&mut self, transfer: Transfer) -> Duration {
        let arrival = transfer.arrival();
        let sender = &mut self.hosts[transfer.from.index()];
        sender.up_ready = sender.up_ready.max(transfer.up.ends);
        let receiver = &mut self.hosts[transfer.to.index()];
        receiver.down_ready = receiver.down_ready.max(transfer.down.ends);
        self.heap.push_at(arrival, Event::Transfer(Box::new(transfer)));
        arrival
    }

    /// How long one is on a line, if it has it to itself.
    fn takes(&self, from: HostId, to: HostId, bytes: u64) -> Duration {
        let same_zone = self.hosts[from.index()].zone == self.hosts[to.index()].zone;
        let most = self.network.quality(from, to, same_zone).bandwidth.unwrap_or(u64::MAX);
        let bytes_per_second = self.network.config.bandwidth.min(most).max(1);
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(bytes_per_second);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}
