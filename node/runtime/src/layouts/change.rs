//! Who should be in the next layout.

use std::collections::BTreeMap;
use std::time::Duration;

use shoal_types::{Health, Layout, Member, MeshId, PeerId, PeerInfo};

use super::member_of;
use crate::config::PeerConfig;
use crate::members::{MemberEntry, MemberTable};

/// A newcomer is taken in once it has been there for so long: of many that
/// come at once, few versions are made.
const SETTLE: Duration = Duration::from_millis(300);

/// What the next layout depends on.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) layout: &'a Layout,
    pub(super) members: &'a MemberTable,
    /// Peers that belong to another mesh.
    pub(super) foreign: &'a BTreeMap<PeerId, MeshId>,
    pub(super) config: &'a PeerConfig,
    pub(super) now: Duration,
    /// When this peer started.
    pub(super) started: Duration,
}

/// Whether a settled layout should be followed by another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    Change,
    /// No, and if nothing changes not before that moment, or ever.
    NotBefore(Option<Duration>),
}

/// What is to become of a member of the layout.
struct Fate<'a> {
    /// When it leaves.
    leaves: Option<Duration>,
    /// What it says of itself now.
    says: Option<&'a PeerInfo>,
}

impl<'a> View<'a> {
    /// Whether anything is to change: peers that came are in, peers dead for
    /// longer than the repair delay are out, and what peers say of their zone
    /// and weight holds.
    pub(super) fn wanted(&self) -> Wanted {
        let mut moments = Vec::new();
        for (member, entry) in self.members.beside(&self.layout.members) {
            let fate = self.fate(member, entry);
            if fate.says.is_some_and(|info| !is_member_of(info, member)) {
                return Wanted::Change;
            }
            moments.extend(fate.leaves);
        }
        moments.extend(self.newcomers().map(|(_, moment)| moment));
        match moments.into_iter().min() {
            Some(moment) if moment <= self.now => Wanted::Change,
            moment => Wanted::NotBefore(moment),
        }
    }

    /// The joint layout that should follow, if any should.
    pub(super) fn next(&self) -> Option<Layout> {
        let mut wanted: Vec<Member> = Vec::new();
        for (member, entry) in self.members.beside(&self.layout.members) {
            let fate = self.fate(member, entry);
            if fate.leaves.is_none_or(|moment| moment > self.now) {
                wanted.push(fate.says.map_or_else(|| member.clone(), member_of));
            }
        }
        wanted.extend(self.newcomers().filter(|(_, moment)| *moment <= self.now).map(|(info, _)| member_of(info)));
        wanted.sort_by_key(|member| member.id);
        (wanted != self.layout.members).then(|| self.layout.replaced_by(wanted))
    }

