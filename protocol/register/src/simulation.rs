//! Registers under a network that loses, doubles and reorders, acceptors that
//! crash and come back with what they had made durable, a layout that is
//! replaced while operations run, and removals that are forgotten once they have
//! been at rest. Every history is checked for linearizability.
//!
//! A failing seed replays alone: `run(seed, Bug::None)`.

use std::collections::BTreeMap;

use bytes::Bytes;
use shoal_types::{Ballot, PeerId, RegisterEntry, RegisterKey, RegisterOp, RegisterReply};

use crate::linearizability::{Kind, Op, Value, is_linearizable};
use crate::{Acceptor, Action, Change, Decision, Ending, Failure, Proposal};

/// A mistake put in on purpose, to see that the check finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bug {
    None,
    /// One answer is taken for a majority.
    QuorumOfOne,
    /// A promise is not durable: a restart forgets it.
    ForgottenPromise,
    /// The new layout comes into force without a joint one.
    NoJointLayout,
    /// A read takes the newest of a majority's answers, whoever else holds it.
    ReadsTheNewest,
    /// A removal is forgotten by whoever holds it, without asking the others.
    ForgetsUnasked,
    /// It is forgotten at once, while operations from before it are under way.
    ForgetsAtOnce,
    /// Whoever forgets it forgets what it promised, too.
    NoHorizon,
    /// What a newer value was not built on counts as not made, though a
    /// minority may have it still, and others may find it there.
    BuriesTooEarly,
    /// What a newer value does not remember counts as not made, though it may
    /// have been pushed out of its memory.
    RemembersAll,
}

const PEERS: usize = 5;
const CLIENTS: usize = 4;
const OPS: usize = 60;
const TIMEOUT_MS: u64 = 60;
const GIVE_UP_MS: u64 = 1500;

/// How long a removal is at rest before it is forgotten: longer than any operation lives.
const REST_MS: u64 = GIVE_UP_MS + 200;

/// After some removals clients pause for so long.
const PAUSE_MS: u64 = REST_MS + 800;

/// So many writes before it a value remembers.
const REMEMBERED: usize = 3;

/// What a removal writes: this, and its number.
const REMOVED: u64 = 1 << 63;

type Decide = Box<dyn FnMut(Option<&Bytes>) -> Decision>;

enum Event {
    Request {
        op: usize,
        step: u32,
        layout: u32,
        to: usize,
        what: RegisterOp,
    },
    Reply {
        op: usize,
        step: u32,
        from: usize,
        what: Option<RegisterReply>,
    },
    Retry {
        op: usize,
    },
    GiveUp {
        op: usize,
    },
    Next {
        client: usize,
    },
    Crash,
    Restart {
        peer: usize,
    },
    Reconfigure,
    /// It is looked whether a removal can be forgotten.
    Collect,
    Forget {
        layout: u32,
        to: usize,
        ballot: Ballot,
    },
}

struct Peer {
    durable: Option<RegisterEntry>,
    horizon: Ballot,
    layout: u32,
    up: bool,
}

struct Running {
    client: Option<usize>,
    layout: u32,
    invoked: u64,
    want: Want,
    proposal: Proposal<Decide>,
}

#[derive(Clone, Copy)]
enum Want {
    Read,
    Write(u64),
    Remove(u64),
    Swap {
        expected: Value,
        new: u64,
    },
    /// The identity round that ends a joint layout.
    Settle,
}

struct World {
    bug: Bug,
    random: u64,
    now: u64,
    events: BTreeMap<(u64, u64), Event>,
    scheduled: u64,
    peers: Vec<Peer>,
    /// The newest layout that the mesh has.
    layout: u32,
    running: BTreeMap<usize, Running>,
    started: usize,
    /// What each client saw last: what its next swap expects.
    last: [Value; CLIENTS],
    history: Vec<Op>,
    finished: usize,
    /// Nobody begins anything before that.
    quiet_until: u64,
    /// The removal that was met last, and since when it is there.
    at_rest: Option<(Ballot, u64)>,
    /// How often an acceptor has forgotten one.
    forgotten: usize,
}

fn id(peer: usize) -> PeerId {
    PeerId::from_bytes([peer as u8 + 1; 32])
}

