//! Who should be in the next layout.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use shoal_types::{Health, Layout, Member, PeerId, PeerInfo};

use super::Theirs;

use crate::config::PeerConfig;
use crate::members::{MemberEntry, MemberTable};
use crate::role::{is_outdated, member_of};

/// A newcomer is taken in once it has been there for so long: of many that
/// come at once, few versions are made.
const SETTLE: Duration = Duration::from_millis(300);

/// What the next layout depends on.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) layout: &'a Layout,
    /// What this peer says of itself.
    pub(super) me: &'a PeerInfo,
    pub(super) members: &'a MemberTable,
    /// Peers that belong to another mesh.
    pub(super) foreign: &'a BTreeMap<PeerId, Theirs>,
    pub(super) config: &'a PeerConfig,
    pub(super) now: Duration,
    /// When this peer started.
    pub(super) started: Duration,
}

/// What was seen at the last look at all members, kept up to date with what
/// changes about some.
pub(super) struct Outlook {
    /// Changes of the table that are in it.
    seen: u64,
    /// Members that say something else of themselves than the layout does.
    differing: BTreeSet<PeerId>,
    /// When others are to leave, or to be taken in.
    moments: BTreeMap<PeerId, Duration>,
    soonest: Option<Duration>,
}

impl Outlook {
    /// What there is to be seen, given what was seen `before` by the same layout.
    pub(super) fn after(before: Option<Self>, view: &View<'_>) -> Self {
        let seen = view.members.changes.count();
        if let Some(before) = before
            && let Some(changed) = view.members.changes.since(before.seen)
        {
            let is_same = before.seen == seen;
            let mut outlook = Self { seen, ..before };
            for peer in changed {
                outlook.enter(peer, view.wish_of(peer));
            }
            if !is_same {
                outlook.soonest = outlook.moments.values().min().copied();
            }
            return outlook;
        }
        let mut outlook = Self { seen, differing: BTreeSet::new(), moments: BTreeMap::new(), soonest: None };
        for (peer, wish) in view.wishes() {
            outlook.enter(peer, wish);
        }
        outlook.soonest = outlook.moments.values().min().copied();
        outlook
    }

    fn enter(&mut self, peer: PeerId, wish: Wish) {
        match wish {
            Wish::Differs => self.differing.insert(peer),
            Wish::Nothing | Wish::At(_) => self.differing.remove(&peer),
        };
        match wish {
            Wish::At(moment) => self.moments.insert(peer, moment),
            Wish::Nothing | Wish::Differs => self.moments.remove(&peer),
        };
    }

    /// Whether anything is to change: peers that came are in, peers dead for
    /// longer than the repair delay are out, and what peers say of their zone
    /// and weight holds.
    pub(super) fn is_change_wanted(&self, now: Duration) -> bool {
        !self.differing.is_empty() || self.soonest.is_some_and(|moment| moment <= now)
    }
}

/// What a peer is for the next layout.
enum Wish {
    Nothing,
    Differs,
    At(Duration),
}

/// What is to become of a member of the layout.
struct Fate<'a> {
    /// When it leaves.
    leaves: Option<Duration>,
    /// What it says of itself now.
    says: Option<&'a PeerInfo>,
}

impl<'a> View<'a> {
    /// What everyone is for the next layout for whom that is anything.
    fn wishes(&self) -> impl Iterator<Item = (PeerId, Wish)> {
        let members = self.members.beside(&self.layout.members);
        let members = members.map(|(member, entry)| (member.id, self.wish(member, entry)));
        members.chain(self.newcomers().map(|(info, moment)| (info.id, Wish::At(moment))))
    }

    fn wish_of(&self, peer: PeerId) -> Wish {
        let entry = self.members.entries.get(&peer);
        match self.layout.member(peer) {
            Some(member) => self.wish(member, entry),
            None => match entry.and_then(|entry| self.newcomer(peer, entry)) {
                Some((_, moment)) => Wish::At(moment),
                None => Wish::Nothing,
            },
        }
    }

