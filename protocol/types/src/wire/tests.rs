use std::fmt::Debug;

use proptest::prelude::*;

use super::*;
use crate::{
    AppendId, Appends, Ballot, ChunkId, ChunkRef, Copies, DiskState, Etag, FlowHeader, Format, FragmentId, Gossip,
    InputPin, JobId, LastScrub, Layout, Manifest, Member, MeshId, Moving, NameValue, ObjectName, OutputId,
    PeerCondition, PeerId, PeerInfo, PrepareReply, ReferencesFrom, RegisterEntry, RegisterKey, RegisterKind,
    RegisterOp, RegisterPlace, RegisterReply, RegisterSpan, RegisterTurn, Request, Response, RoleChange, ScrubProgress,
    SecretText, Secrets, StageId, TaskId, TaskReport, TaskSpec,
};

fn peer() -> PeerId {
    PeerId::from_bytes([3; 32])
}

fn output() -> OutputId {
    OutputId { task: TaskId { job: JobId::from_bytes([1; 10]), stage: StageId(2), partition: 3 }, attempt: 4 }
}

fn layout() -> Layout {
    let member = Member { id: peer(), name: "a".into(), zone: "b".into(), weight: 7, revision: 2, since: 1 };
    Layout::first(MeshId::from_bytes([9; 16]), member.clone(), 3).replaced_by(vec![member])
}

fn manifest() -> Manifest {
    Manifest {
        bytes: 1 << 40,
        etag: Etag("e".into()),
        md5: Some("m".into()),
        format: Format::Parquet,
        modified_ms: 1,
        chunks: vec![ChunkRef { id: ChunkId::of(b"x"), bytes: 1 }],
        inline: Some(Bytes::from_static(b"inline")),
    }
}

fn spec() -> TaskSpec {
    TaskSpec {
        output: output(),
        coordinator: peer(),
        fragment: FragmentId::of(b"plan"),
        buckets: 2,
        inputs: vec![vec![InputPin { output: output(), holder: peer() }], vec![]],
        memory_bytes: u64::MAX,
    }
}

fn check<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: T) {
    let frame = encode(&value).unwrap();
    assert_eq!(decode::<T>(&frame).unwrap(), value);
    // Whatever is cut off or hung on is noticed.
    for end in 0..frame.len() {
        assert!(decode::<T>(&frame[..end]).is_err(), "{end} of {} bytes of {value:?}", frame.len());
    }
    let longer = [&frame[..], &[0]].concat();
    assert!(decode::<T>(&longer).is_err());
    let other = [&[VERSION + 1], &frame[1..]].concat();
    assert!(matches!(decode::<T>(&other), Err(Error::BadFrame { what }) if what.contains("version")));
}

