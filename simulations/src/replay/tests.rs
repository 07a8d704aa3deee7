use proptest::prelude::*;

use super::*;

fn some<T: fmt::Debug + Clone>(of: impl Strategy<Value = T>) -> impl Strategy<Value = Option<T>> {
    proptest::option::of(of)
}

prop_compose! {
    fn origins()(
        scenario in "(swarm|\\PC{1,20}|[a-z %'\"/\t=]{1,12}\\.toml)",
        peers in some(any::<u32>()),
        duration in some((0u64..1 << 40).prop_map(|micros| Span(std::time::Duration::from_micros(micros)))),
        lose in some(prop_oneof![(0u32..=1000).prop_map(|permille| Share(f64::from(permille) / 1000.0)), (0.0..=1.0).prop_map(Share)]),
        job in some("\\PC{1,20}"),
        jobs in some(any::<u32>()),
        clients in some(any::<u32>()),
        data in some((0u64..1 << 52).prop_map(Bytes)),
    ) -> Origin {
        Origin { scenario, peers, duration, lose, job, jobs, clients, data }
    }
}

prop_compose! {
    fn replays()(
        origin in origins(),
        seed in any::<u64>(),
        only in some(proptest::collection::btree_set(0usize..60, 0..40)),
        planted in some(proptest::sample::select(Planted::ALL)),
        mixes_attempts in any::<bool>(),
        trace in some("[0-9a-f]{16}"),
    ) -> Replay {
        Replay { origin, seed, only, planted, mixes_attempts, trace }
    }
}

proptest! {
    #[test]
    fn a_line_reads_back_as_what_was_written(replay in replays()) {
        let line = replay.to_string();
        prop_assert!(!line.contains('\''), "{}", line);
        prop_assert_eq!(line.parse::<Replay>(), Ok(replay), "{}", line);
    }
}

#[test]
fn a_line_is_for_people() {
    let replay = Replay {
        origin: Origin {
            peers: Some(7),
            duration: Some("34s".parse().unwrap()),
            lose: Some("7%".parse().unwrap()),
            data: Some(Bytes(4 << 30)),
            ..Origin::named("my mesh.toml")
        },
        only: Some([3, 5, 8, 9, 10].into()),
        trace: Some("0123456789abcdef".into()),
        ..Replay::new(Origin::default(), 42)
    };
    let line = "scenario=my%20mesh.toml seed=42 peers=7 duration=34s lose=7% data=4GiB faults=3,5,8-10 \
                trace=0123456789abcdef";
    assert_eq!(replay.to_string(), line);
    assert_eq!(replay.command(), format!("shoal sim replay '{line}'"));
    assert_eq!(replay.is_same_trace("0123456789abcdef0123"), Some(true));
    assert_eq!(replay.is_same_trace("1123456789abcdef0123"), Some(false));
}

#[test]
fn what_is_wrong_with_a_line_is_said() {
    for (line, complaint) in [
        ("", "without a scenario"),
        ("scenario=swarm", "without a seed"),
        ("scenario=swarm seed=x", "'x' is no value for 'seed'"),
        ("scenario=swarm seed=1 seed=2", "'seed' is twice"),
        ("scenario=swarm seed=1 pears=2", "'pears' is nothing"),
        ("scenario=swarm 42", "'42' in a replay line is not KEY=VALUE"),
        ("scenario=swarm seed=1 faults=5-3", "'5-3' is no value for 'faults'"),
        ("scenario=swarm seed=1 faults=1-99999999999", "no value for 'faults'"),
        ("scenario=a%2 seed=1", "% without two digits"),
        ("scenario=swarm seed=1 planted=no-such-bug", "'no-such-bug' is no value for 'planted'"),
    ] {
        let error = line.parse::<Replay>().unwrap_err();
        assert!(error.to_string().contains(complaint), "{line}: {error}");
        assert!(error.hint().contains("scenario=swarm"), "{line}");
    }
}

#[test]
fn an_unknown_scenario_is_answered_with_those_that_there_are() {
    let replay: Replay = "scenario=sworm seed=1".parse().unwrap();
    let error = replay.simulation(|_| unreachable!()).unwrap_err();
    assert!(error.to_string().contains("'sworm'") && error.hint().contains("swarm"), "{error} {}", error.hint());
}

#[test]
fn a_scenario_from_a_file_is_changed_as_the_line_says() {
    let replay: Replay =
        "scenario=a/b.toml seed=3 peers=4 duration=7s clients=1 job=j.toml faults=none".parse().unwrap();
    let read = |path: &str| match path {
        "a/b.toml" => Ok("title = \"mine\"\npeers = 9\nzones = 2\n".to_owned()),
        "j.toml" => Ok("at = \"2s\"\ninput = \"data/\"\n".to_owned()),
        path => Err(Error::not_found(path, "")),
    };
    let simulation = replay.simulation(read).unwrap();
    let scenario = &simulation.scenario;
    assert_eq!((scenario.title.as_str(), scenario.peers, scenario.zones), ("mine", 4, 2));
    assert_eq!((scenario.duration, scenario.workload.clients), ("7s".parse().unwrap(), 1));
    assert_eq!(scenario.workload.jobs.len(), 1);
    assert_eq!(simulation.only, Some(BTreeSet::new()));
    assert_eq!(Replay::of(&simulation, None), replay);
}
