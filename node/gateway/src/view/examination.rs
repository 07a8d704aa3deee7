use serde::{Deserialize, Serialize};
use shoal_runtime::Examination;

/// What a member says of the peer that was asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExaminationView {
    pub id: String,
    pub name: String,
    pub version: String,
    /// Why it did not answer; `null` if it did.
    pub error: Option<String>,
    /// How long its answer took, in ms.
    pub answer_ms: Option<f64>,
    /// By how much its clock is ahead of the peer's that was asked.
    pub clock_ahead_ms: Option<i64>,
    /// Addresses of the peer that was asked that it cannot reach, with the reason.
    pub unreachable: Vec<(String, String)>,
}

impl From<&Examination> for ExaminationView {
    fn from(examination: &Examination) -> Self {
        let outcome = examination.outcome.as_ref();
        Self {
            id: examination.peer.to_string(),
            name: examination.name.clone(),
            version: examination.version.clone(),
            error: outcome.err().map(ToString::to_string),
            answer_ms: outcome.ok().map(|(_, took, _)| took.as_secs_f64() * 1e3),
            clock_ahead_ms: outcome.ok().map(|(_, _, ahead)| *ahead),
            unreachable: outcome.map(|(examined, _, _)| examined.unreachable.clone()).unwrap_or_default(),
        }
    }
}
