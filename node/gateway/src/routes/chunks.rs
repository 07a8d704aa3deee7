//! `GET /v1/chunks/HASH`.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use shoal_runtime::Peer;
use shoal_types::{ChunkId, Error, Etag, ParseIdError};

use crate::condition::is_known;
use crate::query::{Asked, Nothing};
use crate::reply::Failure;

/// The bytes, which are the same for ever.
pub(crate) async fn get(
    _: Asked<Nothing>,
    State(peer): State<Peer>,
    Path(hash): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let chunk: ChunkId = hash
        .parse()
        .map_err(|error: ParseIdError| Error::invalid(error.to_string(), "GET /v1/manifests/NAME lists them"))?;
    let tag = Etag(chunk.to_string());
    let mut response = match is_known(&headers, &tag) {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => peer.chunk(chunk).await?.into_response(),
    };
    let tag = HeaderValue::try_from(format!("\"{tag}\"")).map_err(|_| Error::bug("a hash that is no header"))?;
    response.headers_mut().insert(header::ETAG, tag);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    Ok(response)
}
