mod comparing;
mod foreign;
mod old_news;
mod watching;

use std::collections::BTreeMap;

use super::*;

/// A mesh in virtual time: every packet takes a millisecond.
struct World {
    now: Duration,
    peers: Vec<Swim>,
    dead: Vec<usize>,
    due: BTreeMap<(Duration, u64), (usize, Due)>,
    counter: u64,
}

enum Due {
    Packet(PeerId, Bytes),
    TellDead(PeerId, u64),
    TellOutdated(PeerId, u64),
    Timer(Timer),
}

fn identity(n: usize) -> Identity {
    Identity { peer: PeerId::from_bytes([n as u8 + 1; 32]), incarnation: 1, addresses: [format!("host:{n}")].into() }
}

fn index(peer: PeerId) -> usize {
    usize::from(peer.as_bytes()[0]) - 1
}

impl Swim {
    /// What is kept for looking up is what foca knows.
    fn check_known(&self) {
        let us = self.identity().peer;
        let theirs = self.foca.iter_membership_state().filter(|member| member.id().peer != us);
        let theirs: PeerMap<Member<Identity>> = theirs.map(|member| (member.id().peer, member.clone())).collect();
        assert_eq!(self.known, theirs);
    }
}

impl World {
    fn of(count: usize) -> Self {
        let peers = (0..count).map(|n| Swim::new(identity(n), &SwimConfig::default(), n as u64)).collect();
        let mut world = Self { now: Duration::ZERO, peers, dead: vec![], due: BTreeMap::new(), counter: 0 };
        for n in 1..count {
            let actions = world.peers[n].announce(identity(0));
            world.perform(n, actions);
        }
        world
    }

    fn perform(&mut self, from: usize, actions: Vec<Action>) {
        for action in actions {
            let (delay, to, due) = match action {
                Action::Send { to, packet } => {
                    (Duration::from_millis(1), index(to), Due::Packet(identity(from).peer, packet))
                }
                Action::TellDead { to, incarnation } => {
                    (Duration::from_millis(1), index(to), Due::TellDead(identity(from).peer, incarnation))
                }
                Action::TellOutdated { to, incarnation } => {
                    (Duration::from_millis(1), index(to), Due::TellOutdated(identity(from).peer, incarnation))
                }
                Action::After { delay, timer } => (delay, from, Due::Timer(timer)),
                Action::Up(_) | Action::Down(_) | Action::Disbelieved { .. } => continue,
            };
            self.counter += 1;
            self.due.insert((self.now + delay, self.counter), (to, due));
        }
    }

    fn run_until(&mut self, end: Duration) {
        while let Some(entry) = self.due.first_entry() {
            if entry.key().0 > end {
                break;
            }
            let ((now, _), (to, due)) = entry.remove_entry();
            self.now = now;
            if self.dead.contains(&to) {
                continue;
            }
            let actions = match due {
                Due::Packet(from, packet) => self.peers[to].packet(from, &packet),
                Due::TellDead(from, incarnation) => self.peers[to].declared_dead(incarnation, identity(index(from))),
                Due::TellOutdated(from, incarnation) => self.peers[to].outdated(incarnation, identity(index(from))),
                Due::Timer(timer) => self.peers[to].timer(timer, Duration::ZERO),
            };
            self.peers[to].check_known();
            self.perform(to, actions);
        }
        self.now = end;
    }

    fn health(&self, observer: usize, of: usize) -> Option<Health> {
        let peer = identity(of).peer;
        self.peers[observer].members().iter().find(|view| view.identity.peer == peer).map(|view| view.health)
    }
}

#[test]
fn everyone_learns_of_everyone_from_one() {
    let mut world = World::of(20);
    world.run_until(Duration::from_secs(5));
    for observer in 0..20 {
        let alive = world.peers[observer].members().iter().filter(|view| view.health == Health::Alive).count();
        assert_eq!(alive, 19, "as peer {observer} sees it");
    }
}

#[test]
fn a_killed_peer_is_declared_dead_by_all_and_nobody_else_is() {
    let mut world = World::of(5);
    world.run_until(Duration::from_secs(5));
    world.dead.push(4);
    world.run_until(Duration::from_secs(20));
    for observer in 0..4 {
        assert_eq!(world.health(observer, 4), Some(Health::Dead));
        for other in (0..4).filter(|other| *other != observer) {
            assert_eq!(world.health(observer, other), Some(Health::Alive));
        }
    }
}

