//! Running one task: one partition of a stage's plan, from its inputs to its
//! buckets.

mod in_order;
mod task;

pub(crate) use in_order::InOrderExec;
pub(crate) use task::{TaskRunner, Workshop};
