use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{JoinType, Result as DfResult};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::joins::{HashJoinExec, PartitionMode};

/// Joins whose build side is read by every task, but which also give rows of
/// the build side that found no partner, would give them once per task.
/// They become partitioned joins.
#[derive(Debug)]
pub(crate) struct DemoteBroadcast;

/// Whether a broadcast build side is right for this join: it gives nothing
/// that has to be known of all probe rows.
pub(super) fn may_broadcast(join: JoinType) -> bool {
    match join {
        JoinType::Inner | JoinType::Right | JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => true,
        JoinType::Left | JoinType::Full | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => false,
    }
}

impl PhysicalOptimizerRule for DemoteBroadcast {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, config: &ConfigOptions) -> DfResult<Arc<dyn ExecutionPlan>> {
        if config.execution.target_partitions <= 1 {
            return Ok(plan);
        }
        plan.transform_up(|node| {
            let Some(join) = node.downcast_ref::<HashJoinExec>() else { return Ok(Transformed::no(node)) };
            let broadcast = *join.partition_mode() == PartitionMode::CollectLeft;
            // A null-aware join must see every build row, and runs in one task.
            if !broadcast || join.null_aware || may_broadcast(*join.join_type()) {
                return Ok(Transformed::no(node));
            }
            Ok(Transformed::yes(join.builder().with_partition_mode(PartitionMode::Partitioned).build_exec()?))
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "demote_broadcast"
    }

    fn schema_check(&self) -> bool {
        true
    }
}
