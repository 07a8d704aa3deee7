use bytes::Bytes;
use shoal_types::StagePlan;

use super::*;

fn peer(n: u8) -> PeerId {
    PeerId::from_bytes([n; 32])
}

fn stage(partitions: u32, buckets: u32, inputs: Vec<StageInput>) -> StagePlan {
    StagePlan { title: String::new(), fragment: Bytes::new(), partitions, buckets, inputs, chunks: vec![] }
}

/// Scan (4) → aggregate (2) → answer (1).
fn plan() -> JobPlan {
    JobPlan {
        title: "test".into(),
        stages: vec![
            stage(4, 2, vec![]),
            stage(2, 1, vec![StageInput::Partitioned(StageId(0))]),
            stage(1, 1, vec![StageInput::Broadcast(StageId(1))]),
        ],
        engine: "test".into(),
    }
}

fn job(preferred: impl Fn(usize, usize) -> Vec<PeerId>) -> Job {
    Job::new(JobId::from_bytes([1; 10]), &plan(), JobConfig::default(), preferred).unwrap()
}

type Running = Vec<(OutputId, PeerId, Pinned)>;

/// Takes the runs out of the actions, and gives the rest.
fn apply(running: &mut Running, actions: Vec<Action>) -> Vec<Action> {
    let mut rest = Vec::new();
    for action in actions {
        match action {
            Action::Run { output, peer, inputs } => running.push((output, peer, inputs)),
            Action::Abort { output, .. } => running.retain(|(other, ..)| *other != output),
            other => rest.push(other),
        }
    }
    rest
}

fn finish(job: &mut Job, running: &mut Running, at: usize) -> Vec<Action> {
    let (output, peer, _) = running.remove(at);
    let actions = job.handle(Event::Finished { output, peer, report: TaskReport::default() });
    apply(running, actions)
}

/// Peers that are there, and how many tasks each can run.
fn up(peers: &[(u8, u32)]) -> Event {
    Event::PeersUp { slots: peers.iter().map(|(n, slots)| (peer(*n), *slots)).collect() }
}

fn answered(actions: &[Action]) -> bool {
    actions.iter().any(|action| matches!(action, Action::Answered(_)))
}

fn failed(actions: &[Action]) -> Option<&Error> {
    actions.iter().find_map(|action| match action {
        Action::Failed(error) => Some(error),
        _ => None,
    })
}

#[test]
fn a_task_runs_where_its_chunks_are() {
    // The first of those who are there has none of them, and room for all.
    let near = |partition: u32| peer(3 - partition as u8 % 2);
    let mut job = job(|stage, partition| if stage == 0 { vec![near(partition as u32)] } else { vec![] });
    let mut running = vec![];
    apply(&mut running, job.handle(up(&[(1, 4), (2, 4), (3, 4)])));
    assert_eq!(running.len(), 4);
    assert!(running.iter().all(|(output, on, _)| *on == near(output.task.partition)), "{running:?}");
}

#[test]
fn a_consumer_waits_for_all_producers_and_pins_their_attempts() {
    let mut job = job(|_, _| vec![]);
    let mut running = vec![];
    let actions = job.handle(up(&[(1, 8)]));
    apply(&mut running, actions);
    for _ in 0..3 {
        finish(&mut job, &mut running, 0);
        assert!(running.iter().all(|(output, ..)| output.task.stage == StageId(0)));
    }
    finish(&mut job, &mut running, 0);
    assert_eq!(running.len(), 2);
    let pins = &running[0].2[0];
    assert_eq!(pins.iter().map(|pin| pin.output.task.partition).collect::<Vec<_>>(), [0, 1, 2, 3]);
}

#[test]
fn no_peer_runs_more_than_its_slots() {
    let mut job = job(|_, _| vec![]);
    let mut running = vec![];
    let actions = job.handle(up(&[(1, 1)]));
    apply(&mut running, actions);
    let actions = job.handle(up(&[(2, 2)]));
    apply(&mut running, actions);
    assert_eq!(running.len(), 3);
    assert_eq!(running.iter().filter(|(_, p, _)| *p == peer(1)).count(), 1);
}

