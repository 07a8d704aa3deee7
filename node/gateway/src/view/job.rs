use serde::{Deserialize, Serialize};
use shoal_types::{JobEvent, JobState, JobSummary, OutputId, StageProgress};

use super::ErrorView;

/// A job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobView {
    pub id: String,
    /// The peer that runs it.
    pub coordinator: String,
    /// The query.
    pub title: String,
    pub state: JobStateView,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorView>,
    /// When it was asked for, in ms since the epoch.
    pub submitted_ms: u64,
    pub elapsed_ms: u64,
    pub stages: Vec<StageProgress>,
    /// Rows of the answer.
    pub rows: Option<u64>,
    /// The order-insensitive sum of the answer's row hashes, in hex.
    pub fingerprint: Option<String>,
    pub scanned_local_bytes: u64,
    pub scanned_remote_bytes: u64,
    pub fetched_bytes: u64,
    /// What happened, oldest first; left out of listings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<TimedEvent>,
}

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobStateView {
    Planning,
    Running,
    Done,
    Cancelled,
    Failed,
}

impl JobStateView {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Planning => "planning",
            Self::Running => "running",
            Self::Done => "done",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
        }
    }

    /// Whether nothing more will happen to the job.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Done | Self::Cancelled | Self::Failed)
    }
}

/// An event, and when it happened by the coordinator's wall clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimedEvent {
    pub at_ms: u64,
    #[serde(flatten)]
    pub event: EventView,
}

/// Something that happened to a job. An attempt reads `STAGE.PARTITION#ATTEMPT`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum EventView {
    Planned { stages: u32, tasks: u32 },
    Started { attempt: String, peer: String },
    Finished { attempt: String, peer: String, rows: u64, elapsed_ms: u64 },
    AttemptFailed { attempt: String, peer: String, error: ErrorView },
    PeerLost { peer: String, running: Vec<String>, outputs: Vec<String> },
    Ended { state: JobStateView, error: Option<ErrorView> },
}

impl JobView {
    /// For a listing: without the events.
    pub fn brief(summary: &JobSummary) -> Self {
        let (state, error) = split(&summary.state);
        Self {
            id: summary.id.to_string(),
            coordinator: summary.coordinator.to_string(),
            title: summary.title.clone(),
            state,
            error,
            submitted_ms: summary.submitted_ms,
            elapsed_ms: summary.elapsed_ms,
            stages: summary.stages.clone(),
            rows: summary.fingerprint.map(|fingerprint| fingerprint.rows),
            fingerprint: summary.fingerprint.map(|fingerprint| fingerprint.to_string()),
            scanned_local_bytes: summary.scanned_local_bytes,
            scanned_remote_bytes: summary.scanned_remote_bytes,
            fetched_bytes: summary.fetched_bytes,
            events: Vec::new(),
        }
    }

    pub fn tasks(&self) -> u32 {
        self.stages.iter().map(|stage| stage.tasks).sum()
    }

    pub fn tasks_done(&self) -> u32 {
        self.stages.iter().map(|stage| stage.done).sum()
    }

    /// Attempts beyond each task's first.
    pub fn reruns(&self) -> u32 {
        self.stages.iter().map(|stage| stage.reruns).sum()
    }
}

impl From<&JobSummary> for JobView {
    fn from(summary: &JobSummary) -> Self {
        let events = summary.events.iter().map(|(at_ms, event)| TimedEvent { at_ms: *at_ms, event: event.into() });
        Self { events: events.collect(), ..Self::brief(summary) }
    }
}

impl From<&JobEvent> for EventView {
    fn from(event: &JobEvent) -> Self {
        let all = |outputs: &[OutputId]| outputs.iter().map(ToString::to_string).collect();
        match event {
            JobEvent::Planned { stages, tasks } => Self::Planned { stages: *stages, tasks: *tasks },
            JobEvent::Started { output, peer } => Self::Started { attempt: output.to_string(), peer: peer.to_string() },
            JobEvent::Finished { output, peer, rows, elapsed_ms } => Self::Finished {
                attempt: output.to_string(),
                peer: peer.to_string(),
                rows: *rows,
                elapsed_ms: *elapsed_ms,
            },
            JobEvent::AttemptFailed { output, peer, error } => {
                Self::AttemptFailed { attempt: output.to_string(), peer: peer.to_string(), error: error.into() }
            }
            JobEvent::PeerLost { peer, running, outputs } => {
                Self::PeerLost { peer: peer.to_string(), running: all(running), outputs: all(outputs) }
            }
            JobEvent::Ended { state } => {
                let (state, error) = split(state);
                Self::Ended { state, error }
            }
        }
    }
}

fn split(state: &JobState) -> (JobStateView, Option<ErrorView>) {
    match state {
        JobState::Planning => (JobStateView::Planning, None),
        JobState::Running => (JobStateView::Running, None),
        JobState::Done => (JobStateView::Done, None),
        JobState::Cancelled => (JobStateView::Cancelled, None),
        JobState::Failed(error) => (JobStateView::Failed, Some(error.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shoal_types::{Error, Fingerprint, JobId, PeerId, StageId, TaskId};

    #[test]
    fn a_job_reads_back_what_was_written() {
        let id = JobId::from_bytes([9; 10]);
        let peer = PeerId::from_bytes([1; 32]);
        let output = OutputId { task: TaskId { job: id, stage: StageId(1), partition: 3 }, attempt: 0 };
        let summary = JobSummary {
            id,
            coordinator: peer,
            title: "select 1".into(),
            state: JobState::Failed(Error::Cancelled),
            submitted_ms: 1,
            elapsed_ms: 2,
            stages: vec![StageProgress { title: "scan".into(), tasks: 4, running: 0, done: 4, reruns: 1 }],
            fingerprint: Some(Fingerprint { rows: 5, sum: u128::MAX }),
            scanned_local_bytes: 0,
            scanned_remote_bytes: 0,
            fetched_bytes: 0,
            events: vec![
                (1, JobEvent::Planned { stages: 1, tasks: 4 }),
                (2, JobEvent::AttemptFailed { output, peer, error: Error::Cancelled }),
                (3, JobEvent::PeerLost { peer, running: vec![output], outputs: vec![] }),
                (4, JobEvent::Ended { state: JobState::Done }),
            ],
        };
        let view = JobView::from(&summary);
        let json = serde_json::to_string(&view).unwrap();
        assert!(json.contains(r#""event":"attempt_failed","attempt":"1.3#0""#), "{json}");
        assert!(json.contains(r#""fingerprint":"ffffffffffffffffffffffffffffffff""#), "{json}");
        assert_eq!(serde_json::from_str::<JobView>(&json).unwrap(), view);
        assert_eq!(view.reruns(), 1);
    }
}