    fn wish(&self, member: &Member, entry: Option<&'a MemberEntry>) -> Wish {
        let fate = self.fate(member, entry);
        match fate.leaves {
            _ if fate.says.is_some_and(|info| is_outdated(member, info)) => Wish::Differs,
            Some(moment) => Wish::At(moment),
            None => Wish::Nothing,
        }
    }

    /// The joint layout that should follow, if any should; of a joint one with
    /// others to replace the same members. Whoever sees less
    /// than a majority of those who decide has none to propose: it may be linked to
    /// acceptors that would agree and know nothing of who is there, while those
    /// whom it would drop are well and keep the data.
    pub(super) fn next(&self) -> Option<Layout> {
        if !self.sees_majority() {
            return None;
        }
        let wanted = Some(self.wanted(true)).filter(|wanted| self.can_hold(wanted));
        // Those who leave stay while nobody is there to take over.
        let wanted = wanted.or_else(|| Some(self.wanted(false)).filter(|wanted| self.can_hold(wanted)))?;
        (wanted != self.layout.members).then(|| self.layout.replaced_instead_by(wanted))
    }

    /// Who should be in the next layout, by id; those who leave only if they do not `go`.
    fn wanted(&self, go: bool) -> Vec<Member> {
        let mut wanted: Vec<Member> = Vec::new();
        for (member, entry) in self.members.beside(&self.layout.members) {
            let fate = self.fate(member, entry);
            let is_kept = !go && fate.says.is_some_and(|info| info.leaves);
            if is_kept || fate.leaves.is_none_or(|moment| moment > self.now) {
                let says = fate.says.filter(|info| is_outdated(member, info));
                wanted.push(says.map_or_else(|| member.clone(), member_of));
            }
        }
        wanted.extend(self.newcomers().filter(|(_, moment)| *moment <= self.now).map(|(info, _)| member_of(info)));
        wanted.sort_by_key(|member| member.id);
        wanted
    }

    /// Whether these can keep the data and go on deciding: most of them are
    /// there. A layout of dead members would be the last one.
    fn can_hold(&self, wanted: &[Member]) -> bool {
        let is_live = |peer| self.members.is_live(peer) && !self.foreign.contains_key(&peer);
        let is_there = |member: &&Member| member.id == self.me.id || is_live(member.id);
        let there = wanted.iter().filter(is_there);
        wanted.iter().filter(is_there).any(|member| member.weight > 0) && there.count() > wanted.len() / 2
    }

    fn sees_majority(&self) -> bool {
        let me = self.me.id;
        let deciders = self.layout.deciders();
        let members = self.members.beside(deciders);
        let is_ours = |peer| !self.foreign.contains_key(&peer);
        let seen = members.filter(|(member, entry)| {
            member.id == me || entry.is_some_and(|entry| entry.is_live() && is_ours(member.id))
        });
        seen.count() > deciders.len() / 2
    }

