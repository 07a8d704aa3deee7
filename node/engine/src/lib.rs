//! SQL over chunks, in tasks that any peer can run.
//!
//! [`Engine`] implements [`Compute`](shoal_ports::Compute) over DataFusion,
//! and is the only thing that knows DataFusion. It does four things:
//!
//! - **plan**: a query becomes a job. Tables are pinned to exact versions,
//!   DataFusion makes a physical plan, and the plan is cut into stages where
//!   rows must meet. What cannot be cut runs whole, in one task.
//! - **run**: a task runs one partition of a stage's plan. Its rows are dealt
//!   into a bucket per consumer and kept.
//! - **output**: buckets are read in place by tasks of the same peer, and as
//!   Arrow IPC frames by others, always in the order of their producers.
//! - **cut**: the bytes of a new object become chunks, where its format can
//!   be cut.
//!
//! The same query over the same objects gives the same rows, bit for bit,
//! whoever runs which task: partition counts follow from bytes alone, inputs
//! are read in fixed order, a task has a fixed memory budget, and `random()`
//! and `now()` are fixed by the job. [`fingerprint`] shows it.

mod config;
mod cut;
mod engine;
mod error;
mod exchange;
mod fingerprint;
mod pins;
mod plan;
mod run;
mod scan;
mod session;
mod tables;
#[cfg(test)]
mod tests;
mod tpch;
mod volatile;

pub use config::EngineConfig;
pub use cut::{CutLimits, cutter};
pub use engine::Engine;
pub use exchange::{AnswerReader, read_frames};
pub use fingerprint::fingerprint;
pub use session::plain_session;
pub use tpch::{TPCH_TABLES, tpch_query};
