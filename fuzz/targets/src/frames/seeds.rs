//! Frames as peers send them.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Serialize;
use shoal_types::{
    AppendId, Appends, Ballot, BucketSettings, ChunkId, ChunkRef, Copies, DiskState, Error, Etag, FlowHeader, Format,
    FragmentId, Gossip, InputPin, JobEvent, JobId, JobState, JobSummary, LastScrub, Layout, Manifest, Member, MeshId,
    Moving, NameValue, OutputId, PeerCondition, PeerId, PrepareReply, ReferencesFrom, RegisterEntry, RegisterKey,
    RegisterKind, RegisterOp, RegisterPlace, RegisterReply, RegisterSpan, RegisterTurn, Request, Response,
    ScrubProgress, SliceProof, StageId, StageProgress, TaskId, TaskReport, TaskSpec, wire,
};

fn peer(n: u8) -> PeerId {
    PeerId::from_bytes([n; 32])
}

fn output() -> OutputId {
    OutputId { task: TaskId { job: JobId::from_bytes([1; 10]), stage: StageId(2), partition: 3 }, attempt: 4 }
}

fn layout() -> Layout {
    let member = |n| Member {
        id: peer(n),
        name: "minnow".into(),
        zone: "a".into(),
        weight: u32::from(n),
        revision: 0,
        since: 0,
    };
    Layout::first(MeshId::from_bytes([9; 16]), member(1), 3).replaced_by((0..4).map(member).collect())
}

fn manifest() -> Manifest {
    Manifest {
        bytes: 8,
        etag: Etag("e".into()),
        md5: Some("m".into()),
        format: Format::Parquet,
        modified_ms: 1,
        chunks: vec![ChunkRef { id: ChunkId::of(b"x"), bytes: 4 }; 2],
        inline: Some(Bytes::from_static(b"inline")),
    }
}

fn entry() -> RegisterEntry {
    let value = wire::encode(&NameValue::Object(manifest())).ok();
    RegisterEntry {
        key: RegisterKey::Object("b/k".parse().unwrap()),
        promised: ballot(),
        accepted: Ballot::ZERO,
        value,
    }
}

fn ballot() -> Ballot {
    Ballot { counter: 5 << 32, proposer: peer(2) }
}

fn exhausted() -> Error {
    Error::exhausted("0.1", 4, Error::Unreachable { peer: peer(3), why: "it went away".into() })
}

fn summary() -> JobSummary {
    JobSummary {
        id: JobId::from_bytes([1; 10]),
        coordinator: peer(1),
        title: "select 1".into(),
        state: JobState::Failed(exhausted()),
        submitted_ms: 1,
        elapsed_ms: 2,
        stages: vec![StageProgress { title: "scan".into(), tasks: 1, running: 0, done: 1, reruns: 0 }],
        fingerprint: Some(Default::default()),
        scanned_local_bytes: 1,
        scanned_remote_bytes: 2,
        fetched_bytes: 3,
        events: vec![
            (1, JobEvent::Planned { stages: 1, tasks: 1 }),
            (2, JobEvent::AttemptFailed { output: output(), peer: peer(2), error: exhausted() }),
            (3, JobEvent::PeerLost { peer: peer(2), running: vec![output()], outputs: vec![] }),
            (4, JobEvent::Ended { state: JobState::Cancelled }),
        ],
    }
}

fn condition() -> PeerCondition {
    let disk = DiskState::Full { free_bytes: 1 << 20, needed_bytes: u64::MAX };
    let last_scrub = Some(LastScrub { copies: 3, bad: 1, mended: 1, ..LastScrub::default() });
    PeerCondition { disk, bad_copies: 1, last_scrub, moving: Some(Moving::default()), ..PeerCondition::default() }
}

fn frames<T: Serialize>(values: impl IntoIterator<Item = T>) -> Vec<Vec<u8>> {
    values.into_iter().map(|value| wire::encode(&value).expect("a seed encodes").to_vec()).collect()
}

pub(crate) fn gossips() -> Vec<Vec<u8>> {
    frames([
        Gossip::Swim(Bytes::from_static(b"packet")),
        Gossip::Dead { incarnation: u64::MAX },
        Gossip::Outdated { incarnation: 1 },
        Gossip::Leaving { incarnation: 1 },
        Gossip::Layout { mesh: MeshId::from_bytes([1; 16]), version: 3, replicas: 2 },
        Gossip::Homeless,
    ])
}

