//! Who should be in the next layout.

use std::collections::BTreeMap;
use std::time::Duration;

use shoal_types::{Health, Layout, Member, MeshId, PeerId};

use super::member_of;
use crate::config::PeerConfig;
use crate::members::MemberTable;

/// A newcomer is taken in once it has been there for so long: of many that
/// come at once, few versions are made.
const SETTLE: Duration = Duration::from_millis(300);

/// The joint layout that should follow a settled one, if any should: peers
/// that came are in, peers dead for longer than the repair delay are out, and
/// what peers say of their zone and weight holds.
pub(super) fn wanted(
    layout: &Layout,
    members: &MemberTable,
    foreign: &BTreeMap<PeerId, MeshId>,
    config: &PeerConfig,
    now: Duration,
    started: Duration,
) -> Option<Layout> {
    let mut wanted: Vec<Member> = Vec::new();
    for member in &layout.members {
        if member.id == config.info.id {
            wanted.push(member_of(&config.info));
            continue;
        }
        let Some(entry) = members.entries.get(&member.id) else {
            // Never seen since we started: its patience runs from then.
            if now.saturating_sub(started) < config.timing.repair_delay {
                wanted.push(member.clone());
            }
            continue;
        };
        let gone = matches!(entry.health, Health::Dead | Health::Leaving);
        if gone && now.saturating_sub(entry.since) >= config.timing.repair_delay {
            continue;
        }
        match &entry.info {
            Some(info) if entry.linked => wanted.push(member_of(info)),
            Some(_) | None => wanted.push(member.clone()),
        }
    }
    for (peer, entry) in &members.entries {
        let settled = now.saturating_sub(entry.since) >= SETTLE;
        if let Some(info) = &entry.info
            && members.is_live(*peer)
            && entry.health == Health::Alive
            && settled
            && layout.member(*peer).is_none()
            && !foreign.contains_key(peer)
        {
            wanted.push(member_of(info));
        }
    }
    wanted.sort_by_key(|member| member.id);
    (wanted != layout.members).then(|| layout.replaced_by(wanted))
}

/// How many live members come before `me` in proposing a change.
pub(super) fn turn(layout: &Layout, me: PeerId, members: &MemberTable) -> u64 {
    layout.everyone().into_iter().take_while(|peer| *peer != me).filter(|peer| members.is_live(*peer)).count() as u64
}

#[cfg(test)]
mod tests {
    use shoal_types::PeerInfo;

    use super::*;
    use crate::members::MemberEntry;

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
            addresses: vec![],
            incarnation: 1,
            info: Some(info(n)),
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
        let next = wanted(
            &layout,
            &table,
            &BTreeMap::new(),
            &PeerConfig::new(info(1)),
            Duration::from_secs(now_s),
            Duration::ZERO,
        );
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
}