fn groups(layout: u32) -> Vec<Vec<PeerId>> {
    let (old, new) = (vec![id(0), id(1), id(2)], vec![id(2), id(3), id(4)]);
    match layout {
        1 => vec![old],
        2 => vec![new, old],
        _ => vec![new],
    }
}

/// What was written, and before it what that remembers, the oldest first.
fn writes(value: Option<&Bytes>) -> Vec<u64> {
    let number = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
    value.map_or(Vec::new(), |bytes| bytes.chunks(8).map(number).collect())
}

fn decode(value: Option<&Bytes>) -> Value {
    writes(value).last().copied().filter(|value| value & REMOVED == 0)
}

fn is_built_on(before: Option<&Bytes>, value: Option<&Bytes>, now: Option<&Bytes>) -> Option<bool> {
    let [before, value, now] = [before, value, now].map(writes);
    let would_tell = before.last().map_or(now.len() <= REMEMBERED, |last| now.contains(last));
    if value.last().is_some_and(|own| now.contains(own)) { Some(true) } else { would_tell.then_some(false) }
}

/// The same with a bug: what is not remembered was not made.
fn remembers_all(before: Option<&Bytes>, value: Option<&Bytes>, now: Option<&Bytes>) -> Option<bool> {
    is_built_on(before, value, now).or(Some(false))
}

/// The ballot of a removal, if that is what an acceptor holds.
fn removal(held: Option<&RegisterEntry>) -> Option<Ballot> {
    held.filter(|held| held.value.is_some() && decode(held.value.as_ref()).is_none()).map(|held| held.accepted)
}

/// What is written on what was there.
fn encode(before: Option<&Bytes>, value: u64) -> Option<Bytes> {
    let mut all = writes(before);
    all.drain(..all.len().saturating_sub(REMEMBERED));
    all.push(value);
    Some(all.into_iter().flat_map(u64::to_le_bytes).collect())
}

