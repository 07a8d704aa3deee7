use axum::Json;
use axum::extract::State;
use shoal_runtime::Peer;

use crate::reply::Failure;
use crate::view::StatusView;

/// `GET /v1/status`.
pub(crate) async fn status(State(peer): State<Peer>) -> Result<Json<StatusView>, Failure> {
    Ok(Json(StatusView::from(&peer.status().await?)))
}
