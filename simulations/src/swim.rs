//! A mesh of failure detectors.

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use shoal_membership::{Action, Identity, Swim, SwimConfig, Timer};
use shoal_types::{Health, PeerId};

use crate::{EventHeap, Random};

/// What the network does to packets.
#[derive(Debug, Clone, Copy)]
pub struct NetworkConditions {
    /// The shortest way of a packet.
    pub latency: Duration,
    /// What chance adds to it, at most.
    pub jitter: Duration,
    /// Packets lost, out of a thousand.
    pub lost_per_mille: u64,
}

impl Default for NetworkConditions {
    fn default() -> Self {
        Self { latency: Duration::from_micros(200), jitter: Duration::from_millis(1), lost_per_mille: 0 }
    }
}

/// What a peer has sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sent {
    pub packets: u64,
    /// Of gossip, without what the transport adds.
    pub bytes: u64,
}

/// How a peer's host does.
#[derive(Debug, Clone, Default)]
struct Host {
    dead: bool,
    paused: bool,
    /// How late it deals with what reaches it, if it is.
    late: Range<Duration>,
    /// Until then it deals with what came before.
    busy_until: Duration,
    sent: Sent,
}

struct Event {
    to: usize,
    due: Due,
    /// Whether the peer is to deal with it now; else it has only reached it.
    ripe: bool,
}

/// Where in its id the number of a peer is.
const NUMBER: Range<usize> = 8..16;

enum Due {
    Packet { from: usize, packet: Bytes },
    TellDead { from: usize, incarnation: u64 },
    TellOutdated { from: usize, incarnation: u64 },
    Timer { timer: Timer, at: Duration },
}

/// Peers that know each other by SWIM alone.
pub struct SwimWorld {
    heap: EventHeap<Event>,
    peers: Vec<Swim>,
    /// As which each has begun.
    identities: Vec<Identity>,
    hosts: Vec<Host>,
    /// What waits for peers that are paused, in its order.
    held: Vec<Event>,
    network: NetworkConditions,
    random: Random,
    trace: blake3::Hasher,
}

impl SwimWorld {
    /// `count` peers that have each heard of the first one.
    pub fn new(count: usize, network: NetworkConditions, seed: u64) -> Self {
        let mut random = Random::from_seed(seed);
        let config = SwimConfig::default();
        let identities: Vec<Identity> = (0..count).map(identity).collect();
        let peers = identities.iter().map(|one| Swim::new(one.clone(), &config, random.next_u64())).collect();
        let mut world = Self {
            heap: EventHeap::default(),
            peers,
            identities,
            hosts: vec![Host::default(); count],
            held: Vec::new(),
            network,
            random,
            trace: blake3::Hasher::new(),
        };
        for n in 1..count {
            world.announce(n);
        }
        world
    }

    pub fn now(&self) -> Duration {
        self.heap.now()
    }

    /// Peer `n` is gone, with its timers and all that is on the way to it.
    /// Nothing tells the others so, as when the power goes.
    pub fn kill(&mut self, n: usize) {
        self.hosts[n].dead = true;
    }

    /// From now on peer `n` deals with all that reaches it, its own timers
    /// too, so much later, in order: as under load.
    pub fn delay(&mut self, n: usize, late: Range<Duration>) {
        self.hosts[n].late = late;
    }

    /// Peer `n` stands still until it is resumed. What reaches it waits.
    pub fn pause(&mut self, n: usize) {
        self.hosts[n].paused = true;
    }

    /// Peer `n` goes on, with all that waits for it.
    pub fn resume(&mut self, n: usize) {
        self.hosts[n].paused = false;
        let (waiting, held) = std::mem::take(&mut self.held).into_iter().partition(|event| event.to == n);
        self.held = held;
        let waiting: Vec<Event> = waiting;
        for event in waiting {
            self.heap.push(Duration::ZERO, event);
        }
    }

    /// How `observer` sees `of`; `None` when it has never heard of it.
    pub fn health(&self, observer: usize, of: usize) -> Option<Health> {
        self.peers[observer].get(self.identities[of].peer).map(|(_, health)| health)
    }