impl World {
    fn new(seed: u64, bug: Bug) -> Self {
        let peers = (0..PEERS).map(|_| Peer { durable: None, horizon: Ballot::ZERO, layout: 1, up: true }).collect();
        let mut world = Self {
            bug,
            random: seed.wrapping_mul(0x2545_f491_4f6c_dd1d),
            now: 0,
            events: BTreeMap::new(),
            scheduled: 0,
            peers,
            layout: 1,
            running: BTreeMap::new(),
            started: 0,
            last: [None; CLIENTS],
            history: Vec::new(),
            finished: 0,
            quiet_until: 0,
            at_rest: None,
            forgotten: 0,
        };
        for client in 0..CLIENTS {
            world.after(1, 20, Event::Next { client });
        }
        world.after(1, 200, Event::Crash);
        world.after(100, 6000, Event::Reconfigure);
        world.after(1, 100, Event::Collect);
        world
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    /// Schedules `event` in `from..from + spread` ms.
    fn after(&mut self, from: u64, spread: u64, event: Event) {
        let at = self.now + from + self.below(spread);
        self.scheduled += 1;
        self.events.insert((at, self.scheduled), event);
    }

    /// A message on its way: lost, late or twice, perhaps.
    fn travel(&mut self, make: impl Fn() -> Event) {
        let copies = match self.below(20) {
            0..2 => 0,
            2..4 => 2,
            _ => 1,
        };
        for _ in 0..copies {
            let spread = if self.below(10) == 0 { 300 } else { 15 };
            self.after(1, spread, make());
        }
    }

    fn run(&mut self) {
        while let Some(((at, _), event)) = self.events.pop_first() {
            self.now = at;
            self.step(event);
            if self.finished >= OPS && self.running.is_empty() {
                return;
            }
        }
    }

    fn step(&mut self, event: Event) {
        match event {
            Event::Request { op, step, layout, to, what } => self.request(op, step, layout, to, &what),
            Event::Reply { op, step, from, what } => {
                let Some(running) = self.running.get_mut(&op) else { return };
                let actions = match what {
                    Some(reply) => running.proposal.on_reply(step, id(from), reply),
                    None => running.proposal.on_failure(step, id(from)),
                };
                self.act(op, actions);
            }
            Event::Retry { op } => {
                let Some(running) = self.running.get_mut(&op) else { return };
                let actions = running.proposal.on_retry();
                self.act(op, actions);
            }
            Event::GiveUp { op } => {
                let doubt = self.running.get(&op).map(|running| running.proposal.in_doubt());
                match doubt {
                    Some(true) => self.end(op, Err(Failure::Unknown)),
                    Some(false) => self.end(op, Err(Failure::Contended { rounds: 0 })),
                    None => {}
                }
            }
            Event::Next { client } => self.next(client),
            Event::Crash => {
                let peer = self.below(PEERS as u64) as usize;
                if self.peers[peer].up {
                    self.peers[peer].up = false;
                    // Mostly so short that messages sent before meet the restarted peer.
                    let spread = if self.below(6) == 0 { 300 } else { 5 };
                    self.after(1, spread, Event::Restart { peer });
                }
                self.after(1, 40, Event::Crash);
            }
            Event::Restart { peer } => {
                self.peers[peer].up = true;
                if self.bug == Bug::ForgottenPromise
                    && let Some(entry) = &mut self.peers[peer].durable
                {
                    entry.promised = entry.accepted;
                }
            }
            Event::Reconfigure => self.reconfigure(),
            Event::Collect => {
                self.collect();
                self.after(20, 80, Event::Collect);
            }
            Event::Forget { layout, to, ballot } => {
                if self.peers[to].up && self.peers[to].layout == layout {
                    self.handle(to, &RegisterOp::Forget { ballot });
                }
            }
        }
    }

    /// What the acceptor of a peer answers, and keeps.
    fn handle(&mut self, to: usize, op: &RegisterOp) -> RegisterReply {
        let keeps_no_horizon = self.bug == Bug::NoHorizon;
        let peer = &mut self.peers[to];
        let key = RegisterKey::Object("b/k".parse().unwrap());
        let (reply, change) = Acceptor::handle(peer.durable.as_ref(), peer.horizon, &key, op);
        match change {
            Some(Change::Keep(entry)) => peer.durable = Some(entry),
            Some(Change::Forget { horizon }) => {
                peer.durable = None;
                peer.horizon = if keeps_no_horizon { Ballot::ZERO } else { horizon };
                self.forgotten += 1;
            }
            None => {}
        }
        reply
    }

    /// Has the acceptors of a settled layout forget a removal that all of them
    /// have held at one ballot for long enough.
    fn collect(&mut self) {
        let groups = groups(self.layout);
        let [group] = &groups[..] else { return };
        let (acceptors, others): (Vec<usize>, Vec<usize>) = (0..PEERS).partition(|peer| group.contains(&id(*peer)));
        for peer in others {
            // One that is no acceptor any more, or not yet.
            self.peers[peer].durable = None;
        }
        let asks_all = self.bug != Bug::ForgetsUnasked;
        let mut held = acceptors.iter().map(|peer| &self.peers[*peer]).map(|peer| {
            let is_there = peer.up && peer.layout == self.layout;
            removal(peer.durable.as_ref()).filter(|_| is_there || !asks_all)
        });
        let first = held.next().flatten();
        let Some(ballot) = first.filter(|first| !asks_all || held.all(|other| other == Some(*first))) else {
            return;
        };
        let since = self.at_rest.filter(|(known, _)| *known == ballot).map_or(self.now, |(_, since)| since);
        self.at_rest = Some((ballot, since));
        if since + REST_MS > self.now && self.bug != Bug::ForgetsAtOnce {
            return;
        }
        let layout = self.layout;
        for to in acceptors {
            self.travel(|| Event::Forget { layout, to, ballot });
        }
    }

    fn request(&mut self, op: usize, step: u32, layout: u32, to: usize, what: &RegisterOp) {
        let peer = &mut self.peers[to];
        if !peer.up {
            return;
        }
        let reply = if layout < peer.layout && self.bug != Bug::NoJointLayout {
            None
        } else {
            peer.layout = peer.layout.max(layout);
            Some(self.handle(to, what))
        };
        self.travel(|| Event::Reply { op, step, from: to, what: reply.clone() });
    }

    fn next(&mut self, client: usize) {
        if self.started >= OPS {
            return;
        }
        if self.now < self.quiet_until {
            return self.after(self.quiet_until - self.now, 20, Event::Next { client });
        }
        let new = self.started as u64 + 1;
        let want = match self.below(7) {
            0 | 1 => Want::Read,
            2 | 3 => Want::Write(new),
            4 => Want::Remove(REMOVED | new),
            _ => Want::Swap { expected: self.last[client], new },
        };
        // A client may not have heard of the newest layout.
        let layout = if self.below(8) == 0 { self.layout.saturating_sub(1).max(1) } else { self.layout };
        self.propose(Some(client), layout, want);
    }

    fn propose(&mut self, client: Option<usize>, layout: u32, want: Want) {
        let change: Decide = match want {
            Want::Read | Want::Settle => Box::new(|_| Decision::Leave),
            Want::Write(new) | Want::Remove(new) => Box::new(move |current| Decision::Write(encode(current, new))),
            Want::Swap { expected, new } => Box::new(move |current| {
                if decode(current) == expected { Decision::Write(encode(current, new)) } else { Decision::Refuse }
            }),
        };
        let op = self.started;
        self.started += 1;
        // Two clients share a peer, and so its ballots.
        let me = id(client.map_or(4, |client| client % 3));
        let mut proposal = Proposal::new(me, groups(layout), self.below(u64::MAX), change);
        if self.bug == Bug::QuorumOfOne {
            proposal = proposal.with_quorums_of_one();
        }
        if self.bug == Bug::ReadsTheNewest {
            proposal = proposal.that_reads_the_newest_answer();
        }
        // Reads of both kinds, and swaps that ask first, too.
        if !matches!(want, Want::Write(_) | Want::Remove(_)) && self.below(4) > 0 {
            proposal = proposal.asking();
        }
        if matches!(want, Want::Swap { .. }) {
            proposal = proposal.asking_again();
        }
        proposal = match self.bug {
            Bug::RemembersAll => proposal.telling(remembers_all),
            Bug::BuriesTooEarly => proposal.telling(is_built_on).that_buries_too_early(),
            _ => proposal.telling(is_built_on),
        };
        let actions = proposal.start();
        self.running.insert(op, Running { client, layout, invoked: self.now, want, proposal });
        self.after(GIVE_UP_MS, 100, Event::GiveUp { op });
        self.act(op, actions);
    }

    fn act(&mut self, op: usize, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Send { step, to, op: what } => {
                    let Some(to) = (0..PEERS).find(|peer| id(*peer) == to) else { continue };
                    let layout = self.running.get(&op).map_or(0, |running| running.layout);
                    self.travel(|| Event::Request { op, step, layout, to, what: what.clone() });
                    self.after(TIMEOUT_MS, 10, Event::Reply { op, step, from: to, what: None });
                }
                Action::Retry { after_ms } => self.after(after_ms, 1, Event::Retry { op }),
                Action::Done(outcome) => self.end(op, Ok((decode(outcome.value.as_ref()), outcome.ending))),
                Action::Failed(failure) => self.end(op, Err(failure)),
            }
        }
    }

    fn end(&mut self, op: usize, result: Result<(Value, Ending), Failure>) {
        let Some(Running { client, invoked, want, .. }) = self.running.remove(&op) else { return };
        self.finished += 1;
        let known = match result {
            Ok((saw, ending)) => {
                let kind = match (want, ending) {
                    (Want::Write(new), _) => Kind::Write { new },
                    (Want::Remove(_), _) => Kind::Remove { was_there: None },
                    (Want::Swap { expected, new }, Ending::Written) => Kind::Swap { expected, new },
                    (Want::Swap { expected, .. }, _) => Kind::Refused { expected, saw },
                    (Want::Read | Want::Settle, _) => Kind::Read { saw },
                };
                if let Some(client) = client {
                    self.last[client] = saw;
                }
                Some((Some(self.now), kind))
            }
            Err(Failure::Unknown) => match want {
                Want::Write(new) => Some((None, Kind::Write { new })),
                Want::Remove(_) => Some((None, Kind::Remove { was_there: None })),
                Want::Swap { expected, new } => Some((None, Kind::Swap { expected, new })),
                Want::Read | Want::Settle => None,
            },
            // Certainly not written: as if it had never been asked.
            Err(Failure::NoQuorum { .. } | Failure::Contended { .. }) => None,
        };
        if let Some((returned, kind)) = known {
            self.history.push(Op { invoked, returned, kind });
        }
        if matches!(want, Want::Remove(_)) && self.below(3) == 0 {
            self.quiet_until = self.now + PAUSE_MS;
        }
        match (client, want, result) {
            (Some(client), ..) => self.after(1, 60, Event::Next { client }),
            (None, Want::Settle, Ok(_)) => self.layout = 3,
            (None, ..) => self.after(10, 50, Event::Reconfigure),
        }
    }

    /// One step towards the new layout: fence the old one at a majority of
    /// its members, carry the value over with an identity round, settle.
    fn reconfigure(&mut self) {
        if self.bug == Bug::NoJointLayout {
            self.layout = 3;
            return;
        }
        self.layout = self.layout.max(2);
        for peer in self.peers.iter_mut().take(3).filter(|peer| peer.up) {
            peer.layout = peer.layout.max(2);
        }
        if self.peers.iter().take(3).filter(|peer| peer.layout >= 2).count() >= 2 {
            self.propose(None, 2, Want::Settle);
        } else {
            self.after(10, 50, Event::Reconfigure);
        }
    }
}

