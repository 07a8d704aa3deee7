mod shipped;

use std::time::Duration;

use shoal_types::Error;

use super::*;
use crate::faults::{FaultKind, Victims};

/// The error that a text gives, with its hint.
fn refused(text: &str) -> String {
    match Scenario::parse(text) {
        Err(Error::Invalid { what, hint }) => {
            assert!(!hint.is_empty());
            format!("{what} ({hint})")
        }
        other => panic!("{text:?} gave {other:?}"),
    }
}

#[test]
fn an_empty_file_is_a_quiet_mesh() {
    assert_eq!(Scenario::parse("").unwrap(), Scenario::default());
}

#[test]
fn a_scenario_reads_back_what_it_wrote() {
    let text = "peers = 12\nzones = 3\nlatecomers = 2\n[vary]\npeers = [5, 9]\n[chaos]\nkinds = ['rot', 'slow-peer']\n\
        [[workload.job]]\nat = '3s'\ninput = 'data/'\n\
        [[fault]]\nkind = 'crash'\nby = 'power'\nwithin_changes = 3\nat = '1s'\nfor = '250ms'\npeers = [1, 2]\n\
        [[fault]]\nkind = 'loss'\nshare = '10%'\nzone = 'zone-2'\nevery = '5s'\npeers = '50%'";
    let scenario = Scenario::parse(text).unwrap();
    assert_eq!(Scenario::parse(&scenario.to_toml().unwrap()).unwrap(), scenario);
    assert_eq!(scenario.faults[0].peers, Victims::These(vec![1, 2]));
    assert_eq!(scenario.faults[1].kind.name(), "loss");
    for name in FaultKind::NAMES {
        let text = format!("latecomers = 1\n[[fault]]\nkind = '{name}'");
        let scenario = Scenario::parse(&text).unwrap();
        assert_eq!(scenario.faults[0].kind.name(), *name);
        assert_eq!(Scenario::parse(&scenario.to_toml().unwrap()).unwrap(), scenario);
    }
}

#[test]
fn a_misspelt_key_is_an_error_that_names_it_and_says_what_is_allowed() {
    for (text, wanted) in [
        ("peers = 3\ncolour = 1", &["line 2", "colour", "peers"][..]),
        ("[hosts]\nslot = 1", &["slot", "slots"]),
        ("\n\n[[fault]]\nkind = 'crash'\nbye = 'kill'", &["fault 'crash'", "bye", "within_changes", "zone"]),
        ("[[fault]]\nkind = 'crush'", &["crush", "crash", "partition"]),
        ("[[fault]]\nat = '1s'", &["no kind", "crash"]),
        ("[[fault]]\nkind = 'crash'\nat = '3 weeks'", &["fault 'crash'", "at:", "weeks"]),
        ("[[fault]]\nkind = 'crash'\npeers = 'all'", &["peers", "all"]),
        ("[[fault]]\nkind = 'crash'\npeers = -1", &["peers", "-1"]),
        ("[[fault]]\nkind = 'crash'\nby = 'fire'", &["fire", "kill", "power"]),
        ("[[workload.job]]\ninput = 'data/'\nevry = '1m'", &["evry", "every", "input"]),
        ("[[workload.job]]\nat = '1m'", &["input"]),
        ("[chaos]\nkinds = ['sync-lies']", &["sync-lies", "disk-lost"]),
    ] {
        let error = refused(text);
        for word in wanted {
            assert!(error.contains(word), "{text:?}: {error:?} lacks {word:?}");
        }
    }
    let error = Scenario::parse_file("mine.toml", "peers = 'x'").unwrap_err().to_string();
    assert!(error.starts_with("mine.toml: "), "{error}");
}

#[test]
fn what_cannot_be_meant_is_refused() {
    for (text, wanted) in [
        ("peers = 0", "peers is 0"),
        ("peers = 10001", "10000"),
        ("replicas = 8", "1 to 7"),
        ("zones = 0", "zones is 0"),
        ("zones = 21", "1 to 20"),
        ("latecomers = 20", "latecomers"),
        ("duration = '0s'", "duration is 0s"),
        ("[workload]\ndata = '100 TB'", "MiB of memory"),
        ("[workload]\nchunk = '65 MiB'", "64 MiB"),
        ("[workload]\nchunk_real = '2 MiB'", "1 MiB"),
        ("[hosts]\nslots = 0", "hosts.slots"),
        ("[hosts]\nbandwidth = 0", "hosts.bandwidth"),
        ("[vary]\npeers = [9, 5]", "vary.peers"),
        ("[vary]\nreplicas = [1, 9]", "vary.replicas"),
        ("[chaos]\nevery = '0s'", "chaos.every"),
        ("[[fault]]\nkind = 'join'", "latecomers"),
        ("[[fault]]\nkind = 'crash'\nat = '60s'", "the run's end"),
        ("[[fault]]\nkind = 'crash'\nevery = '0s'", "every"),
        ("[[fault]]\nkind = 'crash'\nzone = 'zone-1'", "zone-1"),
        ("[[fault]]\nkind = 'crash'\npeers = [20]", "no peer 20"),
        ("[[fault]]\nkind = 'disk-slow'\ntimes = 0.5", "times"),
        ("[[fault]]\nkind = 'clock'\ndrift_ppm = 600000", "drift_ppm"),
        ("[[workload.job]]\ninput = 'data/'\nevery = '0s'", "every"),
        ("[[workload.job]]\ninput = 'data/'\nat = '61s'", "the run's end"),
    ] {
        let error = refused(text);
        assert!(error.contains(wanted), "{text:?}: {error:?} lacks {wanted:?}");
    }
}

#[test]
fn a_scenario_can_be_changed_on_the_command_line() {
    let spot = Scenario::named("spot").unwrap().with_loss(Share(0.3)).with_peers(20);
    assert_eq!((spot.peers, spot.faults[0].peers.clone(), spot.faults.len()), (20, Victims::Share(Share(0.3)), 1));
    let quiet = Scenario::named("quiet").unwrap().with_loss(Share(0.2));
    assert_eq!((quiet.faults[0].kind.name(), quiet.faults[0].at), ("reclaim", Span(Duration::from_secs(20))));
    let short = Scenario::named("disks").unwrap().with_duration(Duration::from_secs(30));
    assert!(short.check().is_ok() && short.faults.len() == 2, "{:?}", short.faults);
    let storm = Scenario::named("join-storm").unwrap().with_peers(8);
    assert_eq!((storm.peers, storm.latecomers), (8, 6));
    let spec = crate::JobSpec::parse("input = 'data/'").unwrap();
    assert_eq!(quiet.clone().with_job(JobEntry::new(spec)).workload.jobs.len(), quiet.workload.jobs.len() + 1);
}

#[test]
fn a_seed_draws_what_varies_and_nothing_else() {
    let scenario = Scenario::parse("peers = 3\n[vary]\npeers = [5, 9]\nreplicas = [2, 3]").unwrap();
    let drawn: Vec<Scenario> = (0..40).map(|seed| scenario.clone().for_seed(seed)).collect();
    for peers in 5..=9 {
        assert!(drawn.iter().any(|scenario| scenario.peers == peers));
    }
    assert!(drawn.iter().all(|scenario| (2..=3).contains(&scenario.replicas) && scenario.zones == 1));
    assert_eq!(drawn[7].clone().for_seed(8), drawn[7], "drawn once");
    let fixed = scenario.with_peers(4).for_seed(7);
    assert_eq!((fixed.peers, fixed.replicas), (4, drawn[7].replicas));
}
