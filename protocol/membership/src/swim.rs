mod compare;
mod patience;
mod watch;

use std::collections::BTreeSet;
use std::num::{NonZeroU8, NonZeroUsize};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use bytes::Bytes;
use foca::{Config, Foca, Member, NoCustomBroadcast, Notification, PeriodicParams, State};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use shoal_types::{Health, PeerId, PeerMap};

use crate::Identity;
use crate::belief::{Belief, Disbelieved};
use crate::codec::TellingCodec;
use crate::digest::Digest;
use crate::news::{self, Heard, Verdict};
use crate::packet::Packet;
use patience::Patience;
pub(crate) use watch::Call;
use watch::Watch;

/// Each member tells so many others what it has heard. One hears of it from
/// as many on average, and not at all with a probability of e^-10: of a death
/// in a mesh of a thousand, one time in twenty somebody learns by comparing,
/// which is done often while members come and go.
const TRANSMISSIONS: u8 = 10;

/// How patient the failure detector is.
#[derive(Debug, Clone)]
pub struct SwimConfig {
    /// Every member is watched by so many others, or by all if there are
    /// fewer. More find its death though some of them die with it. 2–5.
    pub watchers: usize,
    /// Every period each of its watchers probes a member. Shorter finds deaths
    /// sooner and costs more messages. 0.2–5 s.
    pub watch_period: Duration,
    /// How long the one who is watched may take to answer once others have
    /// been asked too, which they are at the watcher's next turn. A death is
    /// suspected within a period, a turn and this; longer spares slow peers.
    /// 0.3–5 s.
    pub watch_patience: Duration,
    /// Every period one member at random is probed besides: that finds those
    /// who die together with all of their watchers. 1–10 s.
    pub probe_period: Duration,
    /// How long a direct answer to that may take before others are asked;
    /// below half the period.
    pub probe_rtt: Duration,
    /// How long a suspect has to object. Longer spares slow peers, shorter
    /// finds deaths sooner. 2–30 s.
    pub suspect_to_down: Duration,
    /// After this a dead member is forgotten. Minutes to days.
    pub forget_down_after: Duration,
    /// Every so often, more or less, what is known is compared with what
    /// another member knows, so that nothing that got lost stays unknown; and
    /// eight times as often while members come and go.
    /// Costs about 1 KiB each time. 5–60 s.
    pub compare_period: Duration,
    /// The longest gossip packet, in bytes. Large packets make mass joins
    /// fast: with 1,400 bytes a thousand took minutes, with these two seconds.
    pub packet_bytes_max: usize,
    /// Members that are known at once, the dead too until they are forgotten.
    /// Past it nobody new is heard of. Well above the largest mesh; each costs
    /// some hundred bytes. 1,000–1,000,000.
    pub members_max: usize,
}

impl Default for SwimConfig {
    fn default() -> Self {
        Self {
            watchers: 3,
            watch_period: Duration::from_millis(1200),
            watch_patience: Duration::from_millis(700),
            probe_period: Duration::from_millis(2000),
            probe_rtt: Duration::from_millis(800),
            suspect_to_down: Duration::from_secs(4),
            forget_down_after: Duration::from_secs(24 * 3600),
            compare_period: Duration::from_secs(10),
            packet_bytes_max: 60_000,
            members_max: 50_000,
        }
    }
}

/// A timer to give back to [`Swim::timer`] when it is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Timer {
    /// Of the failure detector.
    Swim(foca::Timer<Identity>),
    /// What is known is to be compared with somebody.
    Compare,
    /// The next of those who are watched is to be probed.
    Watch,
    /// Whoever has not answered a probe is to be suspected.
    Verdict { number: u64 },
    /// Whoever is still suspected is to be declared dead.
    Suspicion { member: Member<Identity>, as_of: u64 },
    /// One that has waited longer than it was to.
    Again(Box<Timer>),
}