#[test]
fn a_peer_that_gets_no_more_tasks_ends_those_it_has_and_its_outputs_are_read() {
    let mut job = job(|stage, _| if stage == 0 { vec![peer(1)] } else { vec![] });
    let mut running = vec![];
    let actions = job.handle(up(&[(1, 4)]));
    apply(&mut running, actions);
    let actions = job.handle(up(&[(2, 4)]));
    apply(&mut running, actions);
    assert_eq!(running.len(), 4);
    let actions = job.handle(up(&[(1, 0)]));
    assert!(actions.is_empty(), "{actions:?}");
    while running.iter().any(|(output, ..)| output.task.stage == StageId(0)) {
        finish(&mut job, &mut running, 0);
    }
    assert!(!running.is_empty() && running.iter().all(|(_, on, _)| *on == peer(2)));
    assert!(running[0].2[0].iter().all(|pin| pin.holder == peer(1)));
}

#[test]
fn what_a_dead_peer_ran_and_held_is_run_again_and_consumers_pin_the_new_attempts() {
    let mut job = job(|_, _| vec![]);
    let mut running = vec![];
    for n in 1..=2 {
        let actions = job.handle(up(&[(n, 2)]));
        apply(&mut running, actions);
    }
    while running.iter().any(|(output, ..)| output.task.stage == StageId(0)) {
        finish(&mut job, &mut running, 0);
    }
    assert_eq!(running.len(), 2);
    let actions = job.handle(Event::PeerLost { peer: peer(2) });
    running.retain(|(_, on, _)| *on != peer(2));
    let rest = apply(&mut running, actions);
    let lost = rest.iter().find_map(|action| match action {
        Action::Happened(JobEvent::PeerLost { running, outputs, .. }) => Some((running.len(), outputs.len())),
        _ => None,
    });
    assert_eq!(lost, Some((1, 2)));
    // The consumer that still runs finds its input gone.
    let at = running.iter().position(|(output, ..)| output.task.stage == StageId(1)).unwrap();
    let (output, on, inputs) = running.remove(at);
    let gone = inputs[0].iter().find(|pin| pin.holder == peer(2)).unwrap().output;
    let actions =
        job.handle(Event::Failed { output, peer: on, error: Error::OutputLost { output: gone, holder: peer(2) } });
    apply(&mut running, actions);
    let mut done = false;
    while !done {
        let rest = finish(&mut job, &mut running, 0);
        done = answered(&rest);
        for (_, _, inputs) in &running {
            assert!(inputs.iter().flatten().all(|pin| pin.holder == peer(1)), "a pin on the dead peer");
        }
    }
}

#[test]
fn an_output_that_nobody_needs_is_not_made_again() {
    let mut job = job(|stage, _| if stage == 0 { vec![peer(2)] } else { vec![peer(1)] });
    let mut running = vec![];
    let actions = job.handle(up(&[(2, 8)]));
    apply(&mut running, actions);
    while running.iter().any(|(output, ..)| output.task.stage == StageId(0)) {
        finish(&mut job, &mut running, 0);
    }
    let actions = job.handle(up(&[(1, 8)]));
    apply(&mut running, actions);
    // Stage 1 was started on peer 2 before peer 1 came.
    while running.iter().any(|(output, ..)| output.task.stage == StageId(1)) {
        finish(&mut job, &mut running, 0);
    }
    assert_eq!(running.len(), 1);
    assert_eq!(running[0].0.task.stage, StageId(2));
    assert!(answered(&finish(&mut job, &mut running, 0)));
    let actions = job.handle(Event::PeerLost { peer: peer(2) });
    assert!(apply(&mut running, actions).iter().all(|action| matches!(action, Action::Happened(_))));
    assert!(running.is_empty());
}

#[test]
fn a_users_error_ends_the_job_at_once_and_stops_everything_else() {
    let mut job = job(|_, _| vec![]);
    let mut running = vec![];
    let actions = job.handle(up(&[(1, 8)]));
    apply(&mut running, actions);
    let (output, on, _) = running.remove(0);
    let error = Error::invalid("division by zero", "");
    let actions = job.handle(Event::Failed { output, peer: on, error: error.clone() });
    assert_eq!(actions.iter().filter(|action| matches!(action, Action::Abort { .. })).count(), 3);
    assert_eq!(failed(&actions), Some(&error));
    assert!(job.handle(up(&[(2, 8)])).is_empty());
}

