use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use shoal_types::{Error, wire};

/// An error, for people (`message`, `hint`), scripts (`kind`) and our own
/// client (`detail`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorView {
    /// The error's variant, in snake case: `not_found`, `no_quorum`, …
    pub kind: String,
    pub message: String,
    /// What to do next; empty when there is nothing to say.
    pub hint: String,
    /// The typed error as a wire frame in base64, so that nothing is lost on
    /// the way to a client that knows the type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl ErrorView {
    /// The error that was meant. One from a peer of another version, whose
    /// detail says nothing here, is told by its words.
    pub fn into_error(self) -> Error {
        let typed = self
            .detail
            .as_deref()
            .and_then(|detail| BASE64.decode(detail.as_bytes()).ok())
            .and_then(|frame| wire::decode::<Error>(&frame).ok());
        match typed {
            Some(error) => error,
            None if self.kind == "not_found" => Error::NotFound { what: self.message, hint: self.hint },
            None => Error::Invalid { what: self.message, hint: self.hint },
        }
    }
}

impl From<&Error> for ErrorView {
    fn from(error: &Error) -> Self {
        Self {
            kind: kind(error).into(),
            message: error.to_string(),
            hint: error.hint(),
            detail: wire::encode(error).ok().map(|frame| BASE64.encode(&frame)),
        }
    }
}

/// The name of an error's variant, in snake case.
pub fn kind(error: &Error) -> &'static str {
    match error {
        Error::Invalid { .. } => "invalid",
        Error::NotFound { .. } => "not_found",
        Error::Conflict { .. } => "conflict",
        Error::BadData { .. } => "bad_data",
        Error::OutOfMemory { .. } => "out_of_memory",
        Error::Cancelled => "cancelled",
        Error::Unreachable { .. } => "unreachable",
        Error::NoQuorum { .. } => "no_quorum",
        Error::Timeout { .. } => "timeout",
        Error::Busy { .. } => "busy",
        Error::StaleLayout { .. } => "stale_layout",
        Error::ChunkLost { .. } => "chunk_lost",
        Error::OutputLost { .. } => "output_lost",
        Error::DiskFull { .. } => "disk_full",
        Error::DiskFailed { .. } => "disk_failed",
        Error::NotReady { .. } => "not_ready",
        Error::BadFrame { .. } => "bad_frame",
        Error::Exhausted { .. } => "exhausted",
        Error::Bug { .. } => "bug",
        Error::OtherReplicas { .. } => "other_replicas",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shoal_types::PeerId;

    #[test]
    fn an_error_stays_typed_through_json() {
        let error = Error::Exhausted {
            task: "1.2".into(),
            attempts: 4,
            cause: Box::new(Error::Unreachable { peer: PeerId::from_bytes([3; 32]), why: "gone".into() }),
        };
        let json = serde_json::to_string(&ErrorView::from(&error)).unwrap();
        assert_eq!(serde_json::from_str::<ErrorView>(&json).unwrap().into_error(), error);
    }

    #[test]
    fn an_error_without_a_detail_is_told_by_its_words() {
        let view = ErrorView { kind: "not_found".into(), message: "no x".into(), hint: "h".into(), detail: None };
        assert_eq!(view.into_error(), Error::not_found("no x", "h"));
        let view =
            ErrorView { kind: "new".into(), message: "m".into(), hint: String::new(), detail: Some("AAAA".into()) };
        assert_eq!(view.into_error(), Error::invalid("m", ""));
    }
}