#[test]
fn every_kind_of_value_reads_back_as_it_was_written_and_only_whole() {
    let ballot = Ballot { counter: 5, proposer: peer() };
    let key = RegisterKey::Object("bucket/key".parse().unwrap());
    let value = Some(Bytes::from_static(b"value"));
    check(layout());
    check(manifest());
    check(NameValue::Object(manifest()));
    check(NameValue::Removed { nonce: 7 });
    let appends = Appends::default().and(AppendId::from_bytes([1; 16])).and(AppendId::from_bytes([2; 16]));
    check(NameValue::Appended { manifest: manifest(), appends: appends.clone() });
    check(NameValue::Gone { nonce: 7, appends });
    check(ObjectName::new("bucket/key").unwrap());
    check(RegisterEntry { key: key.clone(), promised: ballot, accepted: Ballot::ZERO, value: value.clone() });
    let info = PeerInfo {
        id: peer(),
        name: "n".into(),
        zone: "z".into(),
        weight: 1,
        addresses: vec!["h:1".into()],
        version: "0".into(),
        incarnation: u64::MAX,
        machine: 1,
        pid: 1,
        slots: 1,
        gateway: Some("127.0.0.1:1".into()),
        leaves: true,
        revision: 3,
        mesh: None,
        replicas: None,
    };
    check(info.clone());
    for gossip in [
        Gossip::Swim(Bytes::from_static(b"packet")),
        Gossip::Dead { incarnation: 1 },
        Gossip::Outdated { incarnation: 1 },
        Gossip::Leaving { incarnation: 1 },
        Gossip::Layout { mesh: MeshId::from_bytes([1; 16]), version: 3, replicas: 2 },
        Gossip::Info(info.into()),
        Gossip::Homeless,
    ] {
        check(gossip);
    }
    for request in [
        Request::LayoutGet,
        Request::Examine { addresses: vec!["h:1".into()] },
        Request::SecretsLearn(Secrets::first(SecretText::new("x"))),
        Request::RoleChange(RoleChange { zone: Some("z".into()), weight: None, leaves: Some(true) }),
        Request::LayoutLearn(layout()),
        Request::LayoutSynced(layout().id()),
        Request::Register {
            layout: layout().id(),
            key: key.clone(),
            op: RegisterOp::Accept { ballot, value: value.clone() },
        },
        Request::Register { layout: layout().id(), key: key.clone(), op: RegisterOp::Read },
        Request::Register { layout: layout().id(), key, op: RegisterOp::Forget { ballot } },
        Request::RegisterScan {
            layout: layout().id(),
            span: RegisterSpan::under(RegisterKind::Version, "p"),
            after: Some(RegisterPlace { name: "p/a".into(), version: u64::MAX }),
            limit: 9,
        },
        Request::ChunkHas { chunks: vec![ChunkId::of(b"x"); 3] },
        Request::ChunkKept { chunks: vec![(ChunkId::of(b"x"), Copies::from(5)); 3] },
        Request::JobList,
        Request::JobRelease { job: JobId::from_bytes([1; 10]) },
        Request::JobRuns { job: JobId::from_bytes([1; 10]) },
        Request::IsEmpty { replicas: 3 },
        Request::Moving,
        Request::ChunkClaim { chunks: vec![ChunkId::of(b"x"); 2], copies: Copies::from(1) },
        Request::References {
            layout: layout().id(),
            beside: vec![ChunkId::of(b"x")],
            from: ReferencesFrom::Registers(RegisterKind::Object, Some(RegisterPlace::of_name("b/k"))),
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
        Request::ChunkSums { layout: layout().id(), branch: None, total: u64::MAX },
    ] {
        check(request);
    }
    check::<Result<Response, Error>>(Ok(Response::Register(RegisterReply::Prepare(PrepareReply::Promised {
        accepted: ballot,
        value,
    }))));
    check::<Result<Response, Error>>(Ok(Response::Register(RegisterReply::Forgotten(true))));
    check::<Result<Response, Error>>(Ok(Response::Swept(true)));
    check::<Result<Response, Error>>(Ok(Response::RegisterSums(Some(vec![0, u64::MAX]))));
    check::<Result<Response, Error>>(Ok(Response::ChunkSums(Some(vec![0, u64::MAX]))));
    let ballots = vec![(RegisterKey::Version("b/k".parse().unwrap(), 7), ballot)];
    let next = Some((RegisterKind::Bucket, None));
    check::<Result<Response, Error>>(Ok(Response::RegisterBallots { ballots, next }));
    let next = Some(ReferencesFrom::InUse(Some(ChunkId::of(b"x"))));
    check::<Result<Response, Error>>(Ok(Response::References { chunks: vec![0, u64::MAX], next }));
    let moving = Moving { names_settled: 1, bytes_missing: u64::MAX, since_ms: 300, ..Moving::default() };
    check::<Result<Response, Error>>(Ok(Response::Moving(Some(moving))));
    let full = DiskState::Full { free_bytes: 1, needed_bytes: u64::MAX };
    let for_names = DiskState::FullForNames { free_bytes: 1, needed_bytes: u64::MAX };
    let [failed, gone] = [DiskState::Failed { why: "w".into() }, DiskState::Gone { why: "w".into() }];
    for disk in [DiskState::Fine, full, failed, gone, for_names] {
        let last_scrub = Some(LastScrub { ended_ms: 1, bad: 2, ..LastScrub::default() });
        let condition = PeerCondition { disk, chunks: 3, last_scrub, moving: Some(moving), ..PeerCondition::default() };
        check::<Result<Response, Error>>(Ok(Response::Condition(condition)));
    }
    check::<Result<Response, Error>>(Err(Error::OutputLost { output: output(), holder: peer() }));
    for header in [
        FlowHeader::ChunkPut { chunk: ChunkId::of(b"x"), bytes: 1, copies: Copies::from(7) },
        FlowHeader::ChunkGet { chunk: ChunkId::of(b"x"), range: Some((1, 2)) },
        FlowHeader::FragmentGet { job: JobId::from_bytes([1; 10]), fragment: FragmentId::of(b"f") },
        FlowHeader::TaskRun(spec()),
        FlowHeader::OutputGet { output: output(), bucket: 1 },
        FlowHeader::Scrub { bytes_per_second: 1 },
        FlowHeader::ChunkRepair { chunk: ChunkId::of(b"x"), bytes: 1, copies: Copies::DEFAULT },
        FlowHeader::ChunkSlice { chunk: ChunkId::of(b"x"), range: (1, 2) },
        FlowHeader::RegisterTurn { key: RegisterKey::Object("b/k".parse().unwrap()) },
    ] {
        check(header);
    }
    check::<Result<RegisterTurn, Error>>(Ok(RegisterTurn::Waits));
    let scrub = ScrubProgress { copies: 1, bytes_held: u64::MAX, is_done: true, ..ScrubProgress::default() };
    check::<Result<ScrubProgress, Error>>(Ok(scrub));
    check::<Result<TaskReport, Error>>(Ok(TaskReport { rows: vec![1, 2], bytes: vec![3], ..TaskReport::default() }));
}

/// Bytes from anybody: an error perhaps, a panic or much memory never.
fn survives(bytes: &[u8]) {
    let _ = decode::<Gossip>(bytes);
    let _ = decode::<Request>(bytes);
    let _ = decode::<Result<Response, Error>>(bytes);
    let _ = decode::<FlowHeader>(bytes);
    let _ = decode::<Result<TaskReport, Error>>(bytes);
    let _ = decode::<Result<ScrubProgress, Error>>(bytes);
    let _ = decode::<Result<RegisterTurn, Error>>(bytes);
    let _ = decode::<LastScrub>(bytes);
    let _ = decode::<Layout>(bytes);
    let _ = decode::<Manifest>(bytes);
    let _ = decode::<NameValue>(bytes);
    let _ = decode::<RegisterEntry>(bytes);
    let _ = decode::<PeerInfo>(bytes);
}

proptest! {
    #[test]
    fn garbage_is_survived(mut bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        survives(&bytes);
        if let Some(first) = bytes.first_mut() {
            *first = VERSION;
        }
        survives(&bytes);
    }

    #[test]
    fn a_changed_frame_is_survived(at in 0usize..400, byte in any::<u8>()) {
        for frame in [
            encode(&Request::LayoutLearn(layout())).unwrap(),
            encode(&FlowHeader::TaskRun(spec())).unwrap(),
            encode(&manifest()).unwrap(),
        ] {
            let mut frame = frame.to_vec();
            let at = at % frame.len();
            frame[at] = byte;
            survives(&frame);
        }
    }
}

#[test]
fn a_register_of_what_is_no_name_is_not_read() {
    let read = |name: &str| decode::<RegisterKey>(&encode(&(1u32, name)).unwrap());
    assert_eq!(read("b/k").unwrap(), RegisterKey::Object("b/k".parse().unwrap()));
    for name in ["", "b", "b/", "/k", "b/../k", "b/\0", &format!("b/{}", "k".repeat(2_000))] {
        assert!(read(name).is_err(), "{name}");
    }
}
