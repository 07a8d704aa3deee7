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

impl JobRecord {
    /// The run that goes on is over; `told` as in [`Run::told`]. A peer that
    /// refused to take the job began none, and how the last one ended stands.
    pub(crate) fn over(&mut self, now: Duration, told: bool) {
        if let Some(run) = self.runs.last_mut().filter(|run| run.over.is_none()) {
            run.over = Some(now);
            run.told = told;
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    // A peer that had just started refused the job that had died with its
    // coordinator: the dead coordinator was held for one that told the others.
    #[test]
    fn a_peer_that_refuses_a_job_changes_nothing_of_how_its_last_run_ended() {
        let run = Run {
            id: JobId::from_bytes([1; 10]),
            coordinator: HostId(1),
            tasks: 0,
            reruns: 0,
            over: None,
            told: false,
        };
        let mut record = JobRecord { title: String::new(), submitted: Duration::ZERO, runs: vec![run], end: None };
        for (second, told) in [(7, false), (8, true)] {
            record.over(Duration::from_secs(second), told);
            assert_eq!((record.runs[0].over, record.runs[0].told), (Some(Duration::from_secs(7)), false));
        }
    }
}
