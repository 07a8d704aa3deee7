use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, BodyDataStream};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use serde::{Deserialize, Serialize};
use shoal_runtime::{Peer, PutCondition, Said, Stored};
use shoal_types::{Error, Format, ObjectName, Result};
use tokio::sync::Mutex;

use super::read::Source;
use crate::query::{self, Asked, Nothing, Parameters};
use crate::reply::Failure;
use crate::view::{ManifestView, ObjectPage, ObjectView, StoredView};
use crate::{APPEND_ID_HEADER, FORMAT_HEADER, condition};

/// Names in one page of a listing, at most and by default.
const LIST_LIMIT_MAX: u32 = 1000;

/// For how long a refused body is still read, and thrown away, after the
/// refusal was sent: a connection that is closed while the client sends takes
/// the refusal with it. A client that has read it sends no more.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(30);

/// The query of a listing.
#[derive(Debug, Deserialize)]
pub(crate) struct ListQuery {
    #[serde(default)]
    prefix: String,
    after: Option<String>,
    limit: Option<u32>,
}

impl Parameters for ListQuery {
    const USAGE: &'static [&'static str] = &["prefix=TEXT", "after=NAME", "limit=N"];
}

/// `GET /v1/objects?prefix=&after=&limit=`.
pub(crate) async fn list(
    State(peer): State<Peer>,
    Asked(asked): Asked<ListQuery>,
) -> Result<Json<ObjectPage>, Failure> {
    let limit = query::limit(asked.limit, LIST_LIMIT_MAX)?;
    let (entries, more) = peer.list(asked.prefix, asked.after, limit).await?;
    Ok(Json(ObjectPage { objects: entries.iter().map(ObjectView::from).collect(), more }))
}

/// The query of a look at an object.
#[derive(Debug, Deserialize)]
pub(crate) struct ManifestQuery {
    version: Option<String>,
    /// Whether its chunks are asked for.
    #[serde(default)]
    check: bool,
}

impl Parameters for ManifestQuery {
    const USAGE: &'static [&'static str] = &["version=ETAG", "check=true"];
}

/// `GET /v1/manifests/NAME?version=&check=`.
pub(crate) async fn manifest(
    State(peer): State<Peer>,
    Path(name): Path<String>,
    Asked(ManifestQuery { version, check }): Asked<ManifestQuery>,
) -> Result<Json<ManifestView>, Failure> {
    let source = Source::new(peer.clone(), name, version)?;
    let manifest = source.stat().await?;
    let mut view = ManifestView::new(source.name(), &manifest);
    if check {
        view.whole = Some(peer.is_whole(&manifest).await?);
    }
    Ok(Json(view))
}

/// `PUT /v1/objects/NAME`: 201 once the object is durable. With `Content-MD5`
/// the content must have that MD5 (RFC 1864).
pub(crate) async fn put(
    State(peer): State<Peer>,
    Path(name): Path<String>,
    query: Result<Asked<Nothing>, Failure>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    let body = Arc::new(Mutex::new(body.into_data_stream()));
    let stored = async {
        query?;
        Ok(put_object(&peer, name, &headers, read(body.clone())).await?)
    };
    match stored.await {
        Ok(stored) => described(StatusCode::CREATED, &stored.object.etag, &stored),
        Err(failure) => {
            tokio::spawn(drain(body));
            Err(failure)
        }
    }
}

/// Bytes that are to be a part of what is there (RFC 9110, section 14.5) must
/// not become all of it.
fn whole(headers: &HeaderMap) -> Result<()> {
    match headers.contains_key(header::CONTENT_RANGE) {
        true => Err(Error::invalid(
            "a part of an object cannot be put in its place (Content-Range)",
            "PUT all of it, or append with POST",
        )),
        false => Ok(()),
    }
}

async fn put_object(
    peer: &Peer,
    name: String,
    headers: &HeaderMap,
    body: BoxStream<'static, Result<Bytes>>,
) -> Result<StoredView> {
    let name = ObjectName::new(name)?;
    whole(headers)?;
    let terms = condition::terms(headers)?;
    let said = Said { format: format_of(headers)?, md5: condition::md5(headers)? };
    let Stored { manifest, there_bytes } = peer.put(name.clone(), said, terms, body).await?;
    Ok(StoredView { object: ObjectView::new(&name, &manifest), there_bytes })
}

/// `POST /v1/objects/NAME`: 200 once the body is behind what there was. The
/// header `x-shoal-append-id` makes it safe to send again.
pub(crate) async fn append(
    State(peer): State<Peer>,
    Path(name): Path<String>,
    query: Result<Asked<Nothing>, Failure>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    let body = Arc::new(Mutex::new(body.into_data_stream()));
    let appended = async {
        query?;
        Ok(append_to(&peer, name, &headers, read(body.clone())).await?)
    };
    match appended.await {
        Ok(object) => described(StatusCode::OK, &object.etag, &object),
        Err(failure) => {
            tokio::spawn(drain(body));
            Err(failure)
        }
    }
}

