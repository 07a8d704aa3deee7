use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use futures::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use shoal_runtime::Peer;
use shoal_types::{Error, Health, PeerId};

use crate::lines::{self, Line};
use crate::query::{Asked, Nothing};
use crate::reply::Failure;
use crate::routes::members;
use crate::view::{MemberScrubView, ScrubView};

/// Bytes that each member reads a second when nothing else is said: a disk
/// that reads 500 MB/s keeps most of that for others, and 1 TB takes some
/// four hours and a half.
const BYTES_PER_SECOND: u64 = 64 << 20;

/// Whose copies are to be read, and how fast at most.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScrubRequest {
    /// `self`, `all`, a name, or an id or its beginning.
    pub(crate) who: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) bytes_per_second: Option<u64>,
}

/// `POST /v1/scrub`: [lines], each how far one member is, the last what came of
/// it. When the client goes, all of them stop.
pub(crate) async fn scrub(_: Asked<Nothing>, State(peer): State<Peer>, body: Bytes) -> Result<Response, Failure> {
    let ScrubRequest { who, bytes_per_second } = serde_json::from_slice(&body)
        .map_err(|error| Error::invalid(format!("the body is no scrub: {error}"), r#"send {"who": "all"}, as JSON"#))?;
    let status = peer.status().await?;
    let names: BTreeMap<PeerId, String> =
        status.members.iter().map(|member| (member.id, member.info.name.clone())).collect();
    let members: Vec<PeerId> = match who.as_str() {
        "self" => vec![peer.id()],
        // Those who hold data; who is away says so by not answering.
        "all" => {
            status.members.iter().filter(|it| it.in_layout || it.health == Health::Alive).map(|it| it.id).collect()
        }
        who => vec![members::find(who, &status.members)?],
    };
    let updates = peer.scrub(members, bytes_per_second.unwrap_or(BYTES_PER_SECOND).max(1));
    let progress = updates.map(move |update| {
        let name = names.get(&update.peer).cloned().unwrap_or_default();
        MemberScrubView::of(update.peer, name, update.outcome.as_ref())
    });
    // The last word of each member makes the report.
    let told = stream::unfold(Some((progress, ScrubView::default())), |state| async {
        let (mut progress, mut report) = state?;
        Some(match progress.next().await {
            Some(said) => {
                report.note(&said);
                (Line::Progress(said), Some((progress, report)))
            }
            None => (Line::Report(report), None),
        })
    });
    Ok(lines::answer(told.boxed()))
}