#[test]
fn a_peer_that_was_only_silent_for_a_while_comes_back_as_a_later_incarnation() {
    let mut world = World::of(4);
    world.run_until(Duration::from_secs(5));
    world.dead.push(3);
    world.run_until(Duration::from_secs(25));
    assert_eq!(world.health(0, 3), Some(Health::Dead));
    world.dead.clear();
    // Its timers were lost with it; its owner announces it again.
    let actions = world.peers[3].announce(identity(0));
    world.perform(3, actions);
    world.run_until(Duration::from_secs(60));
    assert_eq!(world.health(0, 3), Some(Health::Alive));
    assert!(world.peers[3].identity().incarnation > 1);
}

#[test]
fn a_peer_that_starts_again_as_an_earlier_incarnation_becomes_a_later_one() {
    let mut world = World::of(4);
    for (n, peer) in world.peers.iter_mut().enumerate() {
        *peer = Swim::new(Identity { incarnation: 9, ..identity(n) }, &SwimConfig::default(), n as u64);
    }
    for n in 1..4 {
        let actions = world.peers[n].announce(identity(0));
        world.perform(n, actions);
    }
    world.run_until(Duration::from_secs(5));
    // Its clock was set back while it was away for a moment.
    let moved = Identity { incarnation: 3, addresses: ["elsewhere:1".to_owned()].into(), ..identity(3) };
    world.peers[3] = Swim::new(moved, &SwimConfig::default(), 7);
    world.due.retain(|_, (to, due)| *to != 3 || !matches!(due, Due::Timer(_)));
    let actions = world.peers[3].announce(identity(0));
    world.perform(3, actions);
    world.run_until(Duration::from_secs(6));
    assert_eq!(world.peers[3].identity().incarnation, 10);
    world.run_until(Duration::from_secs(8));
    for n in 0..3 {
        assert_eq!(world.health(3, n), Some(Health::Alive));
        let (seen, health) = world.peers[n].get(identity(3).peer).unwrap();
        assert_eq!((seen, health), (world.peers[3].identity(), Health::Alive));
    }
    // What it said as an earlier one, and arrives late, does not make it a later one once more.
    assert!(world.peers[3].outdated(10, identity(0)).is_empty());
}

#[test]
fn a_peer_that_leaves_is_down_at_once() {
    let mut world = World::of(4);
    world.run_until(Duration::from_secs(5));
    let actions = world.peers[2].leave();
    world.perform(2, actions);
    world.dead.push(2);
    world.run_until(Duration::from_secs(7));
    assert_eq!(world.health(0, 2), Some(Health::Dead));
}

#[test]
fn a_dead_member_is_forgotten_in_time_and_what_changes_is_told_once() {
    let mut world = World::of(3);
    let config = SwimConfig { forget_down_after: Duration::from_secs(30), ..SwimConfig::default() };
    for (n, peer) in world.peers.iter_mut().enumerate() {
        *peer = Swim::new(identity(n), &config, n as u64);
    }
    world.run_until(Duration::from_secs(5));
    for n in 1..3 {
        let actions = world.peers[n].announce(identity(0));
        world.perform(n, actions);
    }
    world.run_until(Duration::from_secs(10));
    assert_eq!(world.peers[0].take_changed(), BTreeSet::from([identity(1).peer, identity(2).peer]));
    world.run_until(Duration::from_secs(15));
    assert_eq!(world.peers[0].take_changed(), BTreeSet::new());
    world.dead.push(2);
    world.run_until(Duration::from_secs(30));
    assert_eq!(world.peers[0].take_changed(), BTreeSet::from([identity(2).peer]));
    assert_eq!(world.health(0, 2), Some(Health::Dead));
    assert!(!world.peers[0].is_member(identity(2).peer));
    world.run_until(Duration::from_secs(70));
    assert_eq!(world.peers[0].take_changed(), BTreeSet::from([identity(2).peer]));
    assert_eq!(world.health(0, 2), None);
}
