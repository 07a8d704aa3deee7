use axum::extract::State;
use axum::response::Response;
use futures::StreamExt;
use serde::Deserialize;
use shoal_runtime::{CheckupUpdate, Peer};
use shoal_types::Result;

use crate::lines::{self, Line};
use crate::query::{Asked, Parameters};
use crate::reply::Failure;
use crate::view::{ErrorView, HealthProgressView, HealthView};

/// The query of a look at the mesh.
#[derive(Debug, Deserialize)]
pub(crate) struct HealthQuery {
    #[serde(default)]
    quick: bool,
}

impl Parameters for HealthQuery {
    const USAGE: &'static [&'static str] = &["quick=true"];
}

/// `GET /v1/health?quick=`: [lines], the last a [`HealthView`]. A whole look
/// goes through all names; it ends when the client goes.
pub(crate) async fn health(State(peer): State<Peer>, Asked(query): Asked<HealthQuery>) -> Result<Response, Failure> {
    let told = peer.checkup(query.quick).map(|update| match update {
        Ok(CheckupUpdate::Progress { names, chunks }) => Line::Progress(HealthProgressView { names, chunks }),
        Ok(CheckupUpdate::Report(checkup)) => Line::Report(HealthView::from(&*checkup)),
        Err(error) => Line::Error(ErrorView::from(&error)),
    });
    Ok(lines::answer(told.boxed()))
}
