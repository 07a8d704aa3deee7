use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use shoal_types::{
    ChunkId, Format, InputPin, JobId, JobPlan, Manifest, ObjectName, OutputId, Query, Result, TaskReport, TaskSpec,
};

/// The frames of one bucket of an output: an Arrow IPC stream cut at its
/// messages. The first frame is the schema message; the end-of-stream mark is
/// left out, so that the frames of several outputs of one stage (the schema
/// of all but the first dropped) followed by one mark are again a stream. A
/// message longer than a transport frame is several frames.
pub type FrameStream = BoxStream<'static, Result<Bytes>>;

/// The engine: turns queries into plans, and runs tasks.
///
/// It keeps the outputs of the tasks that it ran, in memory within a budget
/// and spilled past it, until their job is released.
pub trait Compute: Send + Sync {
    /// Only an engine of the same version runs another's fragments.
    fn version(&self) -> String;

    /// The plan of a query. What is random or depends on the time is fixed
    /// here. Partition counts depend on data and query alone.
    fn plan(&self, query: Query, planning: Arc<dyn Planning>) -> BoxFuture<'static, Result<JobPlan>>;

    /// Runs one task and keeps its output under `task.output`. Dropping the
    /// future cancels it. `fragment` is the stage's, as planned.
    fn run(&self, task: TaskSpec, fragment: Bytes, io: Arc<dyn TaskIo>) -> BoxFuture<'static, Result<TaskReport>>;

    /// One bucket of an output that this engine keeps; `OutputLost` when it
    /// does not.
    fn output(&self, output: OutputId, bucket: u32) -> Result<FrameStream>;

    /// Drops every output of the job, which is over: what its tasks still
    /// running put out is dropped too.
    fn release(&self, job: JobId);

    /// Drops the outputs that the job has so far. It may go on, and what its
    /// tasks put out from now on is kept.
    fn forget(&self, job: JobId);

    /// Cuts the bytes of a new object into chunks, by its format.
    fn cutter(&self, name: &str, format: Format) -> Box<dyn Cutter>;

    /// Whether bytes that begin where a record does, or a file, end where a
    /// record does: what is appended to them is then a record of its own.
    /// `false` where that cannot be told cheaply. Looks at each byte once at most.
    fn ends_record(&self, name: &str, format: Format, bytes: &[u8]) -> bool;
}

/// What planning may ask.
pub trait Planning: Send + Sync {
    /// The files that a table's name or glob stands for, sorted by name;
    /// `NotFound` when there are none.
    fn resolve(&self, table: String) -> BoxFuture<'static, Result<Vec<TableFile>>>;

    /// Bytes of a chunk, as in [`TaskIo::read_chunk`].
    fn read_chunk(&self, chunk: ChunkId, range: Option<(u32, u32)>) -> BoxFuture<'static, Result<Bytes>>;

    /// The answer of a query inside the query (an uncorrelated scalar
    /// subquery), run as a job of its own.
    fn evaluate(&self, plan: JobPlan) -> BoxFuture<'static, Result<Vec<Bytes>>>;
}

/// One file of a table, with everything fixed that a task needs to read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableFile {
    pub name: String,
    pub source: TableSource,
}

impl TableFile {
    /// Of the object that it is, if it is in the mesh.
    pub fn manifest(&self) -> Option<&Manifest> {
        match &self.source {
            TableSource::Object(_, manifest) => Some(manifest),
            TableSource::Local { .. } => None,
        }
    }
}

/// Where a table's file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TableSource {
    /// In the mesh: this version of the object, whatever is put later.
    Object(ObjectName, Manifest),
    /// On the local disk of the only peer there is.
    Local { path: String, bytes: u64 },
}

/// What a running task may ask of its peer.
pub trait TaskIo: Send + Sync {
    /// Bytes of a chunk (whole when `range` is `None`, else from its start up
    /// to its end), verified against the name, from this peer's disk or from another's. The flag says whether
    /// they were here.
    fn read_chunk(&self, chunk: ChunkId, range: Option<(u32, u32)>) -> BoxFuture<'static, Result<(Bytes, bool)>>;

    /// One bucket of an output held by another peer. For one held here the
    /// engine looks at its own.
    fn fetch(&self, pin: InputPin, bucket: u32) -> BoxFuture<'static, Result<FrameStream>>;

    /// Whether the pin's holder is this peer.
    fn is_local(&self, pin: &InputPin) -> bool;
}

/// Cuts the bytes of an object into chunks where its format can be cut.
///
/// Bytes go in piece by piece and come out as chunks of 1–64 MiB whose
/// concatenation is what went in.
pub trait Cutter: Send {
    /// Takes the next bytes; gives the chunks that are complete.
    fn push(&mut self, bytes: Bytes) -> Result<Vec<Cut>>;

    /// No more bytes come: the chunks that are left. Data that is not what
    /// its format says is an error (`BadData`) only where it could never be
    /// read; the caller then stores nothing. For a format whose structure is
    /// at its end that is the whole object at once: [`Cutter::finish_some`]
    /// does the same in bounded memory.
    fn finish(&mut self) -> Result<Vec<Cut>>;

    /// As [`Cutter::finish`], some chunks at a time: call it until it gives none.
    fn finish_some(&mut self) -> Result<Vec<Cut>> {
        self.finish()
    }

    /// After an error of the finish: from now on it is finished as plain
    /// bytes, all of it. `false` where it does not have all of it any more.
    fn turn_plain(&mut self) -> bool {
        false
    }
}

/// A chunk-to-be.
pub type Cut = Bytes;

/// The files of the only peer there is, as tables.
pub trait LocalFiles: Send + Sync {
    /// The files that a path, a directory or a glob stands for, sorted;
    /// `NotFound` when there are none. Blocks.
    fn resolve(&self, pattern: &str) -> Result<Vec<TableFile>>;
}
