use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use shoal_runtime::{CopyVersion, Peer};
use shoal_types::{Error, Etag, ObjectName};

use crate::condition;
use crate::query::{Asked, Nothing};
use crate::reply::Failure;
use crate::view::ObjectView;

/// What is to get another name.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CopyRequest {
    pub(crate) from: ObjectName,
    pub(crate) to: ObjectName,
    /// Only while `from` has this ETag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<Etag>,
    /// The version of `from` whose ETag begins so, of now or of before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) former: Option<String>,
}

/// `POST /v1/copy`: 201 once the content of one name has another name too. The
/// conditions of a PUT are those on the new name.
pub(crate) async fn copy(
    _: Asked<Nothing>,
    State(peer): State<Peer>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<(StatusCode, Json<ObjectView>), Failure> {
    let CopyRequest { from, to, version, former } = serde_json::from_slice(&body).map_err(|error| {
        Error::invalid(format!("the body is no copy: {error}"), r#"send {"from": "b/x", "to": "b/y"}, as JSON"#)
    })?;
    let version = match (version, former) {
        (None, None) => CopyVersion::Now,
        (Some(etag), None) => CopyVersion::NowIf(etag),
        (None, Some(former)) => CopyVersion::Of(former),
        (Some(_), Some(_)) => {
            return Err(Error::invalid("a copy of two versions", "send 'version', or 'former'").into());
        }
    };
    let manifest = peer.copy(from, to.clone(), version, condition::terms(&headers)?).await?;
    Ok((StatusCode::CREATED, Json(ObjectView::new(&to, &manifest))))
}