    fn fate(&self, member: &Member, entry: Option<&'a MemberEntry>) -> Fate<'a> {
        let at_once = |info: &PeerInfo| info.leaves.then_some(Duration::ZERO);
        if member.id == self.me.id {
            return Fate { leaves: at_once(self.me), says: Some(self.me) };
        }
        if self.foreign.contains_key(&member.id) {
            // Two meshes took it in at a time, and it is of the other.
            return Fate { leaves: Some(Duration::ZERO), says: None };
        }
        let delay = self.config.timing.repair_delay;
        match entry {
            // Never seen since we started: its patience runs from then.
            None => Fate { leaves: Some(self.started + delay), says: None },
            Some(entry) => {
                let gone = matches!(entry.health, Health::Dead | Health::Leaving);
                let says = entry.info.as_deref();
                let leaves = says.and_then(at_once).or_else(|| gone.then(|| entry.since + delay));
                Fate { leaves, says: says.filter(|_| entry.linked) }
            }
        }
    }

    /// Peers to be taken in, each with the moment from which it is.
    fn newcomers(&self) -> impl Iterator<Item = (&'a PeerInfo, Duration)> {
        let newcomer = |(peer, entry): (&PeerId, &'a MemberEntry)| self.newcomer(*peer, entry);
        self.members.entries.iter().filter_map(newcomer)
    }

    fn newcomer(&self, peer: PeerId, entry: &'a MemberEntry) -> Option<(&'a PeerInfo, Duration)> {
        let is_there = entry.is_live() && entry.health == Health::Alive;
        let info = entry.info.as_deref().filter(|_| is_there && self.layout.member(peer).is_none())?;
        let is_free = info.mesh.is_none_or(|mesh| mesh == self.layout.mesh) && !self.foreign.contains_key(&peer);
        let fits = info.replicas.is_none_or(|replicas| replicas == self.layout.replicas);
        (!info.leaves && is_free && fits).then_some((info, entry.since + SETTLE))
    }
}

/// How many live members come before `me` in proposing a change; no more than
/// `most` are counted.
pub(super) fn turn(layout: &Layout, me: PeerId, members: &MemberTable, most: u64) -> u64 {
    let present = &layout.members;
    let is_present = |peer| layout.member(peer).is_some();
    let previous = layout.previous.iter().flatten().map(|member| member.id).filter(|peer| !is_present(*peer));
    let everyone = present.iter().map(|member| member.id).chain(previous);
    let before = everyone.filter(|peer| *peer < me && members.is_live(*peer));
    before.take(most as usize).count() as u64
}

#[cfg(test)]
mod tests {
    use shoal_types::MeshId;

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
            leaves: false,
            revision: 0,
            mesh: None,
            replicas: None,
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
            replicas: 3,
        };
        let entries = others.iter().map(|(n, health)| (info(*n).id, entry(*n, *health, Duration::ZERO))).collect();
        let table = MemberTable { entries, ..MemberTable::default() };
        let view = View {
            layout: &layout,
            members: &table,
            foreign: &BTreeMap::new(),
            me: &info(1),
            config: &PeerConfig::new(info(1)),
            now: Duration::from_secs(now_s),
            started: Duration::ZERO,
        };
        let next = view.next();
        let outlook = Outlook::after(None, &view);
        if !view.sees_majority() {
            assert!(next.is_none());
        } else if next.is_some() {
            assert!(outlook.is_change_wanted(view.now));
        } else {
            assert!(!outlook.is_change_wanted(view.now));
            // Nothing is missed before that moment, and something happens then.
            let at = |now| View { now, ..view }.next().is_some();
            let moments = (now_s..now_s + 200).map(Duration::from_secs);
            assert_eq!(moments.into_iter().find(|now| at(*now)), outlook.soonest);
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
    fn who_leaves_goes_at_once_and_not_before_somebody_is_there_to_take_over() {
        let leaving = |n: u8| {
            let mut entry = entry(n, Health::Alive, Duration::ZERO);
            entry.info = Some(PeerInfo { leaves: true, revision: 1, ..info(n) }.into());
            (info(n).id, entry)
        };
        let other = |n: u8, health| (info(n).id, entry(n, health, Duration::ZERO));
        let layout = Layout {
            mesh: MeshId::from_bytes([0; 16]),
            version: 4,
            members: (1..=3u8).map(|n| member_of(&info(n))).collect(),
            previous: None,
            replicas: 3,
        };
        let me = PeerInfo { leaves: true, revision: 1, ..info(1) };
        let next = |me: &PeerInfo, others: [(PeerId, MemberEntry); 2], now_s| {
            let members = MemberTable { entries: others.into_iter().collect(), ..MemberTable::default() };
            let (config, foreign) = (PeerConfig::new(info(1)), BTreeMap::new());
            let (now, started) = (Duration::from_secs(now_s), Duration::ZERO);
            let view =
                View { layout: &layout, me, members: &members, foreign: &foreign, config: &config, now, started };
            view.next().map(|next| next.members.iter().map(|member| member.id.as_bytes()[0]).collect::<Vec<_>>())
        };
        assert_eq!(next(&info(1), [leaving(2), other(3, Health::Alive)], 1), Some(vec![1, 3]));
        assert_eq!(next(&me, [leaving(2), other(3, Health::Alive)], 1), Some(vec![3]));
        // The only one to stay is dead, and is let go of before anybody else.
        assert_eq!(next(&me, [leaving(2), other(3, Health::Dead)], 1), None);
        assert_eq!(next(&me, [leaving(2), other(3, Health::Dead)], 61), Some(vec![1, 2]));
        assert_eq!(next(&me, [leaving(2), leaving(3)], 1), None);
    }

    #[test]
    fn a_minority_drops_nobody() {
        check(&[], 1000, None);
        check(&[(2, Health::Dead), (3, Health::Dead)], 1000, None);
        check(&[(4, Health::Alive), (5, Health::Alive)], 1000, None);
    }

    /// A look at what has changed shows what a look at all of it does.
    #[test]
    fn an_outlook_that_is_kept_up_to_date_is_as_good_as_a_new_one() {
        let layout = Layout {
            mesh: MeshId::from_bytes([0; 16]),
            version: 4,
            members: (1..=4u8).map(|n| member_of(&info(n))).collect(),
            previous: None,
            replicas: 3,
        };
        let (config, foreign) = (PeerConfig::new(info(1)), BTreeMap::new());
        let mut members = MemberTable::default();
        let mut kept = None;
        let moved = MemberEntry {
            info: Some(PeerInfo { zone: "there".into(), revision: 1, ..info(3) }.into()),
            ..entry(3, Health::Alive, Duration::ZERO)
        };
        let at = |n, health, since| (n, Some(entry(n, health, Duration::from_secs(since))));
        let mut seen = BTreeSet::new();
        for (n, entry) in [
            at(2, Health::Alive, 0),
            at(3, Health::Alive, 1),
            at(4, Health::Dead, 2),
            at(5, Health::Alive, 3),
            at(5, Health::Suspected, 3),
            (3, Some(moved)),
            at(3, Health::Alive, 5),
            at(4, Health::Alive, 6),
            at(5, Health::Alive, 7),
            (5, None),
            at(2, Health::Leaving, 8),
        ] {
            members.set(info(n).id, entry);
            let view = View {
                layout: &layout,
                members: &members,
                foreign: &foreign,
                me: &config.info,
                config: &config,
                now: Duration::from_secs(30),
                started: Duration::from_secs(20),
            };
            let outlook = Outlook::after(kept.take(), &view);
            let new = Outlook::after(None, &view);
            assert_eq!(
                (&outlook.differing, &outlook.moments, outlook.soonest),
                (&new.differing, &new.moments, new.soonest)
            );
            seen.insert((outlook.soonest, outlook.differing.len()));
            kept = Some(outlook);
        }
        assert!(seen.len() > 4, "{seen:?}");
    }

    #[test]
    fn the_smallest_live_members_come_first() {
        let layout = Layout {
            mesh: MeshId::from_bytes([0; 16]),
            version: 4,
            members: [1u8, 3, 5].iter().map(|n| member_of(&info(*n))).collect(),
            previous: Some([2u8, 3, 4].iter().map(|n| member_of(&info(*n))).collect()),
            replicas: 3,
        };
        let health = |n| if n == 3 { Health::Dead } else { Health::Alive };
        let entries = (1..=5).map(|n| (info(n).id, entry(n, health(n), Duration::ZERO))).collect();
        let members = MemberTable { entries, ..MemberTable::default() };
        let turns: Vec<u64> = (1..=5).map(|n| turn(&layout, info(n).id, &members, 9)).collect();
        assert_eq!(turns, [0, 1, 2, 2, 3]);
        assert_eq!(turn(&layout, info(5).id, &members, 2), 2);
    }
}
