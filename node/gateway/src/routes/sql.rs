//! `POST /v1/sql`: a query, and its answer as it comes.

use axum::body::Body;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use shoal_runtime::{Peer, Update};
use shoal_types::{Error, Query, Result};

use crate::JOB_HEADER;
use crate::query::{Asked, Nothing};
use crate::record::Record;
use crate::reply::Failure;
use crate::routes::SQL_BYTES_MAX;
use crate::view::{ErrorView, EventView, JobView, TimedEvent};

/// The body of the request.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SqlRequest {
    pub(crate) sql: String,
    /// The memory that one task may use, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) task_memory: Option<u64>,
}

/// The answer is a stream of [records](crate::record). A client that closes
/// the connection drops the stream, and so cancels the query.
pub(crate) async fn sql(
    _: Asked<Nothing>,
    State(peer): State<Peer>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Failure> {
    let body = body.map_err(|error| match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Failure::with_status(
            StatusCode::PAYLOAD_TOO_LARGE,
            Error::invalid(
                format!("the query is longer than {SQL_BYTES_MAX} bytes"),
                "put long lists of values into an object and join with it",
            ),
        ),
        _ => Error::invalid(format!("the query did not arrive: {}", error.body_text()), "").into(),
    })?;
    let request: SqlRequest = serde_json::from_slice(&body).map_err(|error| {
        Error::invalid(format!("the body is not a query: {error}"), r#"send {"sql": "select 1"}, as JSON"#)
    })?;
    let mut query = Query::new(request.sql);
    if let Some(bytes) = request.task_memory {
        query.task_memory_bytes = bytes;
    }
    let answer = peer.query(query).await?;
    let job = HeaderValue::try_from(answer.job.to_string())
        .map_err(|error| Error::bug(format!("a job id that is no header: {error}")))?;
    let mut response = Body::from_stream(records(answer.updates)).into_response();
    response.headers_mut().insert(JOB_HEADER, job);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/vnd.shoal.records"));
    Ok(response)
}

/// The updates as bytes; a failure is the last record, not a broken stream.
fn records(updates: BoxStream<'static, Result<Update>>) -> BoxStream<'static, Result<Bytes>> {
    updates
        .map(|update| {
            let record = match update {
                Ok(Update::Event(at_ms, event)) => Record::Event(TimedEvent { at_ms, event: EventView::from(&event) }),
                Ok(Update::Frame(frame)) => Record::Frame(frame),
                Ok(Update::Summary(summary)) => Record::Summary(Box::new(JobView::from(&*summary))),
                Err(error) => Record::Error(ErrorView::from(&error)),
            };
            Ok(stream::iter(record.encode()?.into_iter().map(Ok)))
        })
        .try_flatten()
        .boxed()
}
