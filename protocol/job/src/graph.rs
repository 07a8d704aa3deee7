//! What a plan must be like before any of it is run.

use shoal_types::{JobPlan, StageInput};

/// A plan that no engine should have made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GraphError(pub String);

/// Bounds on a plan, well above what data asks for.
const STAGES_MAX: usize = 1_000;
const TASKS_MAX: u64 = 100_000;

/// Checks that stages come after their inputs, that bucket counts fit their
/// readers, and that sizes are within bounds.
pub(crate) fn check(plan: &JobPlan) -> Result<(), GraphError> {
    let fail = |what: String| Err(GraphError(what));
    if plan.stages.is_empty() || plan.stages.len() > STAGES_MAX {
        return fail(format!("a plan has 1 to {STAGES_MAX} stages, not {}", plan.stages.len()));
    }
    let tasks: u64 = plan.stages.iter().map(|stage| u64::from(stage.partitions)).sum();
    if tasks > TASKS_MAX {
        return fail(format!("a plan has at most {TASKS_MAX} tasks, not {tasks}"));
    }
    for (at, stage) in plan.stages.iter().enumerate() {
        if stage.partitions == 0 || stage.buckets == 0 {
            return fail(format!("stage {at} has no partitions or no buckets"));
        }
        if !stage.chunks.is_empty() && stage.chunks.len() != stage.partitions as usize {
            return fail(format!(
                "stage {at} names chunks for {} of its {} partitions",
                stage.chunks.len(),
                stage.partitions
            ));
        }
        for input in &stage.inputs {
            let producer = input.stage().0 as usize;
            if producer >= at {
                return fail(format!("stage {at} reads stage {producer}, which does not come before it"));
            }
            let buckets = plan.stages[producer].buckets;
            let wanted = match input {
                StageInput::Partitioned(_) => stage.partitions,
                StageInput::Broadcast(_) => 1,
            };
            if buckets != wanted {
                return fail(format!("stage {at} wants {wanted} buckets of stage {producer}, which makes {buckets}"));
            }
        }
    }
    Ok(())
}
