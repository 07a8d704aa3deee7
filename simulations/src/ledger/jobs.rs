use std::time::Duration;

use shoal_types::JobId;

use crate::host::HostId;

/// The jobs that clients asked for.
#[derive(Default)]
pub(crate) struct Jobs {
    pub(crate) records: Vec<JobRecord>,
}

/// One job; a client whose coordinator dies asks another peer, and that is the same job.
#[derive(Debug, Clone)]
pub(crate) struct JobRecord {
    pub(crate) title: String,
    pub(crate) submitted: Duration,
    /// Each time that it was asked for: as which job of the mesh, and where.
    pub(crate) runs: Vec<Run>,
    pub(crate) end: Option<(Duration, JobEnd)>,
}

/// One job of the mesh.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(crate) id: JobId,
    pub(crate) coordinator: HostId,
    pub(crate) tasks: u64,
    pub(crate) reruns: u64,
    /// When its client saw it end, or its coordinator die.
    pub(crate) over: Option<Duration>,
    /// Whether its coordinator lived to see the end.
    pub(crate) told: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum JobEnd {
    /// With the rows that a single peer without faults would have given.
    Right,
    Wrong(String),
    /// With an error, after which the client gave up.
    Failed(String),
}
