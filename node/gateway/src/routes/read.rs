//! `GET` and `HEAD /v1/objects/NAME`.

use std::pin::Pin;
use std::time::{Duration, UNIX_EPOCH};

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use serde::Deserialize;
use shoal_runtime::Peer;
use shoal_types::{Error, Format, Manifest, ObjectName, Result};

use crate::condition::{is_known, is_unwanted, strong_tag};
use crate::query::{Asked, Parameters};
use crate::range::{Part, Wanted};
use crate::reply::Failure;
use crate::{FORMAT_HEADER, MD5_HEADER, MODIFIED_HEADER};

/// How often a range is asked for again because the object was replaced
/// between looking at its length and reading it.
const REPLACED_RETRIES_MAX: u32 = 4;

/// When it begins, in seconds since the epoch.
const YEAR_10000: u64 = 253_402_300_800;

/// The query of a read.
#[derive(Debug, Deserialize)]
pub(crate) struct ReadQuery {
    /// What the ETag of the version begins with; the present one when left out.
    version: Option<String>,
}

impl Parameters for ReadQuery {
    const USAGE: &'static [&'static str] = &["version=ETAG"];
}

/// An object, or a version of it.
pub(crate) struct Source {
    peer: Peer,
    name: ObjectName,
    version: Option<String>,
}

impl Source {
    pub(crate) fn new(peer: Peer, name: String, version: Option<String>) -> Result<Self> {
        Ok(Self { peer, name: ObjectName::new(name)?, version })
    }

    pub(crate) async fn stat(&self) -> Result<Manifest> {
        match &self.version {
            None => self.peer.stat(self.name.clone()).await,
            Some(version) => self.peer.stat_version(self.name.clone(), version.clone()).await,
        }
    }

    async fn get(&self, range: Option<(u64, u64)>) -> Result<(Manifest, BoxStream<'static, Result<Bytes>>)> {
        match &self.version {
            None => self.peer.get(self.name.clone(), range).await,
            Some(version) => self.peer.get_version(self.name.clone(), version.clone(), range).await,
        }
    }

    /// That the client has asked for this version, if for any.
    fn is_wanted(&self, manifest: &Manifest, headers: &HeaderMap) -> Result<()> {
        match is_unwanted(headers, &manifest.etag) {
            true => {
                Err(Error::Conflict { name: self.name.to_string(), found: format!("it has ETag {}", manifest.etag) })
            }
            false => Ok(()),
        }
    }

    pub(crate) fn name(&self) -> &ObjectName {
        &self.name
    }
}

/// The headers alone.
pub(crate) async fn head(
    State(peer): State<Peer>,
    Path(name): Path<String>,
    Asked(query): Asked<ReadQuery>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let source = Source::new(peer, name, query.version)?;
    let manifest = source.stat().await?;
    source.is_wanted(&manifest, &headers)?;
    if is_known(&headers, &manifest.etag) {
        return not_modified(&manifest);
    }
    let mut response = Body::empty().into_response();
    describe(&mut response, &manifest, manifest.bytes)?;
    Ok(response)
}

/// The bytes, or a part of them.
pub(crate) async fn get(
    State(peer): State<Peer>,
    Path(name): Path<String>,
    Asked(query): Asked<ReadQuery>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let source = Source::new(peer, name, query.version)?;
    let wanted = headers.get(header::RANGE).and_then(|value| value.to_str().ok()).and_then(Wanted::parse);
    if let Some(wanted) = wanted {
        return get_part(&source, wanted, &headers).await;
    }
    if headers.contains_key(header::IF_NONE_MATCH) {
        let manifest = source.stat().await?;
        source.is_wanted(&manifest, &headers)?;
        if is_known(&headers, &manifest.etag) {
            return not_modified(&manifest);
        }
    }
    let (manifest, bytes) = source.get(None).await?;
    source.is_wanted(&manifest, &headers)?;
    answer(&manifest, None, bytes).await
}

async fn get_part(source: &Source, wanted: Wanted, headers: &HeaderMap) -> Result<Response, Failure> {
    for _ in 0..REPLACED_RETRIES_MAX {
        let seen = source.stat().await?;
        source.is_wanted(&seen, headers)?;
        if is_known(headers, &seen.etag) {
            return not_modified(&seen);
        }
        // If-Range: the part of this version, or else the whole of the present one.
        let if_range = headers.get(header::IF_RANGE);
        let whole = if_range.is_some_and(|tag| tag.to_str().ok().and_then(strong_tag) != Some(seen.etag.0.as_str()));
        let part = match (whole, wanted.of(seen.bytes)) {
            (true, _) => None,
            (false, Some(part)) => Some(part),
            (false, None) => return unsatisfiable(&seen, &source.name),
        };
        let (manifest, bytes) = source.get(part.map(|part| (part.offset, part.length))).await?;
        if manifest.etag == seen.etag {
            return answer(&manifest, part, bytes).await;
        }
    }
    let what = format!("reading '{}', which is being replaced again and again,", source.name);
    Err(Error::Timeout { what, ms: 0 }.into())
}