pub(crate) fn requests() -> Vec<Vec<u8>> {
    let key = RegisterKey::Object("bucket/key".parse().unwrap());
    let value = Some(Bytes::from_static(b"value"));
    frames([
        Request::LayoutGet,
        Request::LayoutLearn(layout()),
        Request::LayoutSynced(layout().id()),
        Request::Register { layout: layout().id(), key: key.clone(), op: RegisterOp::Prepare { ballot: ballot() } },
        Request::Register {
            layout: layout().id(),
            key: key.clone(),
            op: RegisterOp::Accept { ballot: ballot(), value },
        },
        Request::Register { layout: layout().id(), key, op: RegisterOp::Read },
        Request::RegisterScan {
            layout: layout().id(),
            span: RegisterSpan::under(RegisterKind::Version, "p"),
            after: Some(RegisterPlace { name: "p/a".into(), version: u64::MAX }),
            limit: 9,
        },
        Request::ChunkHas { chunks: vec![ChunkId::of(b"x"); 3] },
        Request::JobShow { job: JobId::from_bytes([1; 10]) },
        Request::IsEmpty { replicas: 3 },
        Request::JobRelease { job: JobId::from_bytes([1; 10]) },
        Request::Moving,
        Request::ChunkClaim { chunks: vec![ChunkId::of(b"x"); 2], copies: Copies::from(1) },
        Request::References {
            layout: layout().id(),
            beside: vec![ChunkId::of(b"x")],
            from: ReferencesFrom::Registers(RegisterKind::Bucket, None),
        },
        Request::Condition,
        Request::ChunkWanted { chunk: ChunkId::of(b"x"), copies: Copies::DEFAULT },
        Request::RegistersSwept(layout().id()),
        Request::RegisterSums { layout: layout().id(), branch: Some(7) },
        Request::RegisterBallots {
            layout: layout().id(),
            leaves: vec![0, u16::MAX],
            kind: RegisterKind::Version,
            after: Some(RegisterPlace::of_name("b/k")),
        },
        Request::ChunkSums { layout: layout().id(), branch: Some(7), total: u64::MAX },
    ])
}

pub(crate) fn answers() -> Vec<Vec<u8>> {
    let promised = PrepareReply::Promised { accepted: ballot(), value: None };
    frames([
        Ok(Response::Done),
        Ok(Response::Layout(Some(layout()))),
        Ok(Response::Synced(Some(vec![peer(1), peer(2)]))),
        Ok(Response::Register(RegisterReply::Prepare(promised))),
        Ok(Response::Entries { entries: vec![entry()], more: true }),
        Ok(Response::Has(vec![true, false])),
        Ok(Response::Jobs(vec![summary(); 2])),
        Ok(Response::Job(Some(summary()))),
        Ok(Response::Moving(None)),
        Ok(Response::References { chunks: vec![0, u64::MAX], next: Some(ReferencesFrom::InUse(None)) }),
        Ok(Response::Moving(Some(Moving { copies_missing: u64::MAX, since_ms: 1, ..Moving::default() }))),
        Ok(Response::Condition(condition())),
        Ok(Response::Register(RegisterReply::Forgotten(true))),
        Ok(Response::Swept(false)),
        Ok(Response::RegisterSums(Some(vec![0, u64::MAX]))),
        Ok(Response::RegisterBallots {
            ballots: vec![(entry().key, ballot()); 2],
            next: Some((RegisterKind::Version, Some(RegisterPlace::of_name("b/k")))),
        }),
        Ok(Response::ChunkSums(Some(vec![0, u64::MAX]))),
        Ok(Response::ChunkSums(None)),
        Err(exhausted()),
        Err(Error::OutputLost { output: output(), holder: peer(3) }),
    ])
}

pub(crate) fn flow_headers() -> Vec<Vec<u8>> {
    let pin = |partition, attempt, holder| {
        let task = TaskId { partition, ..output().task };
        InputPin { output: OutputId { task, attempt }, holder: peer(holder) }
    };
    let spec = TaskSpec {
        output: output(),
        coordinator: peer(1),
        fragment: FragmentId::of(b"plan"),
        buckets: 2,
        inputs: vec![vec![pin(0, 0, 1), pin(1, 0, 2), pin(7, 1, 1)], vec![]],
        memory_bytes: u64::MAX,
    };
    frames([
        FlowHeader::ChunkPut { chunk: ChunkId::of(b"x"), bytes: 1, copies: Copies::from(7) },
        FlowHeader::ChunkGet { chunk: ChunkId::of(b"x"), range: Some((1, 2)) },
        FlowHeader::FragmentGet { job: JobId::from_bytes([1; 10]), fragment: FragmentId::of(b"f") },
        FlowHeader::TaskRun(spec),
        FlowHeader::OutputGet { output: output(), bucket: 1 },
        FlowHeader::Scrub { bytes_per_second: 1 << 20 },
        FlowHeader::ChunkRepair { chunk: ChunkId::of(b"x"), bytes: 1, copies: Copies::DEFAULT },
        FlowHeader::ChunkSlice { chunk: ChunkId::of(b"x"), range: (1, 2) },
        FlowHeader::RegisterTurn { key: RegisterKey::Object("b/k".parse().expect("a name")) },
    ])
}

