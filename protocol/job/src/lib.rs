//! Job graph and events to what to run, run again, accept, or give up.
//!
//! [`Job`] is the coordinator's mind: it gets told which peers are there and
//! how tasks end ([`Event`]), and says what to do ([`Action`]). It knows
//! neither clock nor network, so every order of events can be tried in a test.
//!
//! A task is run once all tasks of its inputs are done, and pins the exact
//! attempts that it reads: an output that is made again never mixes with the
//! first. An output that is lost with its holder is made again only while
//! somebody still needs it.

mod graph;
mod job;
mod task;

pub use graph::GraphError;
pub use job::{Action, Event, Job, JobConfig, Pinned};
