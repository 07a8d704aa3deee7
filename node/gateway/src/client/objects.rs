//! Objects: put, get, copy, list, look at, remove.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use reqwest::header::{ETAG, IF_MATCH, IF_NONE_MATCH, RANGE};
use reqwest::{Body, Method, RequestBuilder, Response, StatusCode, Url};
use serde::de::DeserializeOwned;
use shoal_runtime::{ContentMd5, CopyVersion, PutCondition, Said, Terms};
use shoal_types::{AppendId, BucketChange, BucketName, ChunkId, Error, Etag, Format, HashedChunk, ObjectName};

use super::{Client, ClientError, Result};
use crate::condition::strong_tag;
use crate::routes::CopyRequest;
use crate::view::{BucketView, ManifestView, ObjectPage, ObjectView, StoredView, VersionPage, VersionView};
use crate::{APPEND_ID_HEADER, CONTENT_MD5_HEADER, FORMAT_HEADER, KEEP_MD5, MD5_HEADER, REQUEST_ID_HEADER};

/// No chunk is longer, in bytes.
const CHUNK_BYTES_MAX: usize = 64 << 20;

/// A page of names.
pub type ListPage = ObjectPage;

impl Client {
    /// Stores `body` under `name`; it is durable when this returns. `format`
    /// is told by the name and the first bytes when `None`. An error of the body's own ends
    /// the put, stores nothing, and is what comes back. Where the outcome was
    /// not heard it may be sent again if the terms have an id.
    pub async fn put(
        &self,
        name: &ObjectName,
        said: impl Into<Said>,
        terms: impl Into<Terms>,
        body: impl Stream<Item = std::result::Result<Bytes, Error>> + Send + 'static,
    ) -> Result<StoredView> {
        let Said { format, md5 } = said.into();
        let mut request = self.request(Method::PUT, self.object_url("objects", name));
        request = match md5 {
            ContentMd5::Left => request,
            ContentMd5::Kept => request.header(MD5_HEADER, KEEP_MD5),
            ContentMd5::Expected(md5) => request.header(CONTENT_MD5_HEADER, data_encoding::BASE64.encode(&md5)),
        };
        self.send_body(on_terms(request, &terms.into()), format, body).await
    }

    /// Appends `body` to an object, which comes into being where there is
    /// none; with `version`, only to that. It is durable when this returns.
    /// Sent again under the same `id` it is appended once, also when the
    /// outcome of the first time was not heard ([`Appends`](shoal_types::Appends)
    /// says for how long).
    pub async fn append(
        &self,
        name: &ObjectName,
        format: Option<Format>,
        id: AppendId,
        version: Option<&Etag>,
        body: impl Stream<Item = std::result::Result<Bytes, Error>> + Send + 'static,
    ) -> Result<ObjectView> {
        let request = self.request(Method::POST, self.object_url("objects", name));
        let request = request.header(APPEND_ID_HEADER, id.to_string());
        let condition = version.map_or(PutCondition::Always, |version| PutCondition::IfMatch(version.clone()));
        self.send_body(conditional(request, &condition), format, body).await
    }