pub(crate) fn flow_answers() -> Vec<Vec<u8>> {
    let report = TaskReport { rows: vec![1, 2], bytes: vec![3], ..TaskReport::default() };
    let mut seeds = frames([Ok(report), Err(exhausted())]);
    seeds.extend(frames([Ok::<u32, Error>(1 << 20)]));
    let scrub = ScrubProgress { copies: 1, copies_held: 2, is_done: true, ..ScrubProgress::default() };
    seeds.extend(frames([Ok::<_, Error>(scrub)]));
    seeds.extend(frames([Ok::<(), Error>(()), Err(Error::Cancelled)]));
    seeds.extend(frames([Ok::<_, Error>(RegisterTurn::Waits), Ok(RegisterTurn::Begins)]));
    seeds.extend(frames([Ok::<_, Error>(SliceProof::of(&vec![7; 5 << 16], (1 << 16, 2 << 16)))]));
    seeds
}

pub(crate) fn all_kept() -> Vec<Vec<u8>> {
    let addresses: BTreeMap<_, _> = (0..3).map(|n| (peer(n), vec![format!("10.0.0.{n}:7000")])).collect();
    let mut seeds = frames([layout(), layout().settled()]);
    let appends = Appends::default().and(AppendId::from_bytes([1; 16])).and(AppendId::from_bytes([2; 16]));
    let gone = NameValue::Gone { nonce: 7, appends: appends.clone() };
    let appended = NameValue::Appended { manifest: manifest(), appends };
    let former = NameValue::Former { manifest: manifest(), replaced_ms: u64::MAX };
    seeds.extend(frames([NameValue::Object(manifest()), NameValue::Removed { nonce: 7 }, appended, former, gone]));
    seeds.extend(frames([BucketSettings { history_s: 86_400, replicas: Some(1), write_copies: None }]));
    let version = RegisterKey::Version("b/k".parse().unwrap(), 7);
    seeds.extend(frames([RegisterEntry { key: version, ..entry() }]));
    seeds.extend(frames([RegisterEntry { key: RegisterKey::Bucket("b".parse().unwrap()), ..entry() }]));
    seeds.extend(frames([entry()]));
    seeds.extend(frames([1_800_000_000_000u64]));
    seeds.extend(frames([LastScrub { ended_ms: 1_800_000_000_000, copies: 7, ..LastScrub::default() }]));
    seeds.extend(frames([addresses]));
    seeds.extend(frames(["bucket/key"]));
    seeds
}

/// How many bytes come at a time, then frames, each after its length.
pub(crate) fn on_a_stream() -> Vec<Vec<u8>> {
    let framed = |bytes: &[u8]| [&(bytes.len() as u32).to_le_bytes(), bytes].concat();
    let all: Vec<u8> = gossips().iter().flat_map(|frame| framed(frame)).collect();
    let ended = [&[200], &framed(&[7; 5_000])[..], &framed(b""), &[0xff; 4]].concat();
    vec![[&[3], &all[..]].concat(), [&[255], &all[..]].concat(), ended]
}

pub(crate) fn call_heads() -> Vec<Vec<u8>> {
    let head = |bytes: u32, id: u64, status: u8| [&bytes.to_le_bytes()[..], &id.to_le_bytes(), &[status]].concat();
    vec![head(0, 1, 0), head(1 << 20, u64::MAX, 2), [head(5, 2, 1), head(6, 3, 0)].concat()]
}

/// Frames of yamux: version, type, flags, stream, length, all big-endian.
pub(crate) fn streams() -> Vec<Vec<u8>> {
    let [data, window, ping, away] = [0, 1, 2, 3];
    let [syn, fin, reset] = [1, 4, 8];
    let frame = |kind: u8, flags: u16, stream: u32, length: u32, body: &[u8]| {
        [&[0, kind], &flags.to_be_bytes()[..], &stream.to_be_bytes(), &length.to_be_bytes(), body].concat()
    };
    let open = frame(window, syn, 1, 0, b"");
    let talk = frame(data, 0, 1, 5, b"hello");
    let another = frame(data, syn, 3, 2, b"hi");
    let ends = [frame(data, fin, 1, 0, b""), frame(window, reset, 3, 0, b""), frame(away, 0, 0, 0, b"")].concat();
    vec![
        [open.clone(), talk.clone(), another, ends].concat(),
        [open, frame(ping, syn, 0, 7, b""), talk, frame(window, 0, 1, u32::MAX, b"")].concat(),
        (0..400).flat_map(|n| frame(window, syn, n * 2 + 1, 0, b"")).collect(),
    ]
}
