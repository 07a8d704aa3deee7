mod mesh;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use shoal_ports::{Clock, Compute};
use shoal_types::{Error, Fingerprint, InputPin, JobPlan, OutputId, StagePlan};

use self::mesh::{JOB, Mesh, ROUND_TRIP, output, peer, poll};
use super::plan::{Fragment, Part};
use super::{ComputeConfig, ComputeCounters, decode_answer, fingerprint};
use crate::random::Random;

const SPEC: &str = "input = 'logs/'\ngroups = 50\n[reduce]\ntasks = 7";

/// Chunked, inline, empty and ragged objects, and one that is not asked for.
const OBJECTS: [(&str, usize); 6] =
    [("logs/a", 20_000), ("logs/b", 100), ("logs/c", 0), ("logs/d", 9_001), ("logs/e/f", 3_073), ("other/a", 5_000)];

fn config() -> ComputeConfig {
    ComputeConfig { seed: 1, chunk_bytes: 1_024, ..ComputeConfig::default() }
}

fn mesh() -> Arc<Mesh> {
    Mesh::new(3, config(), &OBJECTS)
}

/// Every task of a stage once, on the peer that `at` says; the pins.
fn run_stage(
    mesh: &Mesh,
    plan: &JobPlan,
    stage: usize,
    inputs: &[InputPin],
    at: impl Fn(u32) -> usize,
) -> Vec<InputPin> {
    let part = &plan.stages[stage];
    let inputs = vec![inputs.to_vec(); part.inputs.len()];
    (0..part.partitions)
        .map(|partition| {
            let output = output(stage, partition, 0);
            mesh.clock.drive(mesh.start(at(partition), part, output, inputs.clone())).unwrap();
            InputPin { output, holder: peer(at(partition)) }
        })
        .collect()
}

#[test]
fn tasks_run_anywhere_in_any_order_give_the_oracles_rows() {
    let mesh = mesh();
    let plan = mesh.plan(SPEC).unwrap();
    let shape: Vec<_> = plan.stages.iter().map(|stage| (stage.partitions, stage.buckets)).collect();
    // 20 + inline + empty + 9 + 4 tasks of 1,024 bytes.
    assert_eq!(shape, [(35, 7), (7, 1), (1, 1)]);
    let with_chunks = plan.stages[0].chunks.iter().filter(|chunks| chunks.len() == 1).count();
    assert_eq!(with_chunks, 33);
    let expected = mesh.expected(SPEC);
    assert_eq!(expected.len(), 50);
    let mut answers = Vec::new();
    for seed in 0..5 {
        let frames = mesh.finish(&plan, vec![], &mut Random::from_seed(seed)).unwrap();
        assert_eq!(decode_answer(&frames).unwrap(), expected);
        answers.push(frames);
    }
    assert!(answers.iter().all(|frames| *frames == answers[0]), "an ordered answer is the same to the last byte");
    assert!(answers[0].len() > 4, "an answer can be lost in the middle");

    // One object, and nothing at all.
    for text in ["input = 'logs/d'", "input = 'logs/c'"] {
        let plan = mesh.plan(text).unwrap();
        let frames = mesh.finish(&plan, vec![], &mut Random::from_seed(9)).unwrap();
        assert_eq!(decode_answer(&frames).unwrap(), mesh.expected(text));
    }
}

#[test]
fn an_unordered_answer_has_the_same_rows_in_another_order() {
    let mesh = mesh();
    let text = format!("unordered = true\n{SPEC}");
    let plan = mesh.plan(&text).unwrap();
    let answer = |seed| {
        let frames = mesh.finish(&plan, vec![], &mut Random::from_seed(seed)).unwrap();
        decode_answer(&frames).unwrap()
    };
    let (mut one, other) = (answer(1), answer(2));
    assert_ne!(one, other);
    assert_eq!(fingerprint(&one), fingerprint(&other));
    one.sort();
    assert_eq!(one, mesh.expected(SPEC));
}