    /// Sends with a body that may break off; what it broke off with is then the error.
    async fn send_body<T: DeserializeOwned>(
        &self,
        mut request: RequestBuilder,
        format: Option<Format>,
        body: impl Stream<Item = std::result::Result<Bytes, Error>> + Send + 'static,
    ) -> Result<T> {
        let (broken, taken) = (Arc::new(Mutex::new(None)), Arc::new(AtomicU64::new(0)));
        let (note, count) = (broken.clone(), taken.clone());
        let body = body.inspect(move |piece| {
            count.fetch_add(1, Ordering::Relaxed);
            if let Err(error) = piece {
                *note.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.clone());
            }
        });
        if let Some(format) = format {
            request = request.header(FORMAT_HEADER, format.as_str());
        }
        let taken = || taken.load(Ordering::Relaxed);
        let sent = self.send_while(request.body(Body::wrap_stream(body)), taken).await;
        // The peer only sees that the body broke off; the cause is here.
        if let Some(error) = broken.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(error.into());
        }
        self.parse(sent?).await
    }

    /// The bytes of an object.
    pub async fn get(&self, name: &ObjectName) -> Result<Download> {
        self.get_version(name, None).await
    }

    /// The bytes of the version whose ETag begins with `version`, or else of
    /// what the name stands for.
    pub async fn get_version(&self, name: &ObjectName, version: Option<&str>) -> Result<Download> {
        let url = versioned(self.object_url("objects", name), version);
        let response = self.send(self.request(Method::GET, url.clone())).await?;
        let etag = response.headers().get(ETAG).and_then(|value| value.to_str().ok()).and_then(strong_tag);
        let Some(etag) = etag.map(|etag| Etag(etag.to_owned())) else {
            return Err(self.strange("its answer is not a peer's: it has no ETag".into()));
        };
        let (bytes, client) = (response.content_length(), self.clone());
        Ok(Download { bytes, etag, client, url, response, taken: 0, resumed_at: None })
    }

    /// A chunk, checked against its name. Needs no quorum.
    pub async fn chunk(&self, chunk: ChunkId) -> Result<Bytes> {
        let response = self.send(self.request(Method::GET, self.url(&["chunks", &chunk.to_string()]))).await?;
        let bytes = self.body(response, CHUNK_BYTES_MAX).await?;
        let checked = HashedChunk::named(chunk, bytes.into());
        let what = || format!("the bytes of chunk {} are not what its name says", chunk.short());
        Ok(checked.ok_or_else(|| Error::BadFrame { what: what() })?.into_bytes())
    }

    /// What is known of an object, its chunks included.
    pub async fn stat(&self, name: &ObjectName) -> Result<ManifestView> {
        self.stat_version(name, None).await
    }

    /// The same of the version whose ETag begins with `version`, or else of
    /// what the name stands for.
    pub async fn stat_version(&self, name: &ObjectName, version: Option<&str>) -> Result<ManifestView> {
        self.fetch(Method::GET, versioned(self.object_url("manifests", name), version)).await
    }

    /// What is known of an object, and whether somebody has each of its chunks.
    pub async fn check(&self, name: &ObjectName) -> Result<ManifestView> {
        let mut url = self.object_url("manifests", name);
        url.query_pairs_mut().append_pair("check", "true");
        self.fetch(Method::GET, url).await
    }

    /// A page of what names that begin with `prefix` stood for before, after
    /// the one of the page before; in no order of time.
    pub async fn versions(&self, prefix: &str, after: Option<&VersionView>) -> Result<VersionPage> {
        let mut url = self.url(&["versions"]);
        url.query_pairs_mut().append_pair("prefix", prefix);
        if let Some(after) = after {
            let number = after.number.unwrap_or_default().to_string();
            url.query_pairs_mut().append_pair("after", &after.object.name).append_pair("after_number", &number);
        }
        self.fetch(Method::GET, url).await
    }

    /// Removes an object and all that its name stood for before; `NotFound`
    /// when there is nothing of it.
    pub async fn purge(&self, name: &ObjectName) -> Result<()> {
        let mut url = self.object_url("objects", name);
        url.query_pairs_mut().append_pair("purge", "true");
        self.send(self.request(Method::DELETE, url).timeout(super::ANSWER_TIME_MAX)).await.map(drop)
    }

    /// Removes the former versions whose ETag begins with `version`;
    /// `NotFound` when there is none.
    pub async fn purge_version(&self, name: &ObjectName, version: &str) -> Result<()> {
        let url = versioned(self.object_url("objects", name), Some(version));
        self.send(self.request(Method::DELETE, url).timeout(super::ANSWER_TIME_MAX)).await.map(drop)
    }

    /// Buckets that somebody has given settings, by name.
    pub async fn buckets(&self) -> Result<Vec<BucketView>> {
        self.fetch(Method::GET, self.url(&["buckets"])).await
    }

    /// How the objects of a bucket are kept.
    pub async fn bucket(&self, bucket: &BucketName) -> Result<BucketView> {
        self.fetch(Method::GET, self.url(&["buckets", bucket.as_str()])).await
    }

    /// Changes that; every put that begins afterwards follows. Takes some seconds.
    pub async fn change_bucket(&self, bucket: &BucketName, change: &BucketChange) -> Result<BucketView> {
        let request = self.request(Method::PATCH, self.url(&["buckets", bucket.as_str()])).json(change);
        let response = self.send(request.timeout(super::ANSWER_TIME_MAX)).await?;
        self.parse(response).await
    }

    /// Removes an object; `NotFound` when there is none, `Conflict` when it is
    /// another version than it is to be. Sent again under the same id it is
    /// removed once, and known to have been.
    pub async fn remove(&self, name: &ObjectName, terms: impl Into<Terms>) -> Result<()> {
        let request = self.request(Method::DELETE, self.object_url("objects", name));
        let request = on_terms(request, &terms.into());
        self.send(request.timeout(super::ANSWER_TIME_MAX)).await.map(drop)
    }

    /// Gives the content of `from` the name `to` as well, under the condition
    /// on `to`; of the version of `from` that is meant. No data moves.
    pub async fn copy(
        &self,
        from: &ObjectName,
        to: &ObjectName,
        version: &CopyVersion,
        terms: impl Into<Terms>,
    ) -> Result<ObjectView> {
        let (version, former) = match version {
            CopyVersion::Now => (None, None),
            CopyVersion::NowIf(etag) => (Some(etag.clone()), None),
            CopyVersion::Of(version) => (None, Some(version.clone())),
        };
        let body = CopyRequest { from: from.clone(), to: to.clone(), version, former };
        let request = on_terms(self.request(Method::POST, self.url(&["copy"])).json(&body), &terms.into());
        let response = self.send(request.timeout(super::ANSWER_TIME_MAX)).await?;
        self.parse(response).await
    }

    /// A page of the names that begin with `prefix`, after `after`.
    pub async fn list(&self, prefix: &str, after: Option<&str>) -> Result<ListPage> {
        let mut url = self.url(&["objects"]);
        url.query_pairs_mut().append_pair("prefix", prefix).extend_pairs(after.map(|after| ("after", after)));
        self.fetch(Method::GET, url).await
    }
}