impl Timer {
    /// Whether somebody who has not been heard in time is blamed for it.
    fn blames(&self) -> bool {
        match self {
            Self::Verdict { .. } | Self::Suspicion { .. } => true,
            Self::Swim(timer) => {
                matches!(timer, foca::Timer::ProbeRandomMember(_) | foca::Timer::ChangeSuspectToDown { .. })
            }
            Self::Compare | Self::Watch | Self::Again(_) => false,
        }
    }
}

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
    /// A peer speaks as an earlier incarnation than the one known, as if the
    /// clock that it took it from had been set back, and nobody listens: tell
    /// it, so that it calls [`Swim::outdated`] and becomes a later one.
    TellOutdated { to: PeerId, incarnation: u64 },
    /// Somebody said something about a member, ourselves perhaps, that cannot
    /// be ([`AHEAD_MS_MAX`](crate::AHEAD_MS_MAX)) or for which there is no
    /// room, and was not listened to. For people: a clock or a peer is mad.
    Disbelieved { teller: PeerId, member: PeerId, incarnation: u64 },
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
    /// Whom foca encodes: everyone that changes.
    told: Receiver<Member<Identity>>,
    /// Everyone that foca knows, for looking up.
    known: PeerMap<Member<Identity>>,
    /// Of those of them that live.
    digest: Digest,
    /// This peer as it named itself last.
    us: Member<Identity>,
    watch: Watch,
    patience: Patience,
    suspect_to_down: Duration,
    /// Chooses with whom to compare, and through whom to probe.
    random: SmallRng,
    compare_period: Duration,
    /// Whether somebody has come or gone since the last comparison.
    has_news: bool,
    /// Whether the timer for the next comparison runs.
    is_comparing: bool,
    packet_bytes_max: usize,
    members_max: usize,
    belief: Belief,
    /// Whether foca takes part in a cluster. If not, any packet may bring it back.
    is_active: bool,
    changed: BTreeSet<PeerId>,
}

impl Swim {
    /// `seed` makes the choice of probes repeatable. Until it is told the time
    /// ([`Swim::believe_at`]), that is taken to be when this incarnation began.
    pub fn new(identity: Identity, config: &SwimConfig, seed: u64) -> Self {
        let belief = Belief::at(identity.incarnation);
        let (tell, told) = mpsc::channel();
        Self {
            us: Member::alive(identity.clone()),
            watch: Watch::new(config),
            patience: Patience::default(),
            suspect_to_down: config.suspect_to_down,
            foca: Foca::new(identity, foca_config(config), SmallRng::seed_from_u64(seed), TellingCodec(tell)),
            told,
            known: PeerMap::default(),
            digest: Digest::new(),
            random: SmallRng::seed_from_u64(!seed),
            compare_period: config.compare_period,
            has_news: false,
            is_comparing: false,
            packet_bytes_max: config.packet_bytes_max,
            members_max: config.members_max,
            belief,
            is_active: false,
            changed: BTreeSet::new(),
        }
    }

    pub fn identity(&self) -> &Identity {
        self.foca.identity()
    }

    /// The time by our wall clock, in ms since the epoch: what others say is
    /// believed up to [`AHEAD_MS_MAX`](crate::AHEAD_MS_MAX) after it. To be
    /// told now and then, however the clock jumps.
    pub fn believe_at(&mut self, wall_ms: u64) {
        self.belief = Belief::at(wall_ms);
    }

    /// Whether some peer may be this incarnation, by the time that it is.
    pub fn believes(&self, incarnation: u64) -> bool {
        self.belief.in_incarnation(incarnation)
    }

    /// Tells a peer that we are here, and asks whom it knows. Its answer may
    /// be lost: announce again until it is a member.
    pub fn announce(&mut self, to: Identity) -> Vec<Action> {
        self.act(|foca, actions| foca.announce(to, actions))
    }

    /// A packet from another peer. One that does not decode is ignored.
    pub fn packet(&mut self, from: PeerId, packet: &[u8]) -> Vec<Action> {
        let (mut actions, sender) = match Packet::from_bytes(packet) {
            Some(Packet::Swim(packet)) => self.swim_packet(from, packet),
            Some(Packet::Digest(digest)) => (self.compared(from, digest), None),
            Some(Packet::Members { buckets, members, asks }) => (self.listed(from, buckets, members, asks), None),
            Some(Packet::Ping(call)) => (self.pinged(from, call), None),
            Some(Packet::Pong(call)) => (self.ponged(call), None),
            Some(Packet::Relay { peer, call }) => (self.asked_to_relay(from, peer, call), None),
            None => (Vec::new(), None),
        };
        // Foca can say so itself, but then also says it to peers that have
        // refuted the suspicion, and healthy ones renew their identity.
        if let Some(dead) = self.known.get(&from).filter(|member| member.state() == State::Down) {
            actions.push(Action::TellDead { to: from, incarnation: dead.id().incarnation });
        } else if let Some((_, spoken)) = sender.filter(|(peer, _)| *peer == from)
            && let Some(known) = self.known.get(&from).filter(|known| spoken < known.id().incarnation)
        {
            actions.push(Action::TellOutdated { to: from, incarnation: known.id().incarnation });
        }
        actions
    }

    /// What is to be done about a packet of the failure detector, and who sent
    /// it as which incarnation.
    fn swim_packet(&mut self, from: PeerId, packet: &[u8]) -> (Vec<Action>, Option<(PeerId, u64)>) {
        let news = news::news(packet, |heard| self.judge(heard));
        let mut actions = match news.says_nothing && self.is_active {
            true => Vec::new(),
            false => self.act(|foca, actions| foca.handle_data(&news.packet, actions)),
        };
        actions.extend(news.disbelieved.map(|disbelieved| disbelieve(from, disbelieved)));
        (actions, news.sender)
    }

