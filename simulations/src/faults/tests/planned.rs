use std::collections::BTreeSet;

use super::*;
use crate::faults::{Chaos, ChaosKind, Role, plan};

fn chaotic(text: &str) -> Scenario {
    Scenario::parse(&format!("peers = 9\nzones = 3\nduration = '5m'\n{text}")).unwrap()
}

#[test]
fn a_plan_depends_on_the_scenario_and_the_seed_alone() {
    let scenario = chaotic("[chaos]");
    assert_eq!(plan(&scenario, 1), plan(&scenario, 1));
    assert_ne!(plan(&scenario, 1), plan(&scenario, 2));
    let numbers: Vec<usize> = plan(&scenario, 3).iter().map(|strike| strike.number).collect();
    assert_eq!(numbers, (0..numbers.len()).collect::<Vec<_>>());
}

#[test]
fn chaos_has_every_kind_in_some_seed_and_few_in_each() {
    let scenario = chaotic("[chaos]\nevery = '2s'");
    let mut seen = BTreeSet::new();
    for seed in 0..60 {
        let kinds: BTreeSet<&str> = plan(&scenario, seed).iter().map(|strike| strike.kind.name()).collect();
        // With a disk that is full for long another peer may die.
        assert!((1..=6).contains(&kinds.len()), "{kinds:?}");
        seen.extend(kinds);
    }
    // Two of them are other kinds, for long.
    assert_eq!(seen.len(), ChaosKind::ALL.len() - 2, "{seen:?}");
}

#[test]
fn chaos_ends_in_time_and_harms_so_few_that_no_chunk_can_be_lost() {
    for (replicas, most) in [(1, 0), (2, 1), (3, 1), (5, 1)] {
        let scenario = Scenario { replicas, ..chaotic("[chaos]\nkinds = ['disk-lost', 'rot', 'reclaim', 'crash']") };
        let mut harmed_some = false;
        for seed in 0..40 {
            let strikes = plan(&scenario, seed);
            let mut harmed = BTreeSet::new();
            for strike in &strikes {
                let for_good = matches!(strike.kind, FaultKind::Reclaim(_));
                assert!(strike.until().map_or(for_good, |until| until <= scenario.duration.0), "{strike:?}");
                if strike.kind.name() != "crash" {
                    harmed.extend(strike.victims.iter().copied());
                }
            }
            assert!(harmed.len() <= most, "{harmed:?}");
            harmed_some |= !harmed.is_empty();
        }
        assert_eq!(harmed_some, most > 0);
    }
}

#[test]
fn some_faults_strike_together_and_some_strike_everyone() {
    let scenario = Scenario { chaos: Some(Chaos::default()), ..chaotic("") };
    let strikes: Vec<Strike> = (0..20).flat_map(|seed| plan(&scenario, seed)).collect();
    assert!(strikes.windows(2).any(|pair| pair[0].at == pair[1].at));
    assert!(strikes.iter().any(|strike| strike.victims.len() == 9));
    assert!(strikes.iter().any(|strike| strike.lasts.is_some_and(|lasts| lasts < ms(100))));
    assert!(strikes.iter().any(|strike| strike.lasts.is_some_and(|lasts| lasts > ms(10_000))));
}

#[test]
fn for_long_some_hold_nothing_and_enough_do_where_one_may_lose_what_it_has() {
    let weightless = |kinds: &str| {
        let scenario = chaotic(&format!("[chaos]\nkinds = [{kinds}]"));
        let strikes: Vec<Strike> = (0..20).flat_map(|seed| plan(&scenario, seed)).collect();
        let is_one = |strike: &&Strike| matches!(strike.kind, FaultKind::Role(Role { weight: Some(0), .. }));
        let most = strikes.iter().filter(is_one).map(|strike| strike.victims.len()).max().unwrap();
        assert!(strikes.iter().filter(is_one).all(|strike| strike.lasts.is_some()));
        most
    };
    assert_eq!(weightless("'weightless'"), 8);
    assert_eq!(weightless("'weightless', 'disk-lost'"), 6);
    let scenario = chaotic("[chaos]\nkinds = ['leave', 'disk-lost']");
    assert!((0..20).flat_map(|seed| plan(&scenario, seed)).all(|strike| strike.kind.name() != "leave"));
}

#[test]
fn a_wave_takes_whole_zones_first_and_nobody_twice() {
    let scenario = Scenario::parse(
        "peers = 100\nzones = 10\nduration = '60s'\n[[fault]]\nkind = 'reclaim'\npeers = '10%'\nevery = '10s'",
    )
    .unwrap();
    let strikes = plan(&scenario, 1);
    let mut gone = BTreeSet::new();
    for strike in &strikes {
        let zones: BTreeSet<u32> = strike.victims.iter().map(|host| host.0 % 10).collect();
        assert!(zones.len() <= 2, "{zones:?}");
        assert!(strike.victims.iter().all(|host| gone.insert(*host)));
    }
    assert_eq!(strikes[0].victims.len(), 10);
    assert_eq!(strikes.len(), 6);
}

#[test]
fn a_zone_is_struck_whole_and_latecomers_only_once_they_are_there() {
    let text = "peers = 12\nzones = 3\nlatecomers = 3\nduration = '60s'\n\
        [[fault]]\nkind = 'crash'\nzone = 'zone-1'\npeers = '100%'\n\
        [[fault]]\nkind = 'join'\nat = '5s'\n\
        [[fault]]\nkind = 'pause'\nat = '10s'\npeers = '100%'";
    let strikes = plan(&Scenario::parse(text).unwrap(), 1);
    let numbers = |strike: &Strike| strike.victims.iter().map(|host| host.0).collect::<Vec<_>>();
    assert_eq!(numbers(&strikes[0]), [1, 4, 7]);
    assert_eq!(numbers(&strikes[1]), [9, 10, 11]);
    assert_eq!(numbers(&strikes[2]).len(), 12);
    assert!(strikes[2].lasts.is_some_and(|lasts| lasts >= ms(5_000) && lasts <= ms(30_000)));
}
