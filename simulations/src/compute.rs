//! The simulated engine: a small but real map-reduce with a cost model.
//!
//! It stands where DataFusion stands in a real peer, costs microseconds where
//! that costs milliseconds, and is harder on the mesh than that. A job
//! ([`JobSpec`]) is text, and has three stages:
//!
//! ```text
//!   objects ─▶ map, a task per chunk ─▶ reduce, a task per bucket of keys ─▶ gather, one task ─▶ answer
//!              words → rows by key       rows of one key → one row            all rows, sorted
//! ```
//!
//! - An object is a sequence of 64-bit words; a [`Row`] says what words a key
//!   has, and in which order they came. So an answer is wrong when a chunk
//!   was left out, read twice, or merged out of order.
//! - Two attempts at a task have the same rows in other bytes: another order,
//!   cut into other frames. Whoever mixes two attempts gets wrong rows.
//! - Work takes virtual time: so much per byte, times how slow the peer is.
//!
//! [`expected`] computes the answer without any of it.

mod attempt;
mod cost;
mod cutter;
mod engine;
mod frames;
mod oracle;
mod outputs;
mod plan;
mod rows;
mod spec;
mod tally;
mod task;
#[cfg(test)]
mod tests;

pub use cost::Slowness;
pub use engine::{ComputeConfig, SimCompute};
pub use frames::decode_answer;
pub use oracle::expected;
pub use rows::{Row, fingerprint};
pub use spec::{JobSpec, MapSpec, ReduceSpec};
pub use tally::ComputeCounters;
