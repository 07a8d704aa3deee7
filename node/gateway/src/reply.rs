//! Errors as answers.

use axum::Json;
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use shoal_types::Error;

use crate::view::ErrorView;

/// The body of an answer that is an error.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ErrorBody {
    pub(crate) error: ErrorView,
}

/// An error on its way out.
#[derive(Debug)]
pub(crate) struct Failure {
    status: StatusCode,
    error: Error,
}

impl Failure {
    /// With another status than the error's own.
    pub(crate) fn with_status(status: StatusCode, error: Error) -> Self {
        Self { status, error }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { status: status_of(&error), error }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        if self.status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(error = %self.error, "a request failed");
        }
        let body = Json(ErrorBody { error: ErrorView::from(&self.error) });
        let mut response = (self.status, body).into_response();
        if let Error::Busy { retry_after_ms, .. } = self.error {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(retry_after_ms.div_ceil(1000)));
        }
        response
    }
}

/// The status that says best what a client can do about an error.
pub(crate) fn status_of(error: &Error) -> StatusCode {
    match error {
        Error::Invalid { .. } => StatusCode::BAD_REQUEST,
        Error::NotFound { .. } => StatusCode::NOT_FOUND,
        // A condition that did not hold would say that nothing was changed.
        Error::Conflict { .. } if error.is_in_doubt() => StatusCode::GATEWAY_TIMEOUT,
        Error::Conflict { .. } => StatusCode::PRECONDITION_FAILED,
        Error::BadData { .. } | Error::OutOfMemory { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        Error::Cancelled => StatusCode::CONFLICT,
        Error::Unreachable { .. } | Error::BadFrame { .. } => StatusCode::BAD_GATEWAY,
        Error::Timeout { .. } => StatusCode::GATEWAY_TIMEOUT,
        Error::Busy { .. } => StatusCode::TOO_MANY_REQUESTS,
        Error::NoQuorum { .. }
        | Error::StaleLayout { .. }
        | Error::ChunkLost { .. }
        | Error::OutputLost { .. }
        | Error::DiskFailed { .. }
        | Error::NotReady { .. } => StatusCode::SERVICE_UNAVAILABLE,
        Error::DiskFull { .. } => StatusCode::INSUFFICIENT_STORAGE,
        Error::Exhausted { cause, .. } => status_of(cause),
        Error::OtherReplicas { .. } => StatusCode::CONFLICT,
        Error::Bug { .. } => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The answer where there is no route.
pub(crate) async fn no_route(uri: Uri) -> Failure {
    Error::not_found(
        format!("there is nothing at {}", uri.path()),
        "the routes are under /v1: status, health, scrub, objects, manifests, jobs, sql",
    )
    .into()
}

/// The answer where there is a route, but not for this method.
pub(crate) async fn no_method(method: Method, uri: Uri) -> Failure {
    let error = Error::invalid(format!("{} does not take {method}", uri.path()), "");
    Failure::with_status(StatusCode::METHOD_NOT_ALLOWED, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client takes 412 for a change that was not made.
    #[test]
    fn a_change_that_may_have_been_made_is_not_told_as_a_condition_that_did_not_hold() {
        let conflict = |found: &str| Error::Conflict { name: "b/k".into(), found: found.into() };
        for (found, status) in [
            ("it has ETag 7", StatusCode::PRECONDITION_FAILED),
            (Error::IN_DOUBT, StatusCode::GATEWAY_TIMEOUT),
            (Error::LOST_SIGHT_OF, StatusCode::GATEWAY_TIMEOUT),
        ] {
            let error = conflict(found);
            assert_eq!(status_of(&error), status);
            assert_eq!(status_of(&Error::exhausted("0.0", 2, error)), status);
        }
    }
}