/// Answers once the first bytes are there: what keeps them from coming is
/// told then, where later on the connection can only break.
async fn answer(
    manifest: &Manifest,
    part: Option<Part>,
    bytes: BoxStream<'static, Result<Bytes>>,
) -> Result<Response, Failure> {
    let mut bytes = bytes.peekable();
    if let Some(Err(error)) = Pin::new(&mut bytes).peek().await {
        return Err(error.clone().into());
    }
    let mut response = Body::from_stream(bytes).into_response();
    describe(&mut response, manifest, part.map_or(manifest.bytes, |part| part.length))?;
    if let Some(Part { offset, length }) = part {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        let range = format!("bytes {offset}-{}/{}", offset + length - 1, manifest.bytes);
        response.headers_mut().insert(header::CONTENT_RANGE, value(range)?);
    }
    Ok(response)
}

fn not_modified(manifest: &Manifest) -> Result<Response, Failure> {
    let mut response = StatusCode::NOT_MODIFIED.into_response();
    response.headers_mut().insert(header::ETAG, value(format!("\"{}\"", manifest.etag))?);
    Ok(response)
}

fn unsatisfiable(manifest: &Manifest, name: &ObjectName) -> Result<Response, Failure> {
    let error = Error::invalid(format!("the range lies past the {} bytes of '{name}'", manifest.bytes), "");
    let mut response = Failure::with_status(StatusCode::RANGE_NOT_SATISFIABLE, error).into_response();
    response.headers_mut().insert(header::CONTENT_RANGE, value(format!("bytes */{}", manifest.bytes))?);
    Ok(response)
}

fn describe(response: &mut Response, manifest: &Manifest, length: u64) -> Result<(), Error> {
    let mut set = |name: HeaderName, text: String| -> Result<(), Error> {
        response.headers_mut().insert(name, value(text)?);
        Ok(())
    };
    set(header::CONTENT_LENGTH, length.to_string())?;
    set(header::CONTENT_TYPE, content_type(manifest.format).into())?;
    set(header::ETAG, format!("\"{}\"", manifest.etag))?;
    set(header::ACCEPT_RANGES, "bytes".into())?;
    // What others have stored is never run by a browser that is led here.
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff".into())?;
    set(HeaderName::from_static(FORMAT_HEADER), manifest.format.as_str().into())?;
    if let Some(md5) = &manifest.md5 {
        set(HeaderName::from_static(MD5_HEADER), md5.clone())?;
    }
    if let Some(date) = http_date(manifest.modified_ms) {
        set(header::LAST_MODIFIED, date)?;
    }
    set(HeaderName::from_static(MODIFIED_HEADER), manifest.modified_ms.to_string())
}

/// A time, in ms since the epoch, as HTTP has it; `None` where it is not known,
/// or of a year that has five digits.
fn http_date(ms: u64) -> Option<String> {
    let seconds = Some(ms / 1_000).filter(|seconds| (1..YEAR_10000).contains(seconds))?;
    Some(httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds)))
}

fn value(text: String) -> Result<HeaderValue, Error> {
    HeaderValue::try_from(text).map_err(|error| Error::bug(format!("a value that is no header: {error}")))
}

const fn content_type(format: Format) -> &'static str {
    match format {
        Format::Parquet => "application/vnd.apache.parquet",
        Format::Csv => "text/csv; charset=utf-8",
        Format::Json => "application/x-ndjson",
        Format::Text => "text/plain; charset=utf-8",
        // Arrow files and streams have types of their own, and which it is is not known here.
        Format::Bytes | Format::Arrow | Format::Avro => "application/octet-stream",
        Format::Gzip => "application/gzip",
        Format::Zstd => "application/zstd",
        Format::Bzip2 => "application/x-bzip2",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_as_http_has_it_if_it_is_known() {
        assert_eq!(http_date(784_111_777_999).as_deref(), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
        assert!(http_date(YEAR_10000 * 1_000 - 1).is_some());
        for unknown in [0, 999, YEAR_10000 * 1_000, u64::MAX] {
            assert_eq!(http_date(unknown), None);
        }
    }
}