async fn append_to(
    peer: &Peer,
    name: String,
    headers: &HeaderMap,
    body: BoxStream<'static, Result<Bytes>>,
) -> Result<ObjectView> {
    let name = ObjectName::new(name)?;
    whole(headers)?;
    let version = condition::of_append(headers)?;
    let id = condition::id(headers, APPEND_ID_HEADER)?.unwrap_or_else(|| peer.new_append_id());
    let manifest = peer.append(name.clone(), format_of(headers)?, id, version, body).await?;
    Ok(ObjectView::new(&name, &manifest))
}

/// The format that a request names.
fn format_of(headers: &HeaderMap) -> Result<Option<Format>> {
    headers.get(FORMAT_HEADER).map(|value| value.to_str().unwrap_or("").parse()).transpose()
}

/// What was written as an answer, its ETag as a header too.
fn described(status: StatusCode, etag: &str, written: &impl Serialize) -> Result<Response, Failure> {
    let etag = HeaderValue::try_from(format!("\"{etag}\""))
        .map_err(|error| Error::bug(format!("an etag that is no header: {error}")))?;
    Ok((status, [(header::ETAG, etag)], Json(written)).into_response())
}

/// The query of a removal.
#[derive(Debug, Deserialize)]
pub(crate) struct RemoveQuery {
    /// With all versions that there were before.
    #[serde(default)]
    purge: bool,
    /// Only the former versions whose ETag begins so.
    version: Option<String>,
}

impl Parameters for RemoveQuery {
    const USAGE: &'static [&'static str] = &["purge=true", "version=ETAG"];
}

/// `DELETE /v1/objects/NAME?purge=&version=`: 204, or 404 when there was none;
/// with `If-Match` 412 when it is another version. The header
/// `x-shoal-request-id` makes it safe to send again.
pub(crate) async fn remove(
    State(peer): State<Peer>,
    Path(name): Path<String>,
    Asked(query): Asked<RemoveQuery>,
    headers: HeaderMap,
) -> Result<StatusCode, Failure> {
    let name = ObjectName::new(name)?;
    let terms = condition::of_delete(&headers)?;
    let was_there = match (&terms.condition, query.version) {
        (_, None) if !query.purge => peer.remove(name.clone(), terms).await?,
        (PutCondition::Always, Some(version)) => {
            remove_version(&peer, name, version).await?;
            return Ok(StatusCode::NO_CONTENT);
        }
        (PutCondition::Always, None) => peer.purge(name.clone()).await? > 0,
        _ => {
            return Err(Error::invalid("a condition on what is removed for good", "leave out If-Match").into());
        }
    };
    if was_there {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Error::not_found(format!("there is no object '{name}'"), "see what there is with: shoal ls").into())
    }
}

/// Removes the former versions whose ETag begins with `version`.
async fn remove_version(peer: &Peer, name: ObjectName, version: String) -> Result<()> {
    if peer.purge_version(name.clone(), version.clone()).await? > 0 {
        return Ok(());
    }
    let is_present = match peer.stat(name.clone()).await {
        Ok(now) => now.etag.0.starts_with(&version),
        Err(Error::NotFound { .. }) => false,
        Err(error) => return Err(error),
    };
    let hint = match is_present {
        true => format!("it is what the name stands for now, which goes with: shoal rm {name}"),
        false => format!("see which there are with: shoal ls --versions {name}"),
    };
    Err(Error::not_found(format!("'{name}' has no former version '{version}'"), hint))
}

/// The body's bytes. A client that goes away in the middle is an error, so
/// that half an object is never stored.
fn read(body: Arc<Mutex<BodyDataStream>>) -> BoxStream<'static, Result<Bytes>> {
    stream::unfold(body, |body| async move {
        let piece = body.lock().await.next().await?;
        let piece = piece.map_err(|error| {
            Error::invalid(format!("the object's bytes broke off: {error}"), "nothing was stored; send it again")
        });
        Some((piece, body))
    })
    .boxed()
}

/// Reads what is left of a refused body.
async fn drain(body: Arc<Mutex<BodyDataStream>>) {
    let rest = async {
        let mut body = body.lock().await;
        while let Some(Ok(_)) = body.next().await {}
    };
    // Whoever sends on for longer has not listened, and is cut off.
    let _ = tokio::time::timeout(DRAIN_TIME_MAX, rest).await;
}
