//! Frames, by what they carry, and the streams on which they come.

mod seeds;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use shoal_placement::{PlacementKey, layout_owners};
use shoal_types::{
    AppendId, Appends, BucketSettings, ChunkId, Error, FlowHeader, Gossip, JobState, LastScrub, Layout, Manifest,
    NameValue, ObjectName, PeerId, RegisterEntry, Request, Response, ScrubProgress, SliceProof, TaskReport, wire,
};

use crate::memory;
pub(crate) use seeds::{
    all_kept, answers, call_heads, flow_answers, flow_headers, gossips, on_a_stream, requests, streams,
};

/// Copies of each chunk, as peers have it by default.
const REPLICAS: usize = 3;

/// The value in a frame, having been told from every other.
fn decoded<T: Serialize + DeserializeOwned + PartialEq + Debug>(frame: &[u8]) -> Option<T> {
    match memory::in_bounds(frame.len(), || wire::decode::<T>(frame)) {
        Ok(value) => {
            let again = wire::encode(&value).expect("what was decoded encodes");
            assert_eq!(wire::decode::<T>(&again).expect("what was encoded decodes"), value);
            Some(value)
        }
        Err(error) => {
            assert!(matches!(error, Error::BadFrame { .. }), "{error}");
            assert!(error.to_string().len() < 1_000);
            None
        }
    }
}

pub(crate) fn gossip(bytes: &[u8]) {
    decoded::<Gossip>(bytes);
}

pub(crate) fn request(bytes: &[u8]) {
    match decoded::<Request>(bytes) {
        Some(Request::LayoutLearn(layout)) => told(&layout),
        Some(Request::Register { key, .. }) => drop(key.to_string()),
        Some(_) | None => {}
    }
}

/// The answer to a call.
pub(crate) fn answer(bytes: &[u8]) {
    match decoded::<Result<Response, Error>>(bytes) {
        Some(Ok(Response::Layout(Some(layout)))) => told(&layout),
        Some(Ok(Response::Jobs(jobs))) => {
            for job in jobs {
                if let JobState::Failed(error) = job.state {
                    complains(&error);
                }
            }
        }
        Some(Ok(_)) | None => {}
        Some(Err(error)) => complains(&error),
    }
}

pub(crate) fn flow_header(bytes: &[u8]) {
    decoded::<FlowHeader>(bytes);
}

/// The first frame that comes back on a flow.
pub(crate) fn flow_answer(bytes: &[u8]) {
    decoded::<Result<(), Error>>(bytes);
    decoded::<Result<u32, Error>>(bytes);
    if let Some(Ok(proof)) = decoded::<Result<SliceProof, Error>>(bytes) {
        // Whatever it says, a part of nothing is none of this chunk's.
        let part = vec![0; proof.end.saturating_sub(proof.start).min(1 << 20) as usize];
        assert!(!proof.is_of(ChunkId::of(b"another"), &part));
        let _ = proof.within((proof.start, proof.end));
    }
    if let Some(Ok(scrub)) = decoded::<Result<ScrubProgress, Error>>(bytes) {
        let _ = scrub.bytes_per_second();
    }
    if let Some(Err(error)) = decoded::<Result<TaskReport, Error>>(bytes) {
        complains(&error);
    }
}

/// What comes back from the disk, and what registers hold.
pub(crate) fn kept(bytes: &[u8]) {
    decoded::<u64>(bytes);
    decoded::<LastScrub>(bytes);
    decoded::<BTreeMap<PeerId, Arc<[String]>>>(bytes);
    decoded::<ObjectName>(bytes);
    if let Some(layout) = decoded::<Layout>(bytes) {
        told(&layout);
    }
    if let Some(entry) = decoded::<RegisterEntry>(bytes) {
        drop(entry.key.to_string());
    }
    match decoded::<NameValue>(bytes) {
        Some(NameValue::Object(manifest) | NameValue::Former { manifest, .. }) => laid_out(&manifest),
        Some(NameValue::Appended { manifest, appends }) => {
            laid_out(&manifest);
            remembered(&appends);
        }
        Some(NameValue::Gone { appends, .. }) => remembered(&appends),
        Some(NameValue::Removed { .. }) | None => {}
    }
    if let Some(settings) = decoded::<BucketSettings>(bytes) {
        drop(settings.checked());
    }
}

/// Of requests one more is remembered.
fn remembered(appends: &Appends) {
    let id = AppendId::from_bytes([7; 16]);
    assert!(appends.and(id).contains(id));
}

/// A layout is what everything is looked up in, and changed again.
fn told(layout: &Layout) {
    let everyone = layout.everyone();
    assert!(everyone.iter().all(|peer| layout.involves(*peer)));
    assert!(layout.members.iter().all(|member| layout.member(member.id) == Some(member)));
    let owners = layout_owners(PlacementKey::of_name("b/k"), layout, REPLICAS);
    assert!(owners.all().iter().all(|owner| layout.involves(*owner)));
    for next in [layout.settled(), layout.replaced_by(layout.members.clone())] {
        assert!(next.version > layout.version);
    }
}

fn laid_out(manifest: &Manifest) {
    assert!(manifest.offsets().is_sorted_by_key(|(at, _)| at));
}

/// An error is told to people, and acted upon.
fn complains(error: &Error) {
    let _ = (error.to_string(), error.hint(), error.class());
}
