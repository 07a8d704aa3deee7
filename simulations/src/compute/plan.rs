use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use shoal_ports::{Clock, Planning, TableFile, TableSource};
use shoal_types::{ChunkId, Error, JobPlan, Query, Result, StageId, StageInput, StagePlan, wire};

use super::spec::JobSpec;

/// A stage as its tasks get it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Fragment {
    /// The version of the engine that made it: no other runs it.
    pub(super) engine: String,
    /// Into how many buckets a task's rows are dealt, by key.
    pub(super) buckets: u32,
    pub(super) seconds_per_gb: f64,
    pub(super) part: Part,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Part {
    /// Partition `p` reads split `p`.
    Map { groups: u64, splits: Vec<Split> },
    /// Merges the rows of each key, producer by producer.
    Reduce,
    /// A part of the answer's rows, sorted where `ordered`.
    Gather { ordered: bool },
}

/// What one map task reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Split {
    Chunk(ChunkId),
    /// An object that has no chunks because its manifest holds it.
    Inline(Bytes),
}

impl Fragment {
    /// The fragment in a peer's bytes; [`Error::BadFrame`] when it is none.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self> {
        let fragment: Self = wire::decode(bytes)?;
        let bad = |what: &str| Err(Error::BadFrame { what: what.into() });
        if fragment.buckets == 0 {
            return bad("a fragment without buckets");
        }
        if !(0.0..=JobSpec::SECONDS_PER_GB_MAX).contains(&fragment.seconds_per_gb) {
            return bad("a fragment whose cost is no cost");
        }
        match fragment.part {
            Part::Map { groups: 0, .. } => bad("a fragment without groups"),
            Part::Map { .. } | Part::Reduce | Part::Gather { .. } => Ok(fragment),
        }
    }
}

/// The plan of a job: how many tasks there are follows from the data and the spec.
pub(super) async fn plan(
    engine: String,
    clock: Arc<dyn Clock>,
    query: Query,
    planning: Arc<dyn Planning>,
) -> Result<JobPlan> {
    let spec = JobSpec::parse(&query.sql)?;
    let splits = splits(&spec, planning.resolve(spec.input.clone()).await?)?;
    clock.sleep(Duration::from_secs_f64(spec.planning_seconds)).await;
    let chunks = splits.iter().map(|split| match split {
        Split::Chunk(chunk) => vec![*chunk],
        Split::Inline(_) => vec![],
    });
    let chunks: Vec<_> = chunks.collect();
    let fragment = |buckets: u32, seconds_per_gb: f64, part: Part| {
        wire::encode(&Fragment { engine: engine.clone(), buckets, seconds_per_gb, part })
    };
    let reduce = spec.reduce;
    let map = StagePlan {
        title: format!("map {}", spec.input),
        partitions: u32::try_from(splits.len()).map_err(|_| Error::bug("more chunks than tasks have numbers"))?,
        fragment: fragment(reduce.tasks, spec.map.seconds_per_gb, Part::Map { groups: spec.groups, splits })?,
        buckets: reduce.tasks,
        inputs: vec![],
        chunks,
    };
    let merge = StagePlan {
        title: "reduce by key".into(),
        fragment: fragment(spec.parts, reduce.seconds_per_gb, Part::Reduce)?,
        partitions: reduce.tasks,
        buckets: spec.parts,
        inputs: vec![StageInput::Partitioned(StageId(0))],
        chunks: vec![vec![]; reduce.tasks as usize],
    };
    let gather = StagePlan {
        title: "gather".into(),
        fragment: fragment(1, reduce.seconds_per_gb, Part::Gather { ordered: !spec.unordered })?,
        partitions: spec.parts,
        buckets: 1,
        inputs: vec![StageInput::Partitioned(StageId(1))],
        chunks: vec![vec![]; spec.parts as usize],
    };
    Ok(JobPlan { title: spec.title, stages: vec![map, merge, gather], engine })
}

/// What the map tasks read, in the order of the objects' names and of their chunks.
fn splits(spec: &JobSpec, mut files: Vec<TableFile>) -> Result<Vec<Split>> {
    if !files.is_sorted_by(|one, other| one.name < other.name) {
        return Err(Error::bug("the objects of a table do not come once each in the order of their names"));
    }
    files.retain(|file| spec.reads(&file.name));
    if files.is_empty() {
        return Err(Error::not_found(format!("there is no '{}'", spec.input), "put it, or name what is there"));
    }
    let mut splits = Vec::new();
    for file in files {
        match file.source {
            TableSource::Object(_, manifest) => match manifest.inline {
                Some(bytes) => splits.push(Split::Inline(bytes)),
                None => splits.extend(manifest.chunks.into_iter().map(|chunk| Split::Chunk(chunk.id))),
            },
            TableSource::Local { path, .. } => {
                return Err(Error::invalid(format!("'{path}' is a file on a disk"), "put it into the mesh first"));
            }
        }
    }
    if splits.is_empty() {
        // A stage has at least one task.
        splits.push(Split::Inline(Bytes::new()));
    }
    Ok(splits)
}
