//! The exchange: what a task makes, kept until its consumers have read it.
//!
//! ```text
//!  producer task                      consumer task
//!  plan ─▶ BucketWriter ─▶ Outputs ─▶ (same peer: by reference) ─▶ ExchangeReadExec ─▶ plan
//!             └ spill file    └─ frames ─▶ transport ─▶ frames ──┘
//! ```

mod answer;
mod bucket;
mod frames;
mod inputs;
mod outputs;
mod read;
mod spill;

pub use answer::{AnswerReader, read_frames};
pub(crate) use bucket::BucketWriter;
#[cfg(test)]
pub(crate) use frames::FrameEncoder;
pub(crate) use frames::output_frames;
pub(crate) use inputs::{BatchStream, TaskInputs};
pub(crate) use outputs::Outputs;
pub(crate) use read::{ExchangeReadExec, Gather};
pub(crate) use spill::SpillDir;