    /// Living peers for which `holds` is true of what they see of `of`.
    pub fn observers(&self, of: usize, holds: impl Fn(Option<Health>) -> bool) -> usize {
        (0..self.peers.len())
            .filter(|n| *n != of && !self.hosts[*n].dead)
            .filter(|n| holds(self.health(*n, of)))
            .count()
    }

    /// Members that peer `n` holds to live.
    pub fn living(&self, n: usize) -> usize {
        self.peers[n].iter().filter(|(_, health)| *health != Health::Dead).count()
    }

    /// As which incarnation peer `n` lives.
    pub fn incarnation(&self, n: usize) -> u64 {
        self.peers[n].identity().incarnation
    }

    /// What peer `n` has sent so far.
    pub fn sent(&self, n: usize) -> Sent {
        self.hosts[n].sent
    }

    /// Lets time pass.
    pub fn run_until(&mut self, end: Duration) {
        while let Some(event) = self.heap.pop_until(end) {
            let host = &mut self.hosts[event.to];
            if host.dead {
                continue;
            }
            if host.paused {
                self.held.push(event);
            } else if event.ripe || host.late.is_empty() {
                self.happen(event.to, event.due);
            } else {
                let more = self.random.time_below(host.late.end - host.late.start);
                host.busy_until = host.busy_until.max(self.heap.now() + host.late.start + more);
                self.heap.push_at(host.busy_until, Event { ripe: true, ..event });
            }
        }
    }

    /// A hash over every event so far: the same seed gives the same.
    pub fn trace(&self) -> String {
        self.trace.finalize().to_hex().to_string()
    }

    fn happen(&mut self, to: usize, due: Due) {
        let now = self.heap.now();
        self.trace.update(&now.as_nanos().to_le_bytes());
        self.trace.update(&to.to_le_bytes());
        let actions = match due {
            Due::Packet { from, packet } => {
                self.trace.update(&packet);
                self.peers[to].packet(self.identities[from].peer, &packet)
            }
            Due::TellDead { from, incarnation } => {
                self.peers[to].declared_dead(incarnation, self.identities[from].clone())
            }
            Due::TellOutdated { from, incarnation } => {
                self.peers[to].outdated(incarnation, self.identities[from].clone())
            }
            Due::Timer { timer, at } => self.peers[to].timer(timer, now - at),
        };
        self.perform(to, actions);
    }

    fn announce(&mut self, n: usize) {
        let actions = self.peers[n].announce(self.identities[0].clone());
        self.perform(n, actions);
    }

    fn perform(&mut self, from: usize, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Send { to, packet } => {
                    self.hosts[from].sent.bytes += packet.len() as u64;
                    self.send(to, from, Due::Packet { from, packet });
                }
                Action::TellDead { to, incarnation } => self.send(to, from, Due::TellDead { from, incarnation }),
                Action::TellOutdated { to, incarnation } => {
                    self.send(to, from, Due::TellOutdated { from, incarnation });
                }
                Action::After { delay, timer } => {
                    let due = Due::Timer { timer, at: self.heap.now() + delay };
                    self.heap.push(delay, Event { to: from, due, ripe: false });
                }
                Action::Up(_) | Action::Down(_) | Action::Disbelieved { .. } => {}
            }
        }
    }

    fn send(&mut self, to: PeerId, from: usize, due: Due) {
        self.hosts[from].sent.packets += 1;
        let lost = self.random.below(1000) < self.network.lost_per_mille;
        let jitter = self.random.time_below(self.network.jitter.max(Duration::from_nanos(1)));
        if !lost {
            self.heap.push(self.network.latency + jitter, Event { to: index(to), due, ripe: false });
        }
    }
}

/// Ids are spread as those of real peers are, and tell the number.
fn identity(n: usize) -> Identity {
    let mut id = *blake3::hash(&n.to_le_bytes()).as_bytes();
    id[NUMBER].copy_from_slice(&(n as u64).to_le_bytes());
    Identity { peer: PeerId::from_bytes(id), incarnation: 1, addresses: [format!("peer-{n}:7400")].into() }
}

fn index(peer: PeerId) -> usize {
    let mut number = [0; 8];
    number.copy_from_slice(&peer.as_bytes()[NUMBER]);
    u64::from_le_bytes(number) as usize
}

#[cfg(test)]
mod tests;
