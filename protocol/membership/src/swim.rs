use std::collections::BTreeMap;
use std::num::{NonZeroU8, NonZeroUsize};
use std::time::Duration;

use bytes::Bytes;
use foca::{Config, Foca, NoCustomBroadcast, Notification, PeriodicParams, PostcardCodec, State};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use shoal_types::{Health, PeerId};

use crate::Identity;

/// How patient the failure detector is.
#[derive(Debug, Clone)]
pub struct SwimConfig {
    /// Every period one member is probed. Shorter finds deaths sooner and
    /// costs more messages. 0.2–5 s.
    pub probe_period: Duration,
    /// How long a direct answer may take before others are asked; below half
    /// the period.
    pub probe_rtt: Duration,
    /// How long a suspect has to object. Longer spares slow peers, shorter
    /// finds deaths sooner. 2–30 s.
    pub suspect_to_down: Duration,
    /// After this a dead member is forgotten. Minutes to days.
    pub forget_down_after: Duration,
    /// The longest gossip packet, in bytes. Large packets make mass joins
    /// fast: with 1,400 bytes a thousand took minutes, with these two seconds.
    pub packet_bytes_max: usize,
}

impl Default for SwimConfig {
    fn default() -> Self {
        Self {
            probe_period: Duration::from_millis(1000),
            probe_rtt: Duration::from_millis(400),
            suspect_to_down: Duration::from_secs(4),
            forget_down_after: Duration::from_secs(24 * 3600),
            packet_bytes_max: 60_000,
        }
    }
}

/// A timer to give back to [`Swim::timer`] when it is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timer(foca::Timer<Identity>);

/// What the owner of a [`Swim`] must do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Send the packet; it may be lost.
    Send { to: PeerId, packet: Bytes },
    /// Call [`Swim::timer`] with it after the delay.
    After { delay: Duration, timer: Timer },
    /// A member is there: its addresses are worth remembering.
    Up(Identity),
    /// A member was declared dead, or said that it goes.
    Down(Identity),
    /// A peer that was declared dead still speaks: tell it, so that it calls
    /// [`Swim::declared_dead`] and comes back as a later incarnation.
    TellDead { to: PeerId, incarnation: u64 },
}

/// A member as this peer sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberView {
    pub identity: Identity,
    pub health: Health,
}

/// The failure detector of one peer.
pub struct Swim {
    foca: FocaState,
    /// Peers that are down, with the incarnation that died.
    down: BTreeMap<PeerId, u64>,
}

impl Swim {
    /// `seed` makes the choice of probes repeatable.
    pub fn new(identity: Identity, config: &SwimConfig, seed: u64) -> Self {
        let foca = Foca::new(identity, foca_config(config), SmallRng::seed_from_u64(seed), PostcardCodec);
        Self { foca, down: BTreeMap::new() }
    }

    pub fn identity(&self) -> &Identity {
        self.foca.identity()
    }

    /// Tells a peer that we are here, and asks whom it knows. Its answer may
    /// be lost: announce again until it is a member.
    pub fn announce(&mut self, to: Identity) -> Vec<Action> {
        self.act(|foca, actions| foca.announce(to, actions))
    }

    /// A packet from another peer. One that does not decode is ignored.
    pub fn packet(&mut self, from: PeerId, packet: &[u8]) -> Vec<Action> {
        let mut actions = self.act(|foca, actions| foca.handle_data(packet, actions));
        // Foca can say so itself, but then also says it to peers that have
        // refuted the suspicion, and healthy ones renew their identity.
        if let Some(incarnation) = self.down.get(&from) {
            actions.push(Action::TellDead { to: from, incarnation: *incarnation });
        }
        actions
    }

    /// Somebody holds this incarnation of ours to be dead. If it is the
    /// present one we become a later one, and tell `teller`.
    pub fn declared_dead(&mut self, incarnation: u64, teller: Identity) -> Vec<Action> {
        let identity = self.foca.identity().clone();
        if incarnation < identity.incarnation {
            return Vec::new();
        }
        let renewed = Identity { incarnation: incarnation.saturating_add(1), ..identity };
        let mut actions = self.act(|foca, actions| foca.change_identity(renewed, actions));
        actions.extend(self.announce(teller));
        actions
    }

    /// A timer that is due.
    pub fn timer(&mut self, timer: Timer) -> Vec<Action> {
        self.act(|foca, actions| foca.handle_timer(timer.0, actions))
    }

