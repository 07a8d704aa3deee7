//! Fragments: the bytes that hold everything a task of a stage needs.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::physical_expr::Partitioning;
use datafusion::physical_plan::displayable;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::{ExecutionPlan, execution_plan::ExecutionPlanProperties};
use serde::{Deserialize, Serialize};
use shoal_types::{Error, StagePlan, wire};

use super::codec::{ShoalCodec, decode_plan, encode_plan};
use super::split::Draft;
use super::{Obstacle, Scope, nodes};
use crate::pins::Pin;
use crate::tables::PinnedTable;

/// A stage as its tasks get it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Fragment {
    /// The version of the engine that made it: no other can read it.
    pub engine: String,
    pub part: Part,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Part {
    Stage(StageFragment),
    Whole(WholeFragment),
}

/// One stage of a plan that was cut.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct StageFragment {
    /// The plan in DataFusion's encoding. Where rows are dealt by hash, its
    /// root is the repartition that says how.
    pub plan: Bytes,
    pub hashed: bool,
    pub bucket_offset: u32,
    pub buckets: u32,
    /// Whether its rows are the answer.
    pub answer: bool,
    pub pins: Vec<Pin>,
}

/// A query that one task plans and runs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct WholeFragment {
    pub sql: String,
    pub tables: Vec<PinnedTable>,
    /// When it was planned, in µs since the epoch: what `now()` gives.
    pub now_us: i64,
}

/// Writes a stage down, and makes sure that what is read back is the same plan.
pub(super) fn stage_plan(draft: &Draft, scope: &Scope<'_>, answer: bool) -> Result<StagePlan, Obstacle> {
    let whole = |what: String| Obstacle::Whole(what);
    let root: Arc<dyn ExecutionPlan> = match &draft.hash {
        Some((exprs, count)) => {
            let hash = Partitioning::Hash(exprs.clone(), *count);
            let repartition = RepartitionExec::try_new(Arc::clone(&draft.plan), hash);
            Arc::new(repartition.map_err(|error| whole(error.strip_backtrace()))?)
        }
        None => Arc::clone(&draft.plan),
    };
    let codec = ShoalCodec::for_planning(Arc::clone(&scope.store));
    let plan = encode_plan(&root, &codec).map_err(|error| whole(error.strip_backtrace()))?;
    let again =
        decode_plan(&plan, scope.state.task_ctx().as_ref(), &codec).map_err(|error| whole(error.strip_backtrace()))?;
    if let Some(what) = difference(&root, &again) {
        return Err(whole(format!("its encoding loses something: {what}")));
    }

    let known: BTreeMap<&str, &Pin> = scope.pins.iter().map(|pin| (pin.key.as_str(), pin)).collect();
    let mut pins: BTreeMap<&str, Pin> = BTreeMap::new();
    let mut chunks = Vec::with_capacity(draft.partitions());
    for reads in &draft.reads {
        let mut partition = Vec::new();
        for read in reads {
            let pin = known.get(read.key.as_str()).ok_or_else(|| Error::bug("a plan reads what it did not pin"))?;
            partition.extend(pin.chunks(read.start, read.end));
            pins.entry(&read.key).or_insert_with(|| (*pin).clone());
        }
        partition.dedup();
        chunks.push(partition);
    }

    let narrow = |count: usize| u32::try_from(count).map_err(|_| Error::bug("too many partitions"));
    let (partitions, buckets) = (narrow(root_partitions(draft))?, narrow(draft.buckets)?);
    let part = Part::Stage(StageFragment {
        plan,
        hashed: draft.hash.is_some(),
        bucket_offset: narrow(draft.bucket_offset)?,
        buckets,
        answer,
        pins: pins.into_values().collect(),
    });
    let fragment = wire::encode(&Fragment { engine: scope.planner.version.clone(), part })?;
    let title = nodes::title(draft.plan.as_ref());
    Ok(StagePlan { title, fragment, partitions, buckets, inputs: draft.inputs.clone(), chunks })
}

/// What is not the same in two plans that should be.
fn difference(one: &Arc<dyn ExecutionPlan>, other: &Arc<dyn ExecutionPlan>) -> Option<String> {
    let [one_text, other_text] = [one, other].map(|plan| displayable(plan.as_ref()).indent(true).to_string());
    let lines = one_text.lines().zip(other_text.lines()).find(|(one, other)| one != other);
    if let Some((one, other)) = lines {
        return Some(format!("'{}' became '{}'", one.trim(), other.trim()));
    }
    if one_text.len() != other_text.len() {
        return Some("there are more nodes in one".into());
    }
    let (one, other) = (one.schema(), other.schema());
    let fields = one.fields().iter().zip(other.fields()).find(|(one, other)| one != other);
    fields.map(|(one, other)| format!("column '{one}' became '{other}'"))
}

fn root_partitions(draft: &Draft) -> usize {
    draft.plan.output_partitioning().partition_count()
}
