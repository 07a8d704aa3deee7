//! What came of a simulated run.
//!
//! ```text
//!  world ──fills──▶ Report ──▶ to_table    for people, 100 columns
//!                          ──▶ json_lines  for programs; the last line is the verdict
//!                          ──▶ plot        one SVG page, panels over one time axis
//! ```
//!
//! Times are virtual and count from the start of the run. Only
//! [`Report::wall`] tells of the machine that ran it: two reports of one seed
//! differ in nothing else, and their plots not at all.

mod figures;
mod grid;
mod lines;
mod plot;
mod seconds;
mod table;
#[cfg(test)]
mod tests;
mod timeline;
mod units;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A run, as its world saw it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Report {
    /// The scenario's name.
    pub scenario: String,
    /// Where every choice came from.
    pub seed: u64,
    /// How many hosts there were.
    pub peers: u32,
    /// The hash of all events, in hex: equal for equal runs.
    pub trace: String,
    /// How many events were handled.
    pub events: u64,
    /// The virtual time that went by.
    #[serde(rename = "simulated_seconds", with = "seconds")]
    pub simulated: Duration,
    /// The real time that it took.
    #[serde(rename = "wall_seconds", with = "seconds")]
    pub wall: Duration,
    /// What of both went by until the mesh was there, with its data.
    #[serde(rename = "formed_seconds", with = "seconds")]
    pub formed: Duration,
    #[serde(rename = "formed_wall_seconds", with = "seconds")]
    pub formed_wall: Duration,
    /// In the order of time.
    pub samples: Vec<Sample>,
    /// What each peer did.
    pub loads: Vec<PeerLoad>,
    /// In which state each host was, and when. What no span covers was not there yet.
    pub hosts: Vec<HostSpan>,
    /// What was broken on purpose.
    pub faults: Vec<FaultMark>,
    /// Which peer worked at what, and when.
    pub tasks: Vec<TaskSpan>,
    /// The jobs that were asked for.
    pub jobs: Vec<JobLine>,
    /// Kind of operation → how it went.
    pub operations: BTreeMap<String, OperationStats>,
    /// What must not have happened.
    pub violations: Vec<Violation>,
    /// Invariant → how often it was checked.
    pub checks: BTreeMap<String, u64>,
    /// From the end of the last fault until membership, layout and replication
    /// were whole again; `None` if they were not, or nobody looked.
    #[serde(rename = "healed_after_seconds", with = "seconds::option")]
    pub healed_after: Option<Duration>,
}

/// The mesh at one moment; about one each virtual second. Counters that only
/// grow (done, rerun, sent, ok, failed) count from the start of the run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Sample {
    #[serde(rename = "at_seconds", with = "seconds")]
    pub at: Duration,
    /// Hosts that run, without the paused ones.
    pub hosts_up: u32,
    pub hosts_paused: u32,
    /// The fewest peers that a live peer holds for alive, itself included.
    pub members_alive_min: u32,
    /// The most that one does.
    pub members_alive_max: u32,
    /// The newest version that a live peer knows.
    pub layout_version: u64,
    /// Whether that version is a joint one.
    pub layout_joint: bool,
    /// Chunks that somebody was promised to find again.
    pub chunks: u64,
    /// Of these: with fewer synced copies on live hosts than the layout wants.
    pub chunks_under_replicated: u64,
    /// Of these: with no copy on a live host.
    pub chunks_without_copy: u64,
    pub tasks_running: u32,
    pub tasks_done: u64,
    /// Attempts beyond a task's first.
    pub tasks_rerun: u64,
    pub jobs_running: u32,
    #[serde(rename = "sent_bytes")]
    pub bytes_sent: u64,
    pub operations_ok: u64,
    pub operations_failed: u64,
}

/// What one peer did in the whole run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PeerLoad {
    pub peer: String,
    pub zone: String,
    /// How long it ran.
    #[serde(rename = "up_seconds", with = "seconds")]
    pub up: Duration,
    /// Attempts that it was given.
    pub tasks: u64,
    /// Time spent in them, summed: may exceed `up`.
    #[serde(rename = "busy_seconds", with = "seconds")]
    pub busy: Duration,
    pub sent_bytes: u64,
    pub received_bytes: u64,
    pub disk_written_bytes: u64,
    /// Chunks that it held at the end.
    pub chunks: u64,
}

/// A host in one state for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostSpan {
    pub peer: String,
    #[serde(rename = "from_seconds", with = "seconds")]
    pub from: Duration,
    #[serde(rename = "to_seconds", with = "seconds")]
    pub to: Duration,
    pub state: HostState,
}

/// How a host fares, from the best to the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostState {
    /// It runs, and others can reach it.
    Up,
    /// It stands still and will go on.
    Paused,
    /// It runs, on the smaller side of a partition.
    Cut,
    /// It does not run.
    Down,
}

/// Something that was broken on purpose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultMark {
    #[serde(rename = "at_seconds", with = "seconds")]
    pub at: Duration,
    /// When it was mended; `None` for what happens in a moment, or is never mended.
    #[serde(rename = "until_seconds", with = "seconds::option")]
    pub until: Option<Duration>,
    /// Such as `crash peer-3`.
    pub what: String,
}

/// One attempt at a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskSpan {
    pub peer: String,
    pub job: String,
    pub task: String,
    #[serde(rename = "from_seconds", with = "seconds")]
    pub from: Duration,
    #[serde(rename = "to_seconds", with = "seconds")]
    pub to: Duration,
    pub ended: TaskEnd,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskEnd {
    Done,
    /// It said so.
    Failed,
    /// Its coordinator wanted it no more.
    Cancelled,
    /// Its peer died.
    Lost,
}

/// A job, from being asked for to its answer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct JobLine {
    pub job: String,
    /// What it computes, for people.
    pub title: String,
    #[serde(rename = "submitted_seconds", with = "seconds")]
    pub submitted: Duration,
    /// From submission to its end; `None` if it has not ended.
    #[serde(rename = "makespan_seconds", with = "seconds::option")]
    pub makespan: Option<Duration>,
    pub tasks: u64,
    /// Attempts beyond a task's first.
    pub reruns: u64,
    /// Such as `succeeded`.
    pub state: String,
    /// Whether the answer is that of a single peer; `None` if nobody compared.
    pub right: Option<bool>,
}

/// How one kind of operation went.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OperationStats {
    pub ok: u64,
    /// Surely not done.
    pub failed: u64,
    /// Perhaps done: nobody answered.
    pub unknown: u64,
    /// The median time of those that went well; `None` if none did.
    #[serde(rename = "p50_seconds", with = "seconds::option")]
    pub p50: Option<Duration>,
    /// The time that 99 of 100 of them kept below.
    #[serde(rename = "p99_seconds", with = "seconds::option")]
    pub p99: Option<Duration>,
}

/// An invariant that did not hold.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Violation {
    pub invariant: String,
    #[serde(rename = "at_seconds", with = "seconds")]
    pub at: Duration,
    pub what: String,
    pub peers: Vec<String>,
    /// What led to it, the newest last.
    pub last_events: Vec<String>,
    /// The command that shows it again.
    pub replay: String,
}
