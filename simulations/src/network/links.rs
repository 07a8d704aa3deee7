//! Links: made by a dial, seen by each end for itself.

mod table;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use futures::channel::oneshot;
use shoal_ports::Inbound;

use super::Packet;
use super::path::Kind;
use crate::heap::EventKey;
use crate::host::HostId;
use crate::world::{Event, State, World};
use table::Table;

/// Gossip frames kept for a peer that is being dialled.
const PARKED_MAX: usize = 8;

/// How long a peer rests after a dial that failed, at first and at most.
const REST_MIN: Duration = Duration::from_millis(100);
const REST_MAX: Duration = Duration::from_secs(3);

/// Which of the links between two hosts, over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Epoch(u64);

type Pair = (HostId, HostId);

#[derive(Default)]
pub(crate) struct Links {
    links: Table<Link>,
    epochs: u64,
    dials: BTreeMap<Pair, Dial>,
    dialled: u64,
}

struct Link {
    epoch: Epoch,
    /// The life of each end, in the order of the pair.
    lives: [u64; 2],
    /// Whether each end holds it to be up.
    up: [bool; 2],
    /// Whether each end has given it up: then it never takes it up again.
    over: [bool; 2],
}

/// From one host (first) to another; not a sorted pair.
#[derive(Default)]
struct Dial {
    /// Its number, and when it will have waited long enough.
    under_way: Option<(u64, EventKey)>,
    rests_until: Duration,
    failures: u32,
    parked: Vec<Bytes>,
    waiting: Vec<oneshot::Sender<Result<Epoch, String>>>,
}

fn side(of: HostId, other: HostId) -> usize {
    usize::from(of > other)
}

impl Links {
    /// The link from `of` to `other`, as `of` sees it.
    pub(crate) fn up(&self, of: HostId, other: HostId) -> Option<Epoch> {
        self.links.get(of, other).filter(|link| link.up[side(of, other)]).map(|link| link.epoch)
    }

    fn is(&self, of: HostId, other: HostId, epoch: Epoch) -> bool {
        self.links.get(of, other).is_some_and(|link| link.epoch == epoch)
    }

    /// Everyone to whom `of` holds a link to be up.
    pub(crate) fn of(&self, of: HostId) -> Vec<(HostId, Epoch)> {
        let links = self.links.of(of).filter(|(other, link)| link.up[side(of, *other)]);
        links.map(|(other, link)| (other, link.epoch)).collect()
    }

    /// The links of one host of which at least one end holds it to be up.
    pub(crate) fn at(&self, host: HostId) -> impl Iterator<Item = (HostId, Epoch)> {
        self.links.of(host).map(|(other, link)| (other, link.epoch))
    }

    /// All pairs of which at least one end holds the link to be up.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (HostId, HostId, Epoch)> {
        self.links.iter().map(|((a, b), link)| (a, b, link.epoch))
    }

    /// This end does not hold it to be up any more; whether it did.
    fn down(&mut self, of: HostId, other: HostId, epoch: Epoch) -> bool {
        let Some(link) = self.links.get_mut(of, other).filter(|link| link.epoch == epoch) else {
            return false;
        };
        let was = std::mem::take(&mut link.up[side(of, other)]);
        link.over[side(of, other)] |= was;
        if link.up == [false, false] {
            self.links.remove(of, other);
        }
        was
    }
}

impl World {
    /// A link from one host's peer to another's, dialled if there is none.
    pub(crate) async fn link(&self, from: HostId, to: HostId) -> Result<Epoch, String> {
        let waiting = {
            let mut state = self.state();
            if let Some(epoch) = state.network.links.up(from, to) {
                return Ok(epoch);
            }
            state.start_dial(self.seed(), from, to)?;
            let (done, waiting) = oneshot::channel();
            if let Some(dial) = state.network.links.dials.get_mut(&(from, to)) {
                dial.waiting.push(done);
            }
            waiting
        };
        waiting.await.unwrap_or_else(|_| Err("the dial was given up".into()))
    }

    /// Sends gossip; without a link it is kept for a moment while one is made.
    pub(crate) fn gossip(&self, from: HostId, to: HostId, frame: Bytes) {
        let mut state = self.state();
        match state.network.links.up(from, to) {
            Some(epoch) => state.send(self.seed(), from, to, Kind::Gossip, 1, Packet::Gossip { from, epoch, frame }),
            None => {
                if state.start_dial(self.seed(), from, to).is_ok()
                    && let Some(dial) = state.network.links.dials.get_mut(&(from, to))
                    && dial.parked.len() < PARKED_MAX
                {
                    dial.parked.push(frame);
                }
            }
        }
    }

