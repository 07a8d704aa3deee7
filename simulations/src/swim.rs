//! A mesh of failure detectors.

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

enum Due {
    Packet { from: usize, packet: Bytes },
    TellDead { from: usize, incarnation: u64 },
    TellOutdated { from: usize, incarnation: u64 },
    Timer(Timer),
}

/// Peers that know each other by SWIM alone.
pub struct SwimWorld {
    heap: EventHeap<(usize, Due)>,
    peers: Vec<Swim>,
    dead: Vec<bool>,
    network: NetworkConditions,
    random: Random,
    trace: blake3::Hasher,
}

impl SwimWorld {
    /// `count` peers that have each heard of the first one.
    pub fn new(count: usize, network: NetworkConditions, seed: u64) -> Self {
        let mut random = Random::from_seed(seed);
        let config = SwimConfig::default();
        let peers = (0..count).map(|n| Swim::new(identity(n), &config, random.next_u64())).collect();
        let mut world = Self {
            heap: EventHeap::default(),
            peers,
            dead: vec![false; count],
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
    pub fn kill(&mut self, n: usize) {
        self.dead[n] = true;
    }

    /// How `observer` sees `of`; `None` when it has never heard of it.
    pub fn health(&self, observer: usize, of: usize) -> Option<Health> {
        let peer = identity(of).peer;
        self.peers[observer].members().into_iter().find(|view| view.identity.peer == peer).map(|view| view.health)
    }

    /// Living peers for which `holds` is true of what they see of `of`.
    pub fn observers(&self, of: usize, holds: impl Fn(Option<Health>) -> bool) -> usize {
        (0..self.peers.len()).filter(|n| *n != of && !self.dead[*n]).filter(|n| holds(self.health(*n, of))).count()
    }

    /// Lets time pass.
    pub fn run_until(&mut self, end: Duration) {
        while let Some((to, due)) = self.heap.pop_until(end) {
            if self.dead[to] {
                continue;
            }
            self.trace.update(&self.heap.now().as_nanos().to_le_bytes());
            self.trace.update(&to.to_le_bytes());
            let actions = match due {
                Due::Packet { from, packet } => {
                    self.trace.update(&packet);
                    self.peers[to].packet(identity(from).peer, &packet)
                }
                Due::TellDead { from, incarnation } => self.peers[to].declared_dead(incarnation, identity(from)),
                Due::TellOutdated { from, incarnation } => self.peers[to].outdated(incarnation, identity(from)),
                Due::Timer(timer) => self.peers[to].timer(timer),
            };
            self.perform(to, actions);
        }
    }

    /// A hash over every event so far: the same seed gives the same.
    pub fn trace(&self) -> String {
        self.trace.finalize().to_hex().to_string()
    }

    fn announce(&mut self, n: usize) {
        let actions = self.peers[n].announce(identity(0));
        self.perform(n, actions);
    }

    fn perform(&mut self, from: usize, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Send { to, packet } => self.send(to, Due::Packet { from, packet }),
                Action::TellDead { to, incarnation } => self.send(to, Due::TellDead { from, incarnation }),
                Action::TellOutdated { to, incarnation } => self.send(to, Due::TellOutdated { from, incarnation }),
                Action::After { delay, timer } => {
                    self.heap.push(delay, (from, Due::Timer(timer)));
                }
                Action::Up(_) | Action::Down(_) | Action::Disbelieved { .. } => {}
            }
        }
    }

    fn send(&mut self, to: PeerId, due: Due) {
        let lost = self.random.below(1000) < self.network.lost_per_mille;
        let jitter = self.random.below(u64::try_from(self.network.jitter.as_nanos()).unwrap_or(u64::MAX).max(1));
        if !lost {
            self.heap.push(self.network.latency + Duration::from_nanos(jitter), (index(to), due));
        }
    }
}

fn identity(n: usize) -> Identity {
    let mut id = [0; 32];
    id[..8].copy_from_slice(&(n as u64 + 1).to_be_bytes());
    Identity { peer: PeerId::from_bytes(id), incarnation: 1, addresses: [format!("peer-{n}:7400")].into() }
}

fn index(peer: PeerId) -> usize {
    let mut number = [0; 8];
    number.copy_from_slice(&peer.as_bytes()[..8]);
    u64::from_be_bytes(number) as usize - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn all_alive(world: &SwimWorld, count: usize) -> bool {
        (0..count).all(|n| world.observers(n, |health| health == Some(Health::Alive)) == count - 1)
    }

    #[test]
    fn the_same_seed_gives_the_same_run_and_another_seed_another() {
        let run = |seed| {
            let mut world = SwimWorld::new(30, NetworkConditions { lost_per_mille: 20, ..Default::default() }, seed);
            world.run_until(10 * SECOND);
            world.kill(7);
            world.run_until(30 * SECOND);
            world.trace()
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
    }

    #[test]
    fn a_death_is_suspected_within_three_seconds_and_known_to_all_within_ten() {
        for (count, seed) in [(5, 1), (5, 2), (5, 3), (50, 4), (100, 5)] {
            let mut world = SwimWorld::new(count, NetworkConditions::default(), seed);
            world.run_until(10 * SECOND);
            assert!(all_alive(&world, count), "{count} peers do not know each other");
            world.kill(3);
            world.run_until(13 * SECOND);
            let suspecting = world.observers(3, |health| health != Some(Health::Alive));
            assert!(suspecting > 0, "nobody of {count} suspects it (seed {seed})");
            world.run_until(20 * SECOND);
            let knowing = world.observers(3, |health| health == Some(Health::Dead));
            assert_eq!(knowing, count - 1, "of {count} (seed {seed})");
        }
    }

    #[test]
    fn five_packets_in_a_hundred_lost_kill_nobody() {
        for seed in 0..3 {
            let network = NetworkConditions { lost_per_mille: 50, ..Default::default() };
            let mut world = SwimWorld::new(20, network, seed);
            world.run_until(120 * SECOND);
            for n in 0..20 {
                let dead = world.observers(n, |health| health == Some(Health::Dead));
                assert_eq!(dead, 0, "peer {n}, seed {seed}");
            }
        }
    }
}
