use std::collections::BTreeSet;
use std::time::Duration;

use super::{FaultEntry, FaultKind, Reclaim, Strike};
use crate::host::HostId;
use crate::random::Random;
use crate::scenario::Scenario;

/// All that goes wrong in a run, in the order of time. Everything that ends
/// has ended by the end of the run's work.
pub(crate) fn plan(scenario: &Scenario, seed: u64) -> Vec<Strike> {
    let duration = scenario.duration.0;
    let mut moments: Vec<(Duration, usize, u64)> =
        scenario.faults.iter().enumerate().flat_map(|(n, entry)| moments(n, entry, duration)).collect();
    moments.sort();
    let mut present: BTreeSet<HostId> = hosts(scenario).filter(|host| !scenario.is_late(*host)).collect();
    let mut late: BTreeSet<HostId> = hosts(scenario).filter(|host| scenario.is_late(*host)).collect();
    let mut strikes = Vec::new();
    for (at, entry, nth) in moments {
        let mut random = Random::of(seed, &[500, entry as u64, nth]);
        let entry = &scenario.faults[entry];
        let joins = matches!(entry.kind, FaultKind::Join(_));
        let victims = choose(scenario, entry, if joins { &late } else { &present }, &mut random);
        let lasts = entry.lasts.map(|lasts| lasts.0).or_else(|| entry.kind.fault().lasts(&mut random));
        if joins {
            late.retain(|host| !victims.contains(host));
            present.extend(victims.iter().copied());
        }
        if matches!(entry.kind, FaultKind::Reclaim(_)) && lasts.is_none() {
            present.retain(|host| !victims.contains(host));
        }
        if !victims.is_empty() {
            strikes.push(Strike { number: 0, at, lasts, victims, kind: entry.kind.clone() });
        }
    }
    if let Some(chaos) = &scenario.chaos {
        present.retain(|host| !scenario.is_late(*host));
        strikes.extend(chaos.strikes(scenario, &present, &strikes, &mut Random::of(seed, &[501])));
    }
    strikes.sort_by_key(|strike| strike.at);
    for (number, strike) in strikes.iter_mut().enumerate() {
        strike.number = number;
        strike.lasts = strike.lasts.map(|lasts| lasts.min(duration.saturating_sub(strike.at)));
    }
    strikes
}

fn hosts(scenario: &Scenario) -> impl Iterator<Item = HostId> {
    (0..scenario.peers).map(HostId)
}

/// When an entry strikes.
fn moments(number: usize, entry: &FaultEntry, duration: Duration) -> Vec<(Duration, usize, u64)> {
    let mut moments = Vec::new();
    let mut at = entry.at.0;
    while at < duration {
        moments.push((at, number, moments.len() as u64));
        match entry.every {
            Some(every) if !every.0.is_zero() => at += every.0,
            Some(_) | None => break,
        }
    }
    moments
}

/// Whom an entry strikes, of those who are there. A share is one of all who
/// are there in its zone.
fn choose(scenario: &Scenario, entry: &FaultEntry, there: &BTreeSet<HostId>, random: &mut Random) -> Vec<HostId> {
    let zone = |host: &HostId| entry.zone.as_ref().is_none_or(|zone| *zone == scenario.zone_of(*host));
    let eligible: Vec<HostId> = there.iter().copied().filter(zone).collect();
    match &entry.kind {
        FaultKind::Reclaim(Reclaim { by_zone: true, .. }) if scenario.zones > 1 && entry.peers.is_random() => {
            let count = entry.peers.count(eligible.len());
            of_fewest_zones(scenario, eligible, count, random)
        }
        _ => entry.peers.choose(&eligible, random),
    }
}

/// So many hosts of as few zones as have them.
fn of_fewest_zones(scenario: &Scenario, hosts: Vec<HostId>, count: usize, random: &mut Random) -> Vec<HostId> {
    let mut zones: Vec<Vec<HostId>> = vec![Vec::new(); scenario.zones as usize];
    for host in hosts {
        zones[(host.0 % scenario.zones) as usize].push(host);
    }
    let mut chosen = Vec::new();
    while chosen.len() < count && !zones.is_empty() {
        let zone = zones.swap_remove(random.below(zones.len() as u64) as usize);
        chosen.extend(random.sample(&zone, count - chosen.len()));
    }
    chosen.sort();
    chosen
}
