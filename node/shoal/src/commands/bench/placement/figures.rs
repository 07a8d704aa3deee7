//! The figures that matter, measured on each candidate.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Instant;

use serde::Serialize;
use shoal_types::{Member, PeerId};

use super::candidates::{Candidate, Kind, USUAL_WEIGHT, word};

/// Lookups that are timed in one go; the fastest of [`TIMED_ROUNDS`] counts.
const TIMED_LOOKUPS: usize = 1_000;
const TIMED_ROUNDS: usize = 50;

/// What is placed on whom.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setting {
    pub(super) peers: usize,
    pub(super) zones: usize,
    pub(super) replicas: usize,
    pub(super) keys: u64,
}

/// One candidate among so many peers.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) candidate: String,
    pub(super) peers: usize,
    pub(super) keys: u64,
    /// The largest share over the mean. 1 is the least possible.
    pub(super) largest_over_mean: f64,
    /// Copies made when a member joins, over those that it holds then. 1 is the least possible.
    pub(super) moved_by_join: f64,
    /// Copies made when a member leaves, over those that it held. 1 is the least possible.
    pub(super) moved_by_leave: f64,
    /// What a member of double weight holds, over the mean of the others. 2 is wanted.
    pub(super) double_weight: f64,
    /// Copies in the same zone as another of the same key although there are zones enough.
    pub(super) same_zone: u64,
    pub(super) lookup_us: f64,
    /// What it takes to get ready when members change.
    pub(super) prepare_ms: f64,
    pub(super) memory_bytes: usize,
}

/// `count` members of the usual weight, spread over `zones` zones.
pub(super) fn members(count: usize, zones: usize) -> Vec<Member> {
    let one = |n: usize| Member {
        id: PeerId::from_bytes(*blake3::hash(&(n as u64).to_le_bytes()).as_bytes()),
        name: format!("peer-{n}"),
        zone: format!("zone-{}", n % zones),
        weight: USUAL_WEIGHT,
        revision: 0,
        since: 0,
    };
    (0..count).map(one).collect()
}

pub(super) fn measure(kind: Kind, setting: Setting) -> Row {
    let Setting { peers, zones, replicas, keys } = setting;
    let more = members(peers + 1, zones);
    let all = &more[..peers];
    // The one that leaves, or is heavier, is not the one that joins.
    let (mut heavier, heavy) = (all.to_vec(), peers / 2);
    heavier[heavy].weight *= 2;
    let fewer: Vec<Member> = all.iter().filter(|member| member.id != all[heavy].id).cloned().collect();
    let started = Instant::now();
    let candidate = kind.prepare(all, replicas);
    let prepare_ms = started.elapsed().as_secs_f64() * 1e3;
    let placed = |members: &[Member]| Placed::new(kind.prepare(members, replicas).as_ref(), setting);
    let usual = Placed::new(candidate.as_ref(), setting);
    let (joined, left, weighted) = (placed(&more), placed(&fewer), placed(&heavier));
    let mean = (usual.owners.len() / peers) as f64;
    let heavy_share = weighted.share(all[heavy].id) as f64;
    let others = (weighted.owners.len() as f64 - heavy_share) / (peers - 1) as f64;
    let largest = all.iter().map(|member| usual.share(member.id)).max().unwrap_or(0);
    Row {
        candidate: kind.name(),
        peers,
        keys,
        largest_over_mean: largest as f64 / mean,
        moved_by_join: joined.not_in(&usual) as f64 / joined.share(more[peers].id) as f64,
        moved_by_leave: left.not_in(&usual) as f64 / usual.share(all[heavy].id) as f64,
        double_weight: heavy_share / others,
        same_zone: usual.same_zone(all, replicas.min(zones)),
        lookup_us: lookup_us(candidate.as_ref(), replicas),
        prepare_ms,
        memory_bytes: candidate.memory_bytes(),
    }
}

/// Where all keys are. There are at least as many members as replicas.
struct Placed {
    replicas: usize,
    /// Those of each key, one key after the other.
    owners: Vec<PeerId>,
    shares: BTreeMap<PeerId, u64>,
}

impl Placed {
    fn new(candidate: &dyn Candidate, setting: Setting) -> Self {
        let keys = (0..setting.keys).map(|n| word(&n.to_le_bytes()));
        let owners: Vec<PeerId> = keys.flat_map(|key| candidate.owners(key, setting.replicas)).collect();
        let mut shares = BTreeMap::new();
        for owner in &owners {
            *shares.entry(*owner).or_default() += 1;
        }
        Self { replicas: setting.replicas, owners, shares }
    }

    fn share(&self, peer: PeerId) -> u64 {
        self.shares.get(&peer).copied().unwrap_or(0)
    }

    /// Copies that are where there was none before.
    fn not_in(&self, before: &Self) -> usize {
        let keys = self.owners.chunks(self.replicas).zip(before.owners.chunks(self.replicas));
        keys.map(|(has, had)| has.iter().filter(|owner| !had.contains(owner)).count()).sum()
    }

    /// Copies short of `wanted` zones for each key.
    fn same_zone(&self, members: &[Member], wanted: usize) -> u64 {
        let zones: BTreeMap<PeerId, &str> = members.iter().map(|member| (member.id, member.zone.as_str())).collect();
        let of_key = |owners: &[PeerId]| {
            let mut seen: Vec<Option<&&str>> = owners.iter().map(|owner| zones.get(owner)).collect();
            seen.sort_unstable();
            seen.dedup();
            wanted.saturating_sub(seen.len()) as u64
        };
        self.owners.chunks(self.replicas).map(of_key).sum()
    }
}

fn lookup_us(candidate: &dyn Candidate, replicas: usize) -> f64 {
    let keys: Vec<u64> = (0..TIMED_LOOKUPS).map(|n| word(&n.to_be_bytes())).collect();
    let round = |_| {
        let started = Instant::now();
        for key in &keys {
            black_box(candidate.owners(black_box(*key), replicas));
        }
        started.elapsed().as_secs_f64() * 1e6 / TIMED_LOOKUPS as f64
    };
    (0..TIMED_ROUNDS).map(round).fold(f64::INFINITY, f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(kind: Kind) -> Row {
        measure(kind, Setting { peers: 10, zones: 10, replicas: 3, keys: 1_000 })
    }

    #[test]
    fn rendezvous_moves_nothing_needlessly() {
        for zones in [1, 2, 5, 20] {
            let row = measure(Kind::Rendezvous, Setting { peers: 20, zones, replicas: 3, keys: 1_000 });
            assert_eq!((row.moved_by_join, row.moved_by_leave), (1.0, 1.0), "{zones} zones");
        }
    }

    #[test]
    fn nobody_moves_less_than_there_is_to_move() {
        for kind in Kind::ALL {
            let row = row(kind);
            assert!(row.moved_by_join >= 1.0 && row.moved_by_leave >= 1.0, "{row:?}");
            assert!(row.largest_over_mean >= 1.0 && row.same_zone == 0, "{row:?}");
        }
    }
}
