//! A job, whose tasks report and fail as peers like to say.

use shoal_job::{Action, Event, Job, JobConfig};
use shoal_types::{
    Error, Fingerprint, JobId, JobPlan, OutputId, PeerId, StageId, StageInput, StagePlan, TaskId, TaskReport, wire,
};

use crate::script::{Script, with_length};

/// Peers that run its tasks.
const PEERS: u8 = 4;

const ID: JobId = JobId::from_bytes([1; 10]);

fn peer(n: u8) -> PeerId {
    PeerId::from_bytes([n % PEERS; 32])
}

fn plan() -> JobPlan {
    let stage = |partitions, buckets, inputs| StagePlan {
        title: "stage".into(),
        fragment: b"plan".as_slice().into(),
        partitions,
        buckets,
        inputs,
        chunks: vec![],
    };
    let stages = vec![
        stage(3, 2, vec![]),
        stage(2, 1, vec![StageInput::Partitioned(StageId(0))]),
        stage(1, 1, vec![StageInput::Broadcast(StageId(1))]),
    ];
    JobPlan { title: "q".into(), stages, engine: "e".into() }
}

pub(crate) fn run(bytes: &[u8]) {
    let mut script = Script(bytes);
    let mut job = Job::new(ID, &plan(), JobConfig::default(), |_, partition| vec![peer(partition as u8)]).unwrap();
    let mut running: Vec<(OutputId, PeerId)> = Vec::new();
    let mut is_over = false;
    while let Some(event) = event(&mut script, &mut running) {
        for action in job.handle(event) {
            assert!(!is_over, "over, and still: {action:?}");
            match action {
                Action::Run { output, peer, .. } => running.push((output, peer)),
                Action::Abort { output, peer } => running.retain(|run| *run != (output, peer)),
                Action::Failed(error) => {
                    is_over = true;
                    let _ = (error.to_string(), error.hint(), error.class());
                    // Whoever asks for the job is told.
                    assert_eq!(wire::decode::<Error>(&wire::encode(&error).unwrap()).unwrap(), error);
                }
                Action::Happened(_) | Action::Answered(_) => {}
            }
        }
        let stages = job.progress();
        assert!(stages.iter().all(|stage| stage.done + stage.running <= stage.tasks));
        let sum = |sum: Fingerprint, report: &TaskReport| sum.and(report.fingerprint);
        let _ = job.reports().fold(Fingerprint::default(), |so_far, (_, report)| sum(so_far, report));
    }
}

fn event(script: &mut Script<'_>, running: &mut Vec<(OutputId, PeerId)>) -> Option<Event> {
    let (kind, which) = (script.byte()?, script.byte()?);
    // One that runs, or any.
    let (output, from) = match running.is_empty() || which >= 0xf0 {
        true => {
            let task = TaskId { job: ID, stage: StageId(u32::from(kind)), partition: u32::from(which) };
            (OutputId { task, attempt: u32::from(kind) }, peer(which))
        }
        false => running.swap_remove(usize::from(which) % running.len()),
    };
    Some(match kind % 6 {
        // One, or two that are there together.
        0 => Event::PeersUp { slots: [which, which & kind].map(|which| (peer(which), u32::from(kind / 6))).into() },
        1 => Event::PeerLost { peer: peer(which) },
        2 | 3 => match script.value::<Result<TaskReport, Error>>()? {
            Ok(report) => Event::Finished { output, peer: from, report },
            Err(error) => Event::Failed { output, peer: from, error },
        },
        4 => Event::AnswerLost { output },
        _ => Event::Failed { output, peer: from, error: Error::OutputLost { output, holder: from } },
    })
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let frame = |result: Result<TaskReport, Error>| with_length(&wire::encode(&result).unwrap());
    let report = |rows: u64| TaskReport {
        rows: vec![rows, 1],
        bytes: vec![rows],
        fingerprint: Fingerprint { rows, sum: 5 },
        scanned_local_bytes: rows,
        ..TaskReport::default()
    };
    let ups: Vec<u8> = (0..PEERS).flat_map(|n| [12, n]).collect();
    let done: Vec<u8> = [&[2, 0][..], &frame(Ok(report(3)))].concat();
    let much: Vec<u8> = [&[2, 0][..], &frame(Ok(report(u64::MAX)))].concat();
    let cause = Error::exhausted("0.1", 4, Error::Unreachable { peer: peer(1), why: "gone".into() });
    let failed: Vec<u8> = [&[3, 1][..], &frame(Err(cause))].concat();
    vec![
        [ups.clone(), done.repeat(6)].concat(),
        [ups.clone(), much.repeat(6)].concat(),
        [ups.clone(), done.repeat(2), failed.repeat(5)].concat(),
        [ups, done.repeat(6), vec![1, 0, 1, 1, 1, 2]].concat(),
    ]
}
