//! Changes to a finished physical plan before it is cut or run.

use std::sync::Arc;

use datafusion::common::Result as DfResult;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::execution_plan::replace_children_if_necessary;
use datafusion::physical_plan::joins::{HashJoinExec, NestedLoopJoinExec, PartitionMode};
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};

use super::demote::may_broadcast;
use crate::run::InOrderExec;

/// Puts the probe side of a join into one partition where its tasks would
/// have to know of each other's matches.
pub(super) fn one_probe(plan: Arc<dyn ExecutionPlan>) -> DfResult<Arc<dyn ExecutionPlan>> {
    plan.transform_up(|node| {
        let shared = if let Some(join) = node.downcast_ref::<HashJoinExec>() {
            *join.partition_mode() == PartitionMode::CollectLeft
                && (join.null_aware || !may_broadcast(*join.join_type()))
        } else if let Some(join) = node.downcast_ref::<NestedLoopJoinExec>() {
            !may_broadcast(*join.join_type())
        } else {
            false
        };
        let children: Vec<_> = node.children().into_iter().cloned().collect();
        let [build, probe] = &children[..] else { return Ok(Transformed::no(node)) };
        if !shared || probe.output_partitioning().partition_count() == 1 {
            return Ok(Transformed::no(node));
        }
        let probe = Arc::new(CoalescePartitionsExec::new(Arc::clone(probe)));
        Ok(Transformed::yes(replace_children_if_necessary(node, vec![Arc::clone(build), probe])?))
    })
    .data()
}

/// Makes a plan that runs in one task give its rows in the same order every
/// time: partitions one after the other, equal rows by partition.
pub(super) fn for_one_task(plan: Arc<dyn ExecutionPlan>) -> DfResult<Arc<dyn ExecutionPlan>> {
    let plan = plan
        .transform_up(|node| {
            if let Some(coalesce) = node.downcast_ref::<CoalescePartitionsExec>() {
                let input = Arc::clone(coalesce.input());
                return Ok(Transformed::yes(
                    Arc::new(InOrderExec::new(input, coalesce.fetch())) as Arc<dyn ExecutionPlan>
                ));
            }
            if let Some(merge) = node.downcast_ref::<SortPreservingMergeExec>() {
                let merge = SortPreservingMergeExec::new(merge.expr().clone(), Arc::clone(merge.input()))
                    .with_fetch(merge.fetch())
                    .with_round_robin_repartition(false);
                return Ok(Transformed::yes(Arc::new(merge) as Arc<dyn ExecutionPlan>));
            }
            Ok(Transformed::no(node))
        })
        .data()?;
    if plan.output_partitioning().partition_count() == 1 {
        return Ok(plan);
    }
    Ok(Arc::new(InOrderExec::new(plan, None)))
}