#[test]
fn attempts_differ_in_bytes_and_agree_in_rows() {
    let mesh = mesh();
    let plan = mesh.plan(SPEC).unwrap();
    let map = &plan.stages[0];
    let attempt = |at: usize, attempt: u32| {
        let output = output(0, 3, attempt);
        let report = mesh.clock.drive(mesh.start(at, map, output, vec![])).unwrap();
        let pin = InputPin { output, holder: peer(at) };
        let buckets: Vec<Vec<Bytes>> = (0..map.buckets).map(|bucket| mesh.frames(pin, bucket).unwrap()).collect();
        (report, buckets)
    };
    let (one, again, elsewhere) = (attempt(0, 0), attempt(0, 1), attempt(1, 0));
    assert_ne!(one.1, again.1);
    assert_ne!(one.1, elsewhere.1);
    let mut together = Fingerprint::default();
    for ((one, again), elsewhere) in one.1.iter().zip(&again.1).zip(&elsewhere.1) {
        let rows = fingerprint(&decode_answer(one).unwrap());
        assert_eq!(fingerprint(&decode_answer(again).unwrap()), rows);
        assert_eq!(fingerprint(&decode_answer(elsewhere).unwrap()), rows);
        together = together.and(rows);
    }
    for (report, _) in [&one, &again, &elsewhere] {
        assert_eq!(report.fingerprint, together);
        assert_eq!(report.rows.iter().sum::<u64>(), together.rows);
        assert_eq!(report.bytes.iter().sum::<u64>(), together.rows * 40);
        assert_eq!(report.scanned_local_bytes + report.scanned_remote_bytes, 1_024);
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes_at_the_same_time_and_another_does_not() {
    let run = |seed: u64| {
        let mesh = Mesh::new(3, ComputeConfig { seed, ..config() }, &OBJECTS);
        let plan = mesh.plan(SPEC).unwrap();
        let pins = run_stage(&mesh, &plan, 0, &[], |partition| partition as usize % 3);
        let frames: Vec<_> = pins.iter().map(|pin| mesh.frames(*pin, 2).unwrap()).collect();
        mesh.finish(&plan, vec![pins], &mut Random::from_seed(1)).unwrap();
        (frames, mesh.clock.now())
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5).0, run(6).0);
}

#[test]
fn whoever_mixes_two_attempts_gets_wrong_rows() {
    let answer = |mixes_attempts: bool| {
        let mesh = Mesh::new(3, ComputeConfig { mixes_attempts, ..config() }, &OBJECTS);
        let plan = mesh.plan(SPEC).unwrap();
        let pins = run_stage(&mesh, &plan, 0, &[], |_| 1);
        // A second attempt at one task, at the same peer.
        mesh.clock.drive(mesh.start(1, &plan.stages[0], output(0, 4, 1), vec![])).unwrap();
        let frames = mesh.finish(&plan, vec![pins], &mut Random::from_seed(3)).unwrap();
        let unkept = mesh.frames(InputPin { output: output(0, 5, 9), holder: peer(1) }, 0).is_ok();
        (fingerprint(&decode_answer(&frames).unwrap()), fingerprint(&mesh.expected(SPEC)), unkept)
    };
    let (given, expected, unkept) = answer(false);
    assert_eq!((given, unkept), (expected, false));
    let (given, expected, unkept) = answer(true);
    assert_ne!(given, expected);
    assert!(unkept, "any attempt serves for any other");
}

#[test]
fn inputs_in_another_order_or_left_out_give_other_rows() {
    let mesh = mesh();
    let plan = mesh.plan(SPEC).unwrap();
    let pins = run_stage(&mesh, &plan, 0, &[], |partition| partition as usize % 3);
    let expected = fingerprint(&mesh.expected(SPEC));
    let answer = |pins: Vec<InputPin>| {
        let frames = mesh.finish(&plan, vec![pins], &mut Random::from_seed(3)).unwrap();
        fingerprint(&decode_answer(&frames).unwrap())
    };
    assert_eq!(answer(pins.clone()), expected);
    let mut swapped = pins.clone();
    swapped.swap(2, 3);
    assert_ne!(answer(swapped), expected);
    assert_ne!(answer(pins[1..].to_vec()), expected);
}

#[test]
fn what_cannot_be_planned_is_the_users_error() {
    let mesh = mesh();
    assert!(matches!(mesh.plan("SELECT 1"), Err(Error::Invalid { .. })));
    assert!(matches!(mesh.plan("input = 'nothing/'"), Err(Error::NotFound { .. })));
    assert!(matches!(mesh.plan("input = 'logs/e'"), Err(Error::NotFound { .. })), "a folder is not an object");
}

#[test]
fn fragments_that_are_none_are_refused() {
    let mesh = mesh();
    let plan = mesh.plan(SPEC).unwrap();
    let good = plan.stages[0].clone();
    let run = |fragment: Bytes| {
        let stage = StagePlan { fragment, ..good.clone() };
        mesh.clock.drive(mesh.start(0, &stage, output(0, 0, 0), vec![]))
    };
    let bad = |fragment: Bytes| assert!(matches!(run(fragment), Err(Error::BadFrame { .. })));
    for length in 0..good.fragment.len() {
        bad(good.fragment.slice(..length));
    }
    bad([good.fragment.as_ref(), &[0]].concat().into());
    let decoded = Fragment::decode(&good.fragment).unwrap();
    let encoded = |fragment: &Fragment| shoal_types::wire::encode(fragment).unwrap();
    bad(encoded(&Fragment { buckets: 0, ..decoded.clone() }));
    bad(encoded(&Fragment { seconds_per_gb: f64::NAN, ..decoded.clone() }));
    bad(encoded(&Fragment { part: Part::Map { groups: 0, splits: vec![] }, ..decoded.clone() }));
    let stranger = encoded(&Fragment { engine: "another".into(), ..decoded });
    assert!(matches!(run(stranger), Err(Error::NotReady { .. })));
    assert_eq!(mesh.engines[0].counters().tasks_failed, mesh.engines[0].counters().tasks_started);
    assert!(run(good.fragment.clone()).is_ok());

    // A task that its stage does not have.
    let missing = mesh.clock.drive(mesh.start(0, &good, output(0, good.partitions, 0), vec![]));
    assert!(matches!(missing, Err(Error::Bug { .. })));
}

#[test]
fn a_task_that_is_dropped_leaves_nothing_running_and_nothing_kept() {
    let mesh = mesh();
    let plan = mesh.plan(SPEC).unwrap();
    let engine = &mesh.engines[0];
    let mut running = mesh.start(0, &plan.stages[0], output(0, 0, 0), vec![]);
    assert_eq!(engine.running(), [], "a task that nobody has asked for its result has not started");
    assert!(poll(&mut running).is_none());
    assert_eq!(engine.running(), [(output(0, 0, 0), Duration::ZERO)]);
    drop(running);
    assert_eq!(engine.running(), []);
    assert_eq!(engine.kept(), []);
    assert!(!mesh.clock.step(), "nobody sleeps on");
    let counters = engine.counters();
    assert_eq!(counters, ComputeCounters { tasks_started: 1, tasks_cancelled: 1, ..ComputeCounters::default() });

    // One that has never run leaves no trace.
    drop(mesh.start(0, &plan.stages[0], output(0, 0, 0), vec![]));
    assert_eq!(engine.counters(), counters);
}

#[test]
fn a_released_job_keeps_nothing_not_even_what_finishes_late() {
    let mesh = mesh();
    let plan = mesh.plan(SPEC).unwrap();
    let engine = &mesh.engines[1];
    let pins = run_stage(&mesh, &plan, 0, &[], |_| 1);
    assert!(matches!(engine.kept()[..], [(JOB, bytes)] if bytes > 10_000), "{:?}", engine.kept());
    let mut late = mesh.start(1, &plan.stages[0], output(0, 0, 1), vec![]);
    assert!(poll(&mut late).is_none());
    let mut open = engine.output(pins[0].output, 0).unwrap();
    engine.release(JOB);
    assert!(mesh.clock.drive(late).is_ok());
    assert_eq!(engine.kept(), []);
    let lost = |output: OutputId| Error::OutputLost { output, holder: peer(1) };
    assert_eq!(engine.output(pins[0].output, 0).err(), Some(lost(pins[0].output)));
    assert!(mesh.clock.drive(futures::StreamExt::next(&mut open)).is_some(), "who reads already may read on");

    // A reader of what is gone says whose output it was: from afar and at the holder itself.
    for at in [0, 1] {
        let reduce = mesh.start(at, &plan.stages[1], output(1, 0, 0), vec![pins.clone()]);
        assert_eq!(mesh.clock.drive(reduce), Err(lost(pins[0].output)));
    }
    assert_eq!(mesh.engines[0].counters().tasks_failed, 1);
}

#[test]
fn work_takes_the_time_that_the_model_says() {
    // 1,000 bytes that stand for 100 MB each, at 4 s a GB: 0.4 s a byte.
    let config = ComputeConfig { bytes_scale: 100_000_000, chunk_bytes: 1_000, ..config() };
    let mesh = Mesh::new(2, config, &[("big/a", 4_000), ("big/b", 5)]);
    let plan = mesh.plan("input = 'big/'\ngroups = 10\n[reduce]\ntasks = 2\nseconds_per_gb = 0.001").unwrap();
    assert_eq!(plan.stages[0].partitions, 5);
    let map = |partition: u32| {
        let output = output(0, partition, 0);
        let report = mesh.clock.drive(mesh.start(0, &plan.stages[0], output, vec![])).unwrap();
        (Duration::from_millis(report.elapsed_ms), InputPin { output, holder: peer(0) })
    };
    let mut pins = Vec::new();
    for partition in 0..4 {
        let (elapsed, pin) = map(partition);
        assert_eq!(elapsed, Duration::from_secs(400));
        pins.push(pin);
    }
    mesh.slowness.set(250);
    let (elapsed, pin) = map(4);
    assert_eq!(elapsed, Duration::from_secs(5));
    pins.push(pin);
    mesh.slowness.set(100);
    assert_eq!(mesh.engines[0].counters().busy, Duration::from_secs(1_605));

    // A peer that becomes slow in the middle of a task finishes it late.
    let mut task = mesh.start(0, &plan.stages[0], output(0, 0, 1), vec![]);
    assert!(poll(&mut task).is_none());
    let started = mesh.clock.now();
    while mesh.clock.now() - started < Duration::from_secs(100) {
        assert!(mesh.clock.step() && poll(&mut task).is_none());
    }
    mesh.slowness.set(200);
    let elapsed = Duration::from_millis(mesh.clock.drive(task).unwrap().elapsed_ms);
    // The step under way was begun at the old speed.
    assert!(elapsed.abs_diff(Duration::from_secs(700)) <= Duration::from_millis(250), "{elapsed:?}");
    mesh.slowness.set(100);

    // Rows are 40 bytes, and 0.0001 s a byte. Five producers, four at a time.
    let reduce = &plan.stages[1];
    let rows = pins.iter().map(|pin| decode_answer(&mesh.frames(*pin, 0).unwrap()).unwrap().len()).sum::<usize>();
    let work = Duration::from_millis(rows as u64 * 4);
    for (at, waiting) in [(0, Duration::ZERO), (1, 2 * ROUND_TRIP)] {
        let report = mesh.clock.drive(mesh.start(at, reduce, output(1, 0, at as u32), vec![pins.clone()])).unwrap();
        assert_eq!(Duration::from_millis(report.elapsed_ms), work + waiting);
        assert_eq!(report.fetched_bytes > 0, at == 1);
    }
}