#[test]
fn four_attempts_then_a_failure_with_the_first_cause() {
    let mut job = job(|_, _| vec![]);
    let mut running = vec![];
    let actions = job.handle(up(&[(1, 1)]));
    apply(&mut running, actions);
    let cause = |n| Error::DiskFailed { peer: peer(1), why: format!("cause {n}") };
    for n in 0..4 {
        let (output, on, _) = running.remove(0);
        let actions = job.handle(Event::Failed { output, peer: on, error: cause(n) });
        if n == 3 {
            let expected = Error::Exhausted { task: "0.0".into(), attempts: 4, cause: Box::new(cause(0)) };
            assert_eq!(failed(&actions), Some(&expected));
        } else {
            assert_eq!(failed(&actions), None);
        }
        apply(&mut running, actions);
    }
}

#[test]
fn late_news_of_an_attempt_that_was_given_up_is_not_accepted() {
    let mut job = job(|_, _| vec![]);
    let mut running = vec![];
    let actions = job.handle(up(&[(1, 4)]));
    apply(&mut running, actions);
    let (late, on, _) = running[0].clone();
    job.handle(Event::PeerLost { peer: peer(1) });
    let actions = job.handle(Event::Finished { output: late, peer: on, report: TaskReport::default() });
    assert_eq!(actions, [Action::Abort { output: late, peer: on }]);
    assert_eq!(job.progress()[0].done, 0);
}

#[test]
fn a_plan_whose_stages_do_not_fit_is_refused() {
    let bad = JobPlan { stages: vec![stage(1, 1, vec![StageInput::Broadcast(StageId(0))])], ..plan() };
    assert!(Job::new(JobId::from_bytes([1; 10]), &bad, JobConfig::default(), |_, _| vec![]).is_err());
    let bad =
        JobPlan { stages: vec![stage(2, 3, vec![]), stage(2, 1, vec![StageInput::Partitioned(StageId(0))])], ..plan() };
    assert!(Job::new(JobId::from_bytes([1; 10]), &bad, JobConfig::default(), |_, _| vec![]).is_err());
}

/// Peers come and go in any order while tasks end in any order: whatever
/// happens, the job ends, and a task never reads a peer known to be gone.
#[test]
fn any_order_of_deaths_and_ends_leads_to_an_end() {
    for seed in 0..500u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut random = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % below as u64) as usize
        };
        let mut job = job(|_, partition| vec![peer(1 + partition as u8), peer(2)]);
        let mut running = vec![];
        let mut alive: Vec<u8> = vec![1, 2, 3];
        for n in &alive {
            let actions = job.handle(up(&[(*n, 2)]));
            apply(&mut running, actions);
        }
        let mut next = 4;
        let mut ended = false;
        for step in 0..1000 {
            let rest = if step < 12 && random(5) == 0 && alive.len() > 1 {
                let dead = peer(alive.remove(random(alive.len())));
                running.retain(|(_, on, _)| *on != dead);
                let actions = job.handle(Event::PeerLost { peer: dead });
                apply(&mut running, actions)
            } else if step < 12 && random(5) == 0 {
                alive.push(next);
                next += 1;
                let actions = job.handle(up(&[(next - 1, 2)]));
                apply(&mut running, actions)
            } else if running.is_empty() {
                vec![]
            } else {
                let at = random(running.len());
                let lost = running[at].2.iter().flatten().find(|pin| !alive.iter().any(|n| peer(*n) == pin.holder));
                match lost.copied() {
                    Some(pin) => {
                        let (output, on, _) = running.remove(at);
                        let error = Error::OutputLost { output: pin.output, holder: pin.holder };
                        let actions = job.handle(Event::Failed { output, peer: on, error });
                        apply(&mut running, actions)
                    }
                    None => finish(&mut job, &mut running, at),
                }
            };
            if answered(&rest) || failed(&rest).is_some() {
                ended = true;
                break;
            }
        }
        assert!(ended, "seed {seed}: {:?}", job.progress());
    }
}
