use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use shoal_runtime::Peer;
use shoal_types::RegisterPlace;

use crate::query::{self, Asked, Parameters};
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

impl Parameters for VersionsQuery {
    const USAGE: &'static [&'static str] = &["prefix=TEXT", "after=NAME", "after_number=NUMBER", "limit=N"];
}

/// `GET /v1/versions?prefix=&after=&after_number=&limit=`.
pub(crate) async fn list(
    State(peer): State<Peer>,
    Asked(asked): Asked<VersionsQuery>,
) -> Result<Json<VersionPage>, Failure> {
    let after = asked.after.map(|name| RegisterPlace { name, version: asked.after_number });
    let limit = query::limit(asked.limit, LIMIT_MAX)?;
    let (versions, more) = peer.versions(asked.prefix, after, limit).await?;
    Ok(Json(VersionPage { versions: versions.iter().map(VersionView::from).collect(), more }))
}
