//! # Who notices a death, and when
//!
//! Shows: SWIM as a state machine, run in virtual time: thirty peers, one of
//! which dies; a second of real time covers a minute of theirs.
//!
//! Run: `cargo run -p shoal-examples --bin failure-detector`

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use shoal_membership::{Action, Identity, Swim, SwimConfig, Timer};
use shoal_types::{Health, PeerId};

const PEERS: usize = 30;

enum Due {
    Packet(PeerId, Bytes),
    Timer(Timer),
    TellDead(PeerId, u64),
}

fn peer(n: usize) -> PeerId {
    PeerId::from_bytes([n as u8 + 1; 32])
}

fn identity(n: usize) -> Identity {
    Identity { peer: peer(n), incarnation: 1, addresses: vec![format!("host-{n}:7400")] }
}

/// An event heap in virtual time: packets take a millisecond.
#[derive(Default)]
struct World {
    now: Duration,
    counter: u64,
    heap: BTreeMap<(Duration, u64), (usize, Due)>,
}

impl World {
    fn perform(&mut self, from: usize, actions: Vec<Action>) {
        for action in actions {
            let wire = Duration::from_millis(1);
            let index = |id: PeerId| usize::from(id.as_bytes()[0]) - 1;
            let (delay, to, due) = match action {
                Action::Send { to, packet } => (wire, index(to), Due::Packet(peer(from), packet)),
                Action::TellDead { to, incarnation } => (wire, index(to), Due::TellDead(peer(from), incarnation)),
                Action::After { delay, timer } => (delay, from, Due::Timer(timer)),
                Action::Up(_) | Action::Down(_) => continue,
            };
            self.counter += 1;
            self.heap.insert((self.now + delay, self.counter), (to, due));
        }
    }
}

fn main() {
    let mut world = World::default();
    let mut peers: Vec<Swim> =
        (0..PEERS).map(|n| Swim::new(identity(n), &SwimConfig::default(), n as u64)).collect();
    for (n, swim) in peers.iter_mut().enumerate().skip(1) {
        let actions = swim.announce(identity(0));
        world.perform(n, actions);
    }
    let (victim, death) = (7, Duration::from_secs(10));
    let mut first: BTreeMap<Health, Duration> = BTreeMap::new();
    let mut last = Duration::ZERO;
    let mut observers = vec![false; PEERS];
    while let Some(((now, _), (to, due))) = world.heap.pop_first() {
        world.now = now;
        if now > Duration::from_secs(60) {
            break;
        }
        if to == victim && now > death {
            continue;
        }
        let actions = match due {
            Due::Packet(from, packet) => peers[to].packet(from, &packet),
            Due::Timer(timer) => peers[to].timer(timer),
            Due::TellDead(from, incarnation) => {
                peers[to].declared_dead(incarnation, identity(usize::from(from.as_bytes()[0]) - 1))
            }
        };
        world.perform(to, actions);
        if now > death {
            let view = peers[to].members().into_iter().find(|view| view.identity.peer == peer(victim));
            if let Some(view) = view.filter(|view| view.health != Health::Alive) {
                first.entry(view.health).or_insert(now - death);
                if view.health == Health::Dead && !std::mem::replace(&mut observers[to], true) {
                    last = now - death;
                }
            }
        }
    }
    println!("{PEERS} peers; one dies.");
    for (health, after) in first {
        println!("first {} after {:.1} s", health.as_str(), after.as_secs_f64());
    }
    println!("the last of {} to know it did after {:.1} s", PEERS - 1, last.as_secs_f64());
}
