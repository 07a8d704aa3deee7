//! The failure detector, told anything by its members.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use shoal_membership::{AHEAD_MS_MAX, Action, Identity, Swim, SwimConfig, Timer};
use shoal_types::{PeerId, PeerInfo};

use crate::script::{Script, with_length};

/// When all of it happens, by everybody's wall clock.
const NOW_MS: u64 = 1_800_000_000_000;

/// Peers of a mesh that knows itself before anything is said.
const PEERS: u8 = 4;

const MEMBERS_MAX: usize = 40;

const PACKET_BYTES_MAX: usize = 2_000;

/// A packet may go past its bound by one member: with its id, its numbers, and
/// as many addresses as it may have.
const MEMBER_BYTES_MAX: usize = 64 + PeerInfo::ADDRESSES_MAX * 514;

/// A member in a packet has no fewer bytes.
const MEMBER_BYTES_MIN: usize = 36;

/// Timers that are remembered, to be due in any order.
const TIMERS_MAX: usize = 64;

fn identity(n: u8) -> Identity {
    let addresses = [format!("10.0.0.{n}:7000")].into();
    Identity { peer: PeerId::from_bytes([n; 32]), incarnation: NOW_MS - 1_000, addresses }
}

fn number(peer: PeerId) -> u8 {
    peer.as_bytes()[0]
}

/// Peers that have met, and what peer 0 was sent until then.
struct Mesh {
    peers: Vec<Swim>,
    timers: Vec<Timer>,
    heard: Vec<(u8, Bytes)>,
}

impl Mesh {
    fn new() -> Self {
        let config =
            SwimConfig { members_max: MEMBERS_MAX, packet_bytes_max: PACKET_BYTES_MAX, ..SwimConfig::default() };
        let peer = |n| {
            let mut swim = Swim::new(identity(n), &config, u64::from(n));
            swim.believe_at(NOW_MS);
            swim
        };
        let mut mesh = Self { peers: (0..PEERS).map(peer).collect(), timers: Vec::new(), heard: Vec::new() };
        for n in 1..PEERS {
            let actions = mesh.peers[usize::from(n)].announce(identity(0));
            mesh.perform(n, actions);
        }
        mesh
    }

    /// Timers of peer 0 run: it probes, gossips and compares.
    fn later(&mut self) {
        for timer in std::mem::take(&mut self.timers) {
            let actions = self.peers[0].timer(timer, Duration::ZERO);
            self.perform(0, actions);
        }
    }

    fn perform(&mut self, from: u8, actions: Vec<Action>) {
        let mut sent = VecDeque::from([(from, actions)]);
        while let Some((from, actions)) = sent.pop_front() {
            for action in actions {
                match action {
                    Action::Send { to, packet } if number(to) < PEERS => {
                        if number(to) == 0 {
                            self.heard.push((from, packet.clone()));
                        }
                        let answer = self.peers[usize::from(number(to))].packet(identity(from).peer, &packet);
                        sent.push_back((number(to), answer));
                    }
                    Action::After { timer, .. } if from == 0 => self.timers.push(timer),
                    _ => {}
                }
            }
        }
    }
}

pub(crate) fn run(bytes: &[u8]) {
    let Mesh { mut peers, mut timers, .. } = Mesh::new();
    let mut swim = peers.swap_remove(0);
    let mut script = Script(bytes);
    let mut steps = 0;
    while let Some(actions) = step(&mut swim, &mut script, &mut timers) {
        steps += 1;
        check(&swim, bytes.len(), steps);
        assert!(actions.len() <= 64 + 8 * bytes.len() / MEMBER_BYTES_MIN, "{} actions", actions.len());
        for action in actions {
            match action {
                Action::Send { packet, .. } => {
                    assert!(packet.len() <= PACKET_BYTES_MAX + MEMBER_BYTES_MAX, "a packet of {}", packet.len());
                }
                Action::After { timer, .. } if timers.len() < TIMERS_MAX => timers.push(timer),
                _ => {}
            }
        }
    }
}

/// Something that happens to it.
fn step(swim: &mut Swim, script: &mut Script<'_>, timers: &mut Vec<Timer>) -> Option<Vec<Action>> {
    let (kind, which) = (script.byte()?, script.byte()?);
    let from = identity(which % PEERS);
    Some(match kind % 9 {
        0..=3 => swim.packet(from.peer, script.bytes()?),
        4 => swim.declared_dead(script.number()?, from),
        5 => swim.outdated(script.number()?, from),
        6 if !timers.is_empty() => {
            let timer = timers.swap_remove(usize::from(which) % timers.len());
            swim.timer(timer, Duration::from_millis(u64::from(which) * 20))
        }
        7 => swim.link_lost(from.peer),
        _ => swim.announce(from),
    })
}

fn check(swim: &Swim, bytes: usize, steps: u64) {
    let last = NOW_MS + AHEAD_MS_MAX;
    // It becomes a later one by one at a time.
    assert!(swim.identity().incarnation <= last + steps);
    assert_eq!(swim.identity().addresses, identity(0).addresses);
    let members = swim.members();
    // The packet with which it becomes full is taken whole.
    assert!(members.len() <= MEMBERS_MAX + bytes / MEMBER_BYTES_MIN, "{} members", members.len());
    for member in members {
        assert_ne!(member.identity.peer, swim.identity().peer);
        assert!(member.identity.incarnation <= last);
        assert!(member.identity.addresses.len() <= PeerInfo::ADDRESSES_MAX);
    }
}

/// What the peer hears in earnest, packet by packet and all together.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut mesh = Mesh::new();
    for _ in 0..4 {
        mesh.later();
    }
    let packet = |(from, packet): &(u8, Bytes)| [&[0, *from], &with_length(packet)[..]].concat();
    let mut seeds: Vec<Vec<u8>> = mesh.heard.iter().map(packet).collect();
    seeds.push(seeds.concat());
    for incarnation in [NOW_MS, NOW_MS + AHEAD_MS_MAX, u64::MAX] {
        let said = [4, 5].map(|kind| [&[kind, 1], &incarnation.to_le_bytes()[..]].concat());
        seeds.push([&said.concat()[..], &[7, 1, 6, 0, 6, 1]].concat());
    }
    seeds
}