    pub(crate) fn dial(&self, from: HostId, to: HostId) {
        let mut state = self.state();
        if state.network.links.up(from, to).is_none() {
            // One that rests is tried again when it is asked for again.
            let _ = state.start_dial(self.seed(), from, to);
        }
    }

    /// Closes a link; the other end hears of it if it can.
    pub(crate) fn close_link(&self, from: HostId, to: HostId) {
        let epoch = {
            let mut state = self.state();
            let Some(epoch) = state.network.links.up(from, to) else {
                return;
            };
            state.send(self.seed(), from, to, Kind::Signal, 1, Packet::Close { from, epoch });
            state.watch_silence(to, from, epoch);
            epoch
        };
        self.link_down(from, to, epoch);
    }

    pub(super) fn connect_arrives(&self, at: HostId, from: HostId, incarnation: u64) {
        let replaced = {
            let mut state = self.state();
            if !state.hosts[at.index()].is_up() {
                if state.hosts[at.index()].refuses() {
                    state.send(self.seed(), at, from, Kind::Signal, 1, Packet::Refuse { from: at });
                }
                return;
            }
            let secrets = |host: HostId| state.hosts[host.index()].running.as_ref().map(|running| &running.secrets);
            if let (Some(ours), Some(theirs)) = (secrets(at), secrets(from))
                && !ours.admitting().any(|secret| theirs.admitting().any(|other| other == secret))
            {
                state.send(self.seed(), at, from, Kind::Signal, 1, Packet::Refuse { from: at });
                return;
            }
            let ours = state.hosts[at.index()].incarnations;
            let existing = state.network.links.links.get(at, from).map(|link| {
                let same = link.lives[side(from, at)] == incarnation && link.lives[side(at, from)] == ours;
                (link.epoch, same && link.up == [true, true])
            });
            match existing {
                Some((epoch, true)) => {
                    state.send(self.seed(), at, from, Kind::Signal, 1, Packet::Accept { from: at, epoch });
                    return;
                }
                Some((epoch, false)) => Some(epoch),
                None => None,
            }
        };
        // Either end may hold the old one to be up, where dials were late or crossed.
        if let Some(epoch) = replaced {
            self.link_down(at, from, epoch);
            self.link_down(from, at, epoch);
        }
        let mut state = self.state();
        let ours = state.hosts[at.index()].incarnations;
        state.network.links.epochs += 1;
        let epoch = Epoch(state.network.links.epochs);
        let mut lives = [0; 2];
        lives[side(from, at)] = incarnation;
        lives[side(at, from)] = ours;
        let link = Link { epoch, lives, up: [false, false], over: [false, false] };
        state.network.links.links.insert(at, from, link);
        state.send(self.seed(), at, from, Kind::Signal, 1, Packet::Accept { from: at, epoch });
    }

    pub(super) fn accept_arrives(&self, at: HostId, from: HostId, epoch: Epoch) {
        {
            let mut state = self.state();
            if state.network.links.is(at, from, epoch) {
                state.send(self.seed(), at, from, Kind::Signal, 1, Packet::Confirm { from: at, epoch });
            }
        }
        self.link_up(at, from, epoch);
        let dial = self.state().end_dial(at, from);
        for waiting in dial.into_iter().flat_map(|dial| dial.waiting) {
            let _ = waiting.send(Ok(epoch));
        }
    }

    /// This end holds the link to be up from now on, if it is the present one.
    pub(super) fn link_up(&self, at: HostId, from: HostId, epoch: Epoch) -> bool {
        let (inbound, info, parked) = {
            let mut state = self.state();
            let lives = [at, from].map(|host| state.hosts[host.index()].running.as_ref().map(|r| r.incarnation.number));
            let Some(link) = state.network.links.links.get_mut(at, from).filter(|link| link.epoch == epoch) else {
                return false;
            };
            if lives[0] != Some(link.lives[side(at, from)]) {
                return false;
            }
            if link.up[side(at, from)] {
                return true;
            }
            if link.over[side(at, from)] {
                // As the kernel does for a connection that it does not know.
                state.send(self.seed(), at, from, Kind::Signal, 1, Packet::Close { from: at, epoch });
                return false;
            }
            // Of a peer that died in the middle of it, nothing more is heard.
            if lives[1] != Some(link.lives[side(from, at)]) {
                return false;
            }
            link.up[side(at, from)] = true;
            let parked = state.network.links.dials.get_mut(&(at, from)).map(|dial| std::mem::take(&mut dial.parked));
            let info = state.hosts[from.index()].running.as_ref().map(|running| running.info.clone());
            (state.hosts[at.index()].inbound(), info, parked)
        };
        if let Some(info) = info {
            self.inform(at, inbound, Inbound::Up { peer: info.id, info });
        }
        for frame in parked.into_iter().flatten() {
            self.gossip(at, from, frame);
        }
        true
    }