    fn judge(&self, heard: &Member<Heard<'_>>) -> Verdict {
        if !self.belief.in_member(heard.id()) {
            return Verdict::Absurd;
        }
        match self.known.get(&heard.id().peer) {
            Some(known) if news::is_old(known, heard) => Verdict::Known,
            None if self.known.len() >= self.members_max => Verdict::Absurd,
            Some(_) | None => Verdict::New,
        }
    }

    /// Somebody holds this incarnation of ours to be dead. If it is the
    /// present one we become a later one, and tell `teller`.
    pub fn declared_dead(&mut self, incarnation: u64, teller: Identity) -> Vec<Action> {
        match self.identity().incarnation {
            ours if incarnation < ours => Vec::new(),
            ours if incarnation == ours => self.renew_beyond(incarnation, teller),
            _ => self.renew_if_believed(incarnation, teller),
        }
    }

    /// Somebody knows this incarnation of ours. If it is later than the
    /// present one we become one that is later still, and tell `teller`.
    pub fn outdated(&mut self, incarnation: u64, teller: Identity) -> Vec<Action> {
        match self.identity().incarnation {
            ours if incarnation <= ours => Vec::new(),
            _ => self.renew_if_believed(incarnation, teller),
        }
    }

    /// Becoming later than what nobody else believes would be being nobody.
    fn renew_if_believed(&mut self, incarnation: u64, teller: Identity) -> Vec<Action> {
        match self.believes(incarnation) {
            true => self.renew_beyond(incarnation, teller),
            false => vec![disbelieve(teller.peer, Disbelieved { member: self.identity().peer, incarnation })],
        }
    }

    fn renew_beyond(&mut self, incarnation: u64, teller: Identity) -> Vec<Action> {
        let renewed = Identity { incarnation: incarnation.saturating_add(1), ..self.foca.identity().clone() };
        self.watch.forget_probes();
        let mut actions = self.act(|foca, actions| foca.change_identity(renewed, actions));
        self.is_active = false;
        actions.extend(self.announce(teller));
        actions
    }

    /// A timer that is due, or was, and came so `late`. Whoever is late
    /// itself blames nobody for it: others then have as much more time.
    pub fn timer(&mut self, timer: Timer, late: Duration) -> Vec<Action> {
        self.patience.note(late);
        match self.patience.grace().filter(|_| timer.blames()) {
            Some(delay) => vec![Action::After { delay, timer: Timer::Again(Box::new(timer)) }],
            None => self.due(timer),
        }
    }

    fn due(&mut self, timer: Timer) -> Vec<Action> {
        match timer {
            Timer::Swim(timer) => self.swim_timer(timer),
            Timer::Compare => self.compare(),
            Timer::Watch => self.watch(),
            Timer::Verdict { number } => self.verdict(number),
            Timer::Suspicion { member, as_of } => self.suspicion(member, as_of),
            Timer::Again(timer) => self.due(*timer),
        }
    }

    fn swim_timer(&mut self, timer: foca::Timer<Identity>) -> Vec<Action> {
        let forgotten = match &timer {
            foca::Timer::RemoveDown(identity) => Some(identity.clone()),
            _ => None,
        };
        let actions = self.act(|foca, actions| foca.handle_timer(timer, actions));
        if let Some(identity) = forgotten
            && self.known.get(&identity.peer).is_some_and(|member| is_forgotten(member, &identity))
        {
            // It did not count for the digest.
            self.known.swap_remove(&identity.peer);
            self.changed.insert(identity.peer);
        }
        actions
    }

    /// Says that we go. Nothing is to be done with this value afterwards.
    pub fn leave(&mut self) -> Vec<Action> {
        self.act(|foca, actions| foca.leave_cluster(actions))
    }

    /// Those who have come, gone, or changed in health, incarnation or
    /// addresses since this was asked last.
    pub fn take_changed(&mut self) -> BTreeSet<PeerId> {
        std::mem::take(&mut self.changed)
    }

    /// A peer that is or was a member, and how it does.
    pub fn get(&self, peer: PeerId) -> Option<(&Identity, Health)> {
        self.known.get(&peer).map(|member| (member.id(), health(member)))
    }

    /// Whether a peer is known and not dead.
    pub fn is_member(&self, peer: PeerId) -> bool {
        self.get(peer).is_some_and(|(_, health)| health != Health::Dead)
    }

