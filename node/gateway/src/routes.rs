//! Which request goes where.

mod buckets;
mod chunks;
mod copy;
mod health;
mod jobs;
mod members;
mod objects;
mod read;
mod scrub;
mod sql;
mod status;
mod versions;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::{get, post};
use shoal_runtime::Peer;

pub(crate) use copy::CopyRequest;
pub(crate) use scrub::ScrubRequest;
pub(crate) use sql::SqlRequest;

use crate::{guard, reply};

/// The longest body of a `/v1/sql` request, in bytes. Long lists of literals
/// are written by programs; larger ones belong into a table.
pub(crate) const SQL_BYTES_MAX: usize = 1 << 20;

/// The longest change of a member's part, in bytes.
const ROLE_BYTES_MAX: usize = 4 << 10;

/// The longest change of a bucket, in bytes.
const BUCKET_BYTES_MAX: usize = 4 << 10;

/// The longest `/v1/scrub` request, in bytes.
const SCRUB_BYTES_MAX: usize = 4 << 10;

/// The longest `/v1/copy` request, in bytes: two names, whatever is escaped in them.
const COPY_BYTES_MAX: usize = 32 << 10;

/// Everything that a gateway answers.
pub(crate) fn router(peer: Peer) -> Router {
    Router::new()
        .route("/v1/status", get(status::status))
        .route("/v1/health", get(health::health))
        .route("/v1/scrub", post(scrub::scrub).layer(DefaultBodyLimit::max(SCRUB_BYTES_MAX)))
        .route("/v1/examinations", get(status::examinations))
        .route("/v1/secret/rotate", post(status::rotate_secret))
        .route("/v1/members/{who}/role", post(members::change_role).layer(DefaultBodyLimit::max(ROLE_BYTES_MAX)))
        .route("/v1/objects", get(objects::list))
        .route(
            "/v1/objects/{*name}",
            get(read::get).head(read::head).put(objects::put).post(objects::append).delete(objects::remove),
        )
        .route("/v1/manifests/{*name}", get(objects::manifest))
        .route("/v1/chunks/{hash}", get(chunks::get))
        .route("/v1/versions", get(versions::list))
        .route("/v1/buckets", get(buckets::list))
        .route(
            "/v1/buckets/{name}",
            get(buckets::show).patch(buckets::change).layer(DefaultBodyLimit::max(BUCKET_BYTES_MAX)),
        )
        .route("/v1/copy", post(copy::copy).layer(DefaultBodyLimit::max(COPY_BYTES_MAX)))
        .route("/v1/jobs", get(jobs::list))
        .route("/v1/jobs/{id}", get(jobs::show).delete(jobs::cancel))
        .route("/v1/sql", post(sql::sql).layer(DefaultBodyLimit::max(SQL_BYTES_MAX)))
        .fallback(reply::no_route)
        .method_not_allowed_fallback(reply::no_method)
        .layer(middleware::from_fn(guard::guard))
        .with_state(peer)
}