    /// This end does not hold the link to be up any more: what was under way
    /// on it fails here.
    pub(crate) fn link_down(&self, at: HostId, other: HostId, epoch: Epoch) {
        let (inbound, peer) = {
            let mut state = self.state();
            if !state.network.links.down(at, other, epoch) {
                return;
            }
            state.network.calls.fail(at, other, epoch);
            state.network.pipes.break_at(at, other, epoch);
            (state.hosts[at.index()].inbound(), state.hosts[other.index()].id)
        };
        self.inform(at, inbound, Inbound::Down { peer });
    }

    pub(super) fn dial_failed(&self, at: HostId, to: HostId, dial: Option<u64>, why: &str) {
        let waiting = {
            let mut state = self.state();
            let now = state.heap.now();
            let Some(found) = state.network.links.dials.get_mut(&(at, to)) else {
                return;
            };
            let Some((_, over)) = found.under_way.take_if(|(number, _)| dial.is_none_or(|dial| *number == dial)) else {
                return;
            };
            found.rests_until = now + (REST_MIN * 2u32.saturating_pow(found.failures.min(8))).min(REST_MAX);
            found.failures += 1;
            found.parked.clear();
            let waiting = std::mem::take(&mut found.waiting);
            state.heap.cancel(over);
            waiting
        };
        for waiting in waiting {
            let _ = waiting.send(Err(why.into()));
        }
    }

    pub(super) fn silence_arrives(&self, at: HostId, other: HostId, epoch: Epoch) {
        let broken = {
            let state = self.state();
            match state.network.links.links.get(at, other).filter(|link| link.epoch == epoch) {
                Some(link) => {
                    let gone = !state.hosts[other.index()].lives(link.lives[side(other, at)]);
                    gone || !link.up[side(other, at)]
                        || state.network.is_blocked(at, other)
                        || state.network.is_blocked(other, at)
                }
                None => false,
            }
        };
        if broken {
            self.link_down(at, other, epoch);
        }
    }
}

impl State {
    fn start_dial(&mut self, seed: u64, from: HostId, to: HostId) -> Result<(), String> {
        let now = self.heap.now();
        if !self.hosts[from.index()].known.contains(&to) {
            return Err("no address of it is known".into());
        }
        let Some(running) = &self.hosts[from.index()].running else {
            return Err("this peer is down".into());
        };
        let incarnation = running.incarnation.number;
        let links = &mut self.network.links;
        let dial = links.dials.entry((from, to)).or_default();
        if dial.under_way.is_some() {
            return Ok(());
        }
        if dial.rests_until > now {
            return Err("it did not answer a moment ago".into());
        }
        links.dialled += 1;
        let over = Packet::DialOver { to, dial: links.dialled };
        let over = self.heap.push(self.network.config.connect, Event::Arrive { at: from, packet: over });
        dial.under_way = Some((links.dialled, over));
        self.send(seed, from, to, Kind::Signal, 1, Packet::Connect { from, incarnation });
        Ok(())
    }

    /// Has `at` look whether its link to `other` is of any use, after a while.
    pub(crate) fn watch_silence(&mut self, at: HostId, other: HostId, epoch: Epoch) {
        let silence = self.network.config.silence;
        self.heap.push(silence, Event::Arrive { at, packet: Packet::Silence { other, epoch } });
    }

    /// A dial is not wanted any more, however it went.
    fn end_dial(&mut self, from: HostId, to: HostId) -> Option<Dial> {
        let dial = self.network.links.dials.remove(&(from, to))?;
        if let Some((_, over)) = dial.under_way {
            self.heap.cancel(over);
        }
        Some(dial)
    }

    /// All that a host dialled is forgotten with it.
    pub(crate) fn forget_dials(&mut self, from: HostId) {
        let all = (from, HostId(0))..=(from, HostId(u32::MAX));
        let theirs: Vec<Pair> = self.network.links.dials.range(all).map(|(key, _)| *key).collect();
        for (from, to) in theirs {
            self.end_dial(from, to);
        }
    }
}
