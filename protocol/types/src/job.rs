//! Jobs: a plan as a graph of stages, and the tasks that run it.

mod pins;

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{ChunkId, Error, FragmentId, JobId, PeerId, StageId, TaskId};

/// What somebody asks to have answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Query {
    pub sql: String,
    /// The memory that one task may use, in bytes. Part of the task's
    /// definition: the same budget gives the same spills and the same bits.
    pub task_memory_bytes: u64,
}

impl Query {
    /// What a task may use unless told otherwise.
    pub const TASK_MEMORY_BYTES: u64 = 2 << 30;

    pub fn new(sql: impl Into<String>) -> Self {
        Self { sql: sql.into(), task_memory_bytes: Self::TASK_MEMORY_BYTES }
    }
}

/// A job's plan: stages in an order in which every input comes before its
/// consumer; the last one's output is the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobPlan {
    /// The query, for people.
    pub title: String,
    pub stages: Vec<StagePlan>,
    /// The engine that made the fragments: only its equal may run them.
    pub engine: String,
}

/// One stage: a plan fragment run once per partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StagePlan {
    /// What it does, in a few words, for people.
    pub title: String,
    /// The engine's own bytes: everything a task needs but its partition and
    /// its inputs' whereabouts.
    pub fragment: Bytes,
    /// Number of tasks.
    pub partitions: u32,
    /// Number of buckets into which each task cuts its output: one per
    /// partition of the consumer, or 1 when everything is read by everyone.
    pub buckets: u32,
    pub inputs: Vec<StageInput>,
    /// Per partition, the chunks that it scans: it runs on an owner of the
    /// most of them. Empty where it scans none.
    pub chunks: Vec<Vec<ChunkId>>,
}

/// An exchange that a stage reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StageInput {
    /// Partition `p` reads bucket `p` of every producer.
    Partitioned(StageId),
    /// Every partition reads the single bucket of every producer.
    Broadcast(StageId),
}

impl StageInput {
    pub const fn stage(self) -> StageId {
        match self {
            Self::Partitioned(stage) | Self::Broadcast(stage) => stage,
        }
    }
}

/// What one attempt at one task has made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OutputId {
    pub task: TaskId,
    pub attempt: u32,
}

impl fmt::Display for OutputId {
    /// `stage.partition#attempt`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.task, self.attempt)
    }
}

/// The exact attempt that a consumer reads, and who holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputPin {
    pub output: OutputId,
    pub holder: PeerId,
}

/// One attempt at one task, as its coordinator asks for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskSpec {
    pub output: OutputId,
    /// The coordinator: it serves the fragment and takes the report.
    pub coordinator: PeerId,
    pub fragment: FragmentId,
    pub buckets: u32,
    /// Per input of the stage, its producers' outputs by partition: the fixed
    /// order in which they are read.
    #[serde(with = "pins")]
    pub inputs: Vec<Vec<InputPin>>,
    pub memory_bytes: u64,
}

/// The order-insensitive sum of a result's row hashes.
///
/// Two results with the same fingerprint have the same rows, float bits
/// included, in whatever order (128-bit sum of per-row hashes, and a count).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Fingerprint {
    pub rows: u64,
    pub sum: u128,
}

impl Fingerprint {
    /// Of two results together. Commutative and associative; counts from peers
    /// that lie end at the largest there is.
    pub fn and(self, other: Self) -> Self {
        Self { rows: self.rows.saturating_add(other.rows), sum: self.sum.wrapping_add(other.sum) }
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.sum)
    }
}

/// What a finished task says.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TaskReport {
    /// Rows and bytes in memory, per bucket.
    pub rows: Vec<u64>,
    pub bytes: Vec<u64>,
    /// Of all rows of all buckets.
    pub fingerprint: Fingerprint,
    /// Time spent on it, queueing excluded.
    pub elapsed_ms: u64,
    /// Bytes scanned from chunks, on this peer and from others.
    pub scanned_local_bytes: u64,
    pub scanned_remote_bytes: u64,
    /// Exchange bytes fetched from other peers.
    pub fetched_bytes: u64,
}

/// How far a job is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    Planning,
    Running,
    Done,
    Cancelled,
    Failed(Error),
}

/// How far a stage is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageProgress {
    pub title: String,
    pub tasks: u32,
    pub running: u32,
    pub done: u32,
    /// Attempts beyond the first.
    pub reruns: u32,
}

/// A job, for `shoal job ls` and `show`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSummary {
    pub id: JobId,
    pub coordinator: PeerId,
    pub title: String,
    pub state: JobState,
    pub submitted_ms: u64,
    pub elapsed_ms: u64,
    pub stages: Vec<StageProgress>,
    pub fingerprint: Option<Fingerprint>,
    /// Sums over all accepted tasks.
    pub scanned_local_bytes: u64,
    pub scanned_remote_bytes: u64,
    pub fetched_bytes: u64,
    /// What happened, oldest first; at most [`JobSummary::EVENTS_MAX`].
    pub events: Vec<(u64, JobEvent)>,
}

impl JobSummary {
    /// Later events than this are counted, not kept.
    pub const EVENTS_MAX: usize = 2000;
}

/// Something that happened to a job, for those who watch it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobEvent {
    Planned {
        stages: u32,
        tasks: u32,
    },
    Started {
        output: OutputId,
        peer: PeerId,
    },
    Finished {
        output: OutputId,
        peer: PeerId,
        rows: u64,
        elapsed_ms: u64,
    },
    /// An attempt failed; it is run again unless the job ends.
    AttemptFailed {
        output: OutputId,
        peer: PeerId,
        error: Error,
    },
    /// A peer died, and with it these outputs.
    PeerLost {
        peer: PeerId,
        running: Vec<OutputId>,
        outputs: Vec<OutputId>,
    },
    Ended {
        state: JobState,
    },
}