fn run(seed: u64, bug: Bug) -> World {
    let mut world = World::new(seed, bug);
    world.run();
    world
}

/// The first of `seeds` whose history no register could have shown.
fn first_bad(bug: Bug, seeds: u64) -> Option<u64> {
    (0..seeds).find(|seed| !is_linearizable(&run(*seed, bug).history))
}

#[test]
fn every_history_is_linearizable_whatever_is_lost_doubled_or_restarted() {
    let (mut ended, mut unknown, mut settled, mut forgotten) = (0, 0, 0, 0);
    for seed in 0..600 {
        let world = run(seed, Bug::None);
        assert!(is_linearizable(&world.history), "seed {seed}: {:#?}", world.history);
        ended += world.history.iter().filter(|op| op.returned.is_some()).count();
        unknown += world.history.iter().filter(|op| op.returned.is_none()).count();
        settled += usize::from(world.layout == 3);
        forgotten += world.forgotten;
    }
    // The faults must bite, and still most of the work must get done.
    assert!(ended > 600 * OPS / 2, "{ended} ended");
    assert!(unknown > 600, "{unknown} of unknown end");
    assert!(settled > 300, "{settled} layouts settled");
    assert!(forgotten > 400, "{forgotten} removals forgotten");
}

#[test]
fn a_seed_replays_to_the_same_history() {
    let history = |seed| format!("{:?}", run(seed, Bug::None).history);
    assert_eq!(history(7), history(7));
    assert_ne!(history(7), history(8));
}