    /// Says that we go. Nothing is to be done with this value afterwards.
    pub fn leave(&mut self) -> Vec<Action> {
        self.act(|foca, actions| foca.leave_cluster(actions))
    }

    /// Everyone but ourselves, the dead too, by id.
    pub fn members(&self) -> Vec<MemberView> {
        let mut members: Vec<MemberView> = self
            .foca
            .iter_membership_state()
            .map(|member| MemberView {
                identity: member.id().clone(),
                health: match member.state() {
                    State::Alive => Health::Alive,
                    State::Suspect => Health::Suspected,
                    State::Down => Health::Dead,
                },
            })
            .collect();
        members.sort_by_key(|member| member.identity.peer);
        members
    }

    fn act(&mut self, run: impl FnOnce(&mut FocaState, &mut Actions) -> Result<(), foca::Error>) -> Vec<Action> {
        let mut actions = Actions(Vec::new());
        // Its errors speak of packets that were not understood and of probes
        // that were late: it has dealt with them, and SWIM tolerates both.
        let _ = run(&mut self.foca, &mut actions);
        for action in &actions.0 {
            match action {
                Action::Up(member) => {
                    self.down.remove(&member.peer);
                }
                Action::Down(member) => {
                    self.down.insert(member.peer, member.incarnation);
                }
                Action::Send { .. } | Action::After { .. } | Action::TellDead { .. } => {}
            }
        }
        actions.0
    }
}

type FocaState = Foca<Identity, PostcardCodec, SmallRng, NoCustomBroadcast>;

struct Actions(Vec<Action>);

impl foca::Runtime<Identity> for &mut Actions {
    fn notify(&mut self, notification: Notification<'_, Identity>) {
        match notification {
            Notification::MemberUp(member) => self.0.push(Action::Up(member.clone())),
            Notification::Rename(_, member) => self.0.push(Action::Up(member.clone())),
            Notification::MemberDown(member) => self.0.push(Action::Down(member.clone())),
            Notification::Rejoin(_) | Notification::Active | Notification::Idle | Notification::Defunct => {}
        }
    }

    fn send_to(&mut self, to: Identity, data: &[u8]) {
        self.0.push(Action::Send { to: to.peer, packet: Bytes::copy_from_slice(data) });
    }

    fn submit_after(&mut self, event: foca::Timer<Identity>, after: Duration) {
        self.0.push(Action::After { delay: after, timer: Timer(event) });
    }
}

fn foca_config(config: &SwimConfig) -> Config {
    let one = NonZeroUsize::MIN;
    let three = NonZeroUsize::MIN.saturating_add(2);
    Config {
        probe_period: config.probe_period,
        probe_rtt: config.probe_rtt,
        num_indirect_probes: three,
        max_transmissions: NonZeroU8::MIN.saturating_add(9),
        suspect_to_down_after: config.suspect_to_down,
        remove_down_after: Some(config.forget_down_after),
        max_packet_size: NonZeroUsize::new(config.packet_bytes_max).unwrap_or(one),
        // `Swim::packet` tells them.
        notify_down_members: false,
        periodic_announce: Some(PeriodicParams { frequency: Duration::from_secs(10), num_members: one }),
        periodic_announce_to_down_members: Some(PeriodicParams {
            frequency: Duration::from_secs(15),
            num_members: three,
        }),
        periodic_gossip: Some(PeriodicParams { frequency: Duration::from_millis(200), num_members: three }),
    }
}

#[cfg(test)]
mod tests {
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
        Timer(Timer),
    }

    fn identity(n: usize) -> Identity {
        Identity { peer: PeerId::from_bytes([n as u8 + 1; 32]), incarnation: 1, addresses: vec![format!("host:{n}")] }
    }

    fn index(peer: PeerId) -> usize {
        usize::from(peer.as_bytes()[0]) - 1
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
                    Action::After { delay, timer } => (delay, from, Due::Timer(timer)),
                    Action::Up(_) | Action::Down(_) => continue,
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
                    Due::TellDead(from, incarnation) => {
                        self.peers[to].declared_dead(incarnation, identity(index(from)))
                    }
                    Due::Timer(timer) => self.peers[to].timer(timer),
                };
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
    fn garbage_changes_nothing() {
        let mut swim = Swim::new(identity(0), &SwimConfig::default(), 1);
        for length in 0..200usize {
            let garbage: Vec<u8> = (0..length).map(|n| (n * 37 + length) as u8).collect();
            swim.packet(identity(1).peer, &garbage);
        }
        assert!(swim.members().is_empty());
    }
}
