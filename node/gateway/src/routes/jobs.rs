use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use shoal_runtime::Peer;
use shoal_types::{Error, JobId};

use crate::query::{Asked, Nothing};
use crate::reply::Failure;
use crate::view::JobView;

/// `GET /v1/jobs`: newest first, without their events.
pub(crate) async fn list(_: Asked<Nothing>, State(peer): State<Peer>) -> Result<Json<Vec<JobView>>, Failure> {
    Ok(Json(peer.jobs().await?.iter().map(JobView::brief).collect()))
}

/// `GET /v1/jobs/ID`.
pub(crate) async fn show(
    _: Asked<Nothing>,
    State(peer): State<Peer>,
    Path(id): Path<String>,
) -> Result<Json<JobView>, Failure> {
    Ok(Json(JobView::from(&peer.job(parse(&id)?).await?)))
}

/// `DELETE /v1/jobs/ID`: cancels it.
pub(crate) async fn cancel(
    _: Asked<Nothing>,
    State(peer): State<Peer>,
    Path(id): Path<String>,
) -> Result<StatusCode, Failure> {
    peer.cancel(parse(&id)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn parse(id: &str) -> Result<JobId, Error> {
    id.parse().map_err(|error| Error::invalid(format!("{error}"), "see the jobs with: shoal job ls"))
}