fn versioned(mut url: Url, version: Option<&str>) -> Url {
    if let Some(version) = version {
        url.query_pairs_mut().append_pair("version", version);
    }
    url
}

fn on_terms(request: RequestBuilder, terms: &Terms) -> RequestBuilder {
    let request = conditional(request, &terms.condition);
    match terms.request {
        None => request,
        Some(id) => request.header(REQUEST_ID_HEADER, id.to_string()),
    }
}

fn conditional(request: RequestBuilder, condition: &PutCondition) -> RequestBuilder {
    match condition {
        PutCondition::Always => request,
        PutCondition::IfAbsent => request.header(IF_NONE_MATCH, "*"),
        PutCondition::IfPresent => request.header(IF_MATCH, "*"),
        PutCondition::IfMatch(etag) => request.header(IF_MATCH, format!("\"{etag}\"")),
    }
}

/// The bytes of an object, on their way.
#[derive(Debug)]
pub struct Download {
    /// How many will come.
    pub bytes: Option<u64>,
    /// Which version they are of; its [`content_hash`](Etag::content_hash), if it has one, is theirs.
    pub etag: Etag,
    client: Client,
    url: Url,
    response: Response,
    /// How many have come.
    taken: u64,
    /// How many had, when the rest was asked for anew.
    resumed_at: Option<u64>,
}

impl Download {
    /// The next piece; `None` once all have come. Where the connection breaks,
    /// the rest of that version is asked for once more: so a peer that cannot
    /// read on says why, which it could not in the middle of an answer.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            let broken = match self.client.attend(self.response.chunk()).await? {
                Ok(piece) => {
                    self.taken += piece.as_ref().map_or(0, Bytes::len) as u64;
                    return Ok(piece);
                }
                Err(error) => self.client.lost(&error),
            };
            if self.resumed_at == Some(self.taken) {
                return Err(broken);
            }
            self.resumed_at = Some(self.taken);
            self.response = self.rest(broken).await?;
        }
    }

    async fn rest(&self, broken: ClientError) -> Result<Response> {
        let request = self.client.request(Method::GET, self.url.clone());
        let request = request.header(RANGE, format!("bytes={}-", self.taken));
        let request = request.header(IF_MATCH, format!("\"{}\"", self.etag));
        match self.client.send(request).await {
            Ok(response) if response.status() == StatusCode::PARTIAL_CONTENT => Ok(response),
            // Replaced since, or nobody answers: what it ended with is the cause.
            Ok(_) | Err(ClientError::Shoal(Error::Conflict { .. } | Error::NotFound { .. })) => Err(broken),
            Err(ClientError::Shoal(error)) => Err(error.into()),
            Err(_) => Err(broken),
        }
    }
}
