use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::Deserialize;
use shoal_runtime::Peer;
use shoal_types::{Error, RegisterPlace};

use crate::reply::Failure;
use crate::view::{VersionPage, VersionView};

/// Versions in one page, at most and by default.
const LIMIT_MAX: u32 = 1000;

/// The query of a listing of former versions.
#[derive(Debug, Deserialize)]
pub(crate) struct VersionsQuery {
    #[serde(default)]
    prefix: String,
    /// The name and number after which the page begins.
    after: Option<String>,
    #[serde(default)]
    after_number: u64,
    limit: Option<u32>,
}

/// `GET /v1/versions?prefix=&after=&after_number=&limit=`.
pub(crate) async fn list(
    State(peer): State<Peer>,
    query: Result<Query<VersionsQuery>, QueryRejection>,
) -> Result<Json<VersionPage>, Failure> {
    let hint = "?prefix=TEXT&after=NAME&after_number=NUMBER&limit=N";
    let Query(query) = query.map_err(|error| Error::invalid(error.body_text(), hint))?;
    let after = query.after.map(|name| RegisterPlace { name, version: query.after_number });
    let limit = query.limit.unwrap_or(LIMIT_MAX).clamp(1, LIMIT_MAX);
    let (versions, more) = peer.versions(query.prefix, after, limit).await?;
    Ok(Json(VersionPage { versions: versions.iter().map(VersionView::from).collect(), more }))
}