#[test]
fn a_quorum_of_one_is_caught() {
    assert!(first_bad(Bug::QuorumOfOne, 50).is_some());
}

#[test]
fn an_acceptor_that_forgets_its_promise_is_caught() {
    assert!(first_bad(Bug::ForgottenPromise, 2000).is_some());
}

#[test]
fn reading_what_no_quorum_is_known_to_hold_is_caught() {
    assert!(first_bad(Bug::ReadsTheNewest, 200).is_some());
}

#[test]
fn leaving_out_the_joint_layout_is_caught() {
    assert!(first_bad(Bug::NoJointLayout, 50).is_some());
}

#[test]
fn forgetting_a_removal_that_others_have_not_heard_of_is_caught() {
    assert!(first_bad(Bug::ForgetsUnasked, 600).is_some());
}

#[test]
fn forgetting_a_removal_while_older_operations_are_under_way_is_caught() {
    assert!(first_bad(Bug::ForgetsAtOnce, 600).is_some());
}

#[test]
fn forgetting_what_was_promised_is_caught() {
    assert!(first_bad(Bug::NoHorizon, 2000).is_some());
}

#[test]
fn telling_that_a_value_was_not_written_before_something_newer_is_chosen_is_caught() {
    assert!(first_bad(Bug::BuriesTooEarly, 600).is_some());
}

#[test]
fn telling_that_a_value_was_not_written_since_nobody_remembers_it_is_caught() {
    assert!(first_bad(Bug::RemembersAll, 600).is_some());
}
