use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use shoal_runtime::Peer;
use shoal_types::{BucketChange, BucketName, Error};

use crate::query::{Asked, Nothing};
use crate::reply::Failure;
use crate::view::BucketView;

/// `GET /v1/buckets`: those that somebody has given settings.
pub(crate) async fn list(_: Asked<Nothing>, State(peer): State<Peer>) -> Result<Json<Vec<BucketView>>, Failure> {
    let buckets = peer.buckets().await?;
    Ok(Json(buckets.iter().map(|(name, settings)| BucketView::new(name, settings)).collect()))
}

/// `GET /v1/buckets/NAME`.
pub(crate) async fn show(
    _: Asked<Nothing>,
    State(peer): State<Peer>,
    Path(name): Path<String>,
) -> Result<Json<BucketView>, Failure> {
    let name = BucketName::new(name)?;
    let settings = peer.bucket(name.clone()).await?;
    Ok(Json(BucketView::new(&name, &settings)))
}

/// `PATCH /v1/buckets/NAME`: 200 once every put follows.
pub(crate) async fn change(
    _: Asked<Nothing>,
    State(peer): State<Peer>,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<Json<BucketView>, Failure> {
    let name = BucketName::new(name)?;
    let change: BucketChange = serde_json::from_slice(&body).map_err(|error| {
        Error::invalid(
            format!("the body is no change of a bucket: {error}"),
            r#"send {"history_s": 86400, "replicas": 2, "write_copies": 1}, or some of them, as JSON"#,
        )
    })?;
    let settings = peer.change_bucket(name.clone(), change).await?;
    Ok(Json(BucketView::new(&name, &settings)))
}
