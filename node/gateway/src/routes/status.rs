use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use shoal_runtime::Peer;

use crate::reply::Failure;
use crate::view::StatusView;

/// `POST /v1/secret/rotate`: nobody is told the new one here.
pub(crate) async fn rotate_secret(State(peer): State<Peer>) -> Result<StatusCode, Failure> {
    peer.rotate_secret().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /v1/status`.
pub(crate) async fn status(State(peer): State<Peer>) -> Result<Json<StatusView>, Failure> {
    Ok(Json(StatusView::from(&peer.status().await?)))
}