    fn fate(&self, member: &Member, entry: Option<&'a MemberEntry>) -> Fate<'a> {
        if member.id == self.config.info.id {
            return Fate { leaves: None, says: Some(&self.config.info) };
        }
        let delay = self.config.timing.repair_delay;
        match entry {
            // Never seen since we started: its patience runs from then.
            None => Fate { leaves: Some(self.started + delay), says: None },
            Some(entry) => {
                let gone = matches!(entry.health, Health::Dead | Health::Leaving);
                Fate { leaves: gone.then(|| entry.since + delay), says: entry.info.as_deref().filter(|_| entry.linked) }
            }
        }
    }

    /// Peers to be taken in, each with the moment from which it is.
    fn newcomers(&self) -> impl Iterator<Item = (&'a PeerInfo, Duration)> {
        let members = &self.layout.members;
        self.members.live().filter(|(_, entry)| entry.health == Health::Alive).filter_map(move |(peer, entry)| {
            let is_new = members.binary_search_by_key(&peer, |member| member.id).is_err();
            let info = entry.info.as_deref().filter(|_| is_new && !self.foreign.contains_key(&peer))?;
            Some((info, entry.since + SETTLE))
        })
    }
}

/// Whether a member is what a peer says of itself.
fn is_member_of(info: &PeerInfo, member: &Member) -> bool {
    member.weight == info.weight && member.name == info.name && member.zone == info.zone
}

/// How many live members come before `me` in proposing a change; no more than
/// `most` are counted.
pub(super) fn turn(layout: &Layout, me: PeerId, members: &MemberTable, most: u64) -> u64 {
    let present = &layout.members;
    let is_present = |peer| present.binary_search_by_key(&peer, |member| member.id).is_ok();
    let previous = layout.previous.iter().flatten().map(|member| member.id).filter(|peer| !is_present(*peer));
    let everyone = present.iter().map(|member| member.id).chain(previous);
    let before = everyone.filter(|peer| *peer < me && members.is_live(*peer));
    before.take(most as usize).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(n: u8) -> PeerInfo {
        PeerInfo {
            id: PeerId::from_bytes([n; 32]),
            name: format!("peer-{n}"),
            zone: "here".into(),
            weight: 100,
            addresses: vec![],
            version: "0".into(),
            incarnation: 1,
            machine: 1,
            pid: 1,
            slots: 2,
            gateway: None,
        }
    }

    fn entry(n: u8, health: Health, since: Duration) -> MemberEntry {
        MemberEntry {
            addresses: [].into(),
            incarnation: 1,
            info: Some(info(n).into()),
            health,
            linked: health == Health::Alive,
            since,
        }
    }

    fn check(others: &[(u8, Health)], now_s: u64, expected: Option<&[u8]>) {
        let ids = [1u8, 2, 3];
        let layout = Layout {
            mesh: MeshId::from_bytes([0; 16]),
            version: 4,
            members: ids.iter().map(|n| member_of(&info(*n))).collect(),
            previous: None,
        };
        let entries = others.iter().map(|(n, health)| (info(*n).id, entry(*n, *health, Duration::ZERO))).collect();
        let table = MemberTable { entries, refusals: vec![] };
        let view = View {
            layout: &layout,
            members: &table,
            foreign: &BTreeMap::new(),
            config: &PeerConfig::new(info(1)),
            now: Duration::from_secs(now_s),
            started: Duration::ZERO,
        };
        let next = view.next();
        match view.wanted() {
            Wanted::Change => assert!(next.is_some()),
            Wanted::NotBefore(moment) => {
                assert!(next.is_none());
                // Nothing is missed before that moment, and something happens then.
                let at = |now| View { now, ..view }.next().is_some();
                let moments = (now_s..now_s + 200).map(Duration::from_secs);
                assert_eq!(moments.into_iter().find(|now| at(*now)), moment);
            }
        }
        let members: Option<Vec<u8>> =
            next.map(|next| next.members.iter().map(|member| member.id.as_bytes()[0]).collect());
        assert_eq!(members.as_deref(), expected);
    }

    #[test]
    fn nothing_changes_while_everyone_is_there() {
        check(&[(2, Health::Alive), (3, Health::Alive)], 1000, None);
    }

    #[test]
    fn a_newcomer_is_taken_in() {
        check(&[(2, Health::Alive), (3, Health::Alive), (4, Health::Alive)], 1, Some(&[1, 2, 3, 4]));
    }

    #[test]
    fn the_dead_stay_for_the_repair_delay_and_then_go() {
        check(&[(2, Health::Alive), (3, Health::Dead)], 30, None);
        check(&[(2, Health::Alive), (3, Health::Dead)], 61, Some(&[1, 2]));
        check(&[(2, Health::Alive)], 30, None);
        check(&[(2, Health::Alive)], 61, Some(&[1, 2]));
    }

    #[test]
    fn the_smallest_live_members_come_first() {
        let layout = Layout {
            mesh: MeshId::from_bytes([0; 16]),
            version: 4,
            members: [1u8, 3, 5].iter().map(|n| member_of(&info(*n))).collect(),
            previous: Some([2u8, 3, 4].iter().map(|n| member_of(&info(*n))).collect()),
        };
        let health = |n| if n == 3 { Health::Dead } else { Health::Alive };
        let entries = (1..=5).map(|n| (info(n).id, entry(n, health(n), Duration::ZERO))).collect();
        let members = MemberTable { entries, refusals: vec![] };
        let turns: Vec<u64> = (1..=5).map(|n| turn(&layout, info(n).id, &members, 9)).collect();
        assert_eq!(turns, [0, 1, 2, 2, 3]);
        assert_eq!(turn(&layout, info(5).id, &members, 2), 2);
    }
}
