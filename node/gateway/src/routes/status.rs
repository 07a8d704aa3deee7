use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use shoal_runtime::Peer;

use crate::query::{Asked, Nothing};
use crate::reply::Failure;
use crate::view::{ExaminationView, StatusView};

/// `POST /v1/secret/rotate`: nobody is told the new one here.
pub(crate) async fn rotate_secret(_: Asked<Nothing>, State(peer): State<Peer>) -> Result<StatusCode, Failure> {
    peer.rotate_secret().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /v1/examinations`: what every live member says of this peer.
pub(crate) async fn examinations(_: Asked<Nothing>, State(peer): State<Peer>) -> Json<Vec<ExaminationView>> {
    Json(peer.examine().await.iter().map(ExaminationView::from).collect())
}

/// `GET /v1/status`. Takes up to a second longer while data moves and a peer
/// does not say how far it is.
pub(crate) async fn status(_: Asked<Nothing>, State(peer): State<Peer>) -> Result<Json<StatusView>, Failure> {
    let status = peer.status().await?;
    let moving = peer.moving(status.moving).await?;
    Ok(Json(StatusView::of(&status, moving.as_ref())))
}