    /// Everyone but ourselves, the dead too, in any order.
    pub fn iter(&self) -> impl Iterator<Item = (&Identity, Health)> {
        self.known.values().map(|member| (member.id(), health(member)))
    }

    /// Like [`Swim::iter`], to keep.
    pub fn members(&self) -> Vec<MemberView> {
        self.iter().map(|(identity, health)| MemberView { identity: identity.clone(), health }).collect()
    }

    fn act(&mut self, run: impl FnOnce(&mut FocaState, &mut Actions) -> Result<(), foca::Error>) -> Vec<Action> {
        let mut actions = Actions { list: Vec::new(), is_active: self.is_active };
        // Its errors speak of packets that were not understood and of probes
        // that were late: it has dealt with them, and SWIM tolerates both.
        let _ = run(&mut self.foca, &mut actions);
        self.is_active = actions.is_active;
        let us = self.foca.identity();
        for member in self.told.try_iter() {
            let peer = member.id().peer;
            if peer == us.peer {
                if member.id() == us && member.state() == State::Alive {
                    self.us = member;
                }
            } else if self.known.get(&peer) != Some(&member) {
                self.digest.toggle(&member);
                let lives = member.state() != State::Down;
                let before = self.known.insert(peer, member);
                if let Some(before) = &before {
                    self.digest.toggle(before);
                }
                if before.is_some_and(|before| before.state() != State::Down) != lives {
                    self.watch.is_outdated = true;
                    self.has_news = true;
                }
                self.changed.insert(peer);
            }
        }
        // A dead incarnation may replace a dead one: nobody has come.
        actions.list.retain(|action| match action {
            Action::Up(identity) => self.is_member(identity.peer),
            Action::Down(_)
            | Action::Send { .. }
            | Action::After { .. }
            | Action::TellDead { .. }
            | Action::TellOutdated { .. }
            | Action::Disbelieved { .. } => true,
        });
        self.keep_comparing(&mut actions.list);
        self.keep_watching(&mut actions.list);
        actions.list
    }
}

type FocaState = Foca<Identity, TellingCodec, SmallRng, NoCustomBroadcast>;

fn health(member: &Member<Identity>) -> Health {
    match member.state() {
        State::Alive => Health::Alive,
        State::Suspect => Health::Suspected,
        State::Down => Health::Dead,
    }
}

fn disbelieve(teller: PeerId, Disbelieved { member, incarnation }: Disbelieved) -> Action {
    Action::Disbelieved { teller, member, incarnation }
}

/// Whether foca forgets a member, now that the time of this dead incarnation is over.
fn is_forgotten(member: &Member<Identity>, dead: &Identity) -> bool {
    member.id() == dead && member.state() == State::Down
}

struct Actions {
    list: Vec<Action>,
    is_active: bool,
}

impl foca::Runtime<Identity> for &mut Actions {
    fn notify(&mut self, notification: Notification<'_, Identity>) {
        match notification {
            Notification::MemberUp(member) => self.list.push(Action::Up(member.clone())),
            Notification::Rename(_, member) => self.list.push(Action::Up(member.clone())),
            Notification::MemberDown(member) => self.list.push(Action::Down(member.clone())),
            Notification::Active => self.is_active = true,
            Notification::Idle | Notification::Defunct | Notification::Rejoin(_) => self.is_active = false,
        }
    }

    fn send_to(&mut self, to: Identity, data: &[u8]) {
        self.list.push(Action::Send { to: to.peer, packet: Packet::Swim(data).to_bytes() });
    }

    fn submit_after(&mut self, event: foca::Timer<Identity>, after: Duration) {
        self.list.push(Action::After { delay: after, timer: Timer::Swim(event) });
    }
}

fn foca_config(config: &SwimConfig) -> Config {
    let one = NonZeroUsize::MIN;
    let three = NonZeroUsize::MIN.saturating_add(2);
    Config {
        probe_period: config.probe_period,
        probe_rtt: config.probe_rtt,
        num_indirect_probes: three,
        max_transmissions: NonZeroU8::MIN.saturating_add(TRANSMISSIONS - 1),
        suspect_to_down_after: config.suspect_to_down,
        remove_down_after: Some(config.forget_down_after),
        max_packet_size: NonZeroUsize::new(config.packet_bytes_max).unwrap_or(one),
        // `Swim::packet` tells them.
        notify_down_members: false,
        // Instead of all that is known only what differs is told, see `compare`.
        periodic_announce: None,
        periodic_announce_to_down_members: Some(PeriodicParams {
            frequency: Duration::from_secs(15),
            num_members: three,
        }),
        periodic_gossip: Some(PeriodicParams { frequency: Duration::from_millis(200), num_members: three }),
    }
}

#[cfg(test)]
mod tests;
