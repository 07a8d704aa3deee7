//! Requests and answers, one by one.

use reqwest::{Method, RequestBuilder, Response, Url};
use serde::de::DeserializeOwned;
use shoal_types::ObjectName;

use super::{ANSWER_TIME_MAX, Client, ClientError, Result};
use crate::MARK_HEADER;
use crate::reply::ErrorBody;

/// The longest JSON answer that is read, in bytes: a page of 1,000 names of
/// 1 KiB with all that is said of each is well below, as is a job with 2,000
/// events.
const JSON_BYTES_MAX: usize = 64 << 20;

impl Client {
    /// `/v1/` and these segments, each encoded as needed.
    pub(super) fn url(&self, segments: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.clear().push("v1").extend(segments);
        }
        url
    }

    /// `/v1/KIND/BUCKET/KEY`.
    pub(super) fn object_url(&self, kind: &str, name: &ObjectName) -> Url {
        let segments: Vec<&str> = std::iter::once(kind).chain(name.as_str().split('/')).collect();
        self.url(&segments)
    }

    pub(super) fn request(&self, method: Method, url: Url) -> RequestBuilder {
        self.http.request(method, url).header(MARK_HEADER, "1")
    }

    /// A small answer, parsed.
    pub(super) async fn fetch<T: DeserializeOwned>(&self, method: Method, url: Url) -> Result<T> {
        let response = self.send(self.request(method, url).timeout(ANSWER_TIME_MAX)).await?;
        self.parse(response).await
    }

    /// Sends, and gives the answer once its headers are there. An error
    /// answer is the typed error in it.
    pub(super) async fn send(&self, request: RequestBuilder) -> Result<Response> {
        self.send_while(request, || 0).await
    }

    /// The same of a request with a body, which `sent` counts.
    pub(super) async fn send_while(&self, request: RequestBuilder, sent: impl Fn() -> u64) -> Result<Response> {
        let response = self.attend_while(request.send(), sent).await?.map_err(|error| self.lost(&error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        match self.parse::<ErrorBody>(response).await {
            Ok(body) => Err(body.error.into_error().into()),
            Err(ClientError::Strange { .. }) => Err(self.strange(format!("it answers with status {status}"))),
            Err(error) => Err(error),
        }
    }

    /// All of an answer, unless it is longer than it may be.
    pub(super) async fn body(&self, mut response: Response, bytes_max: usize) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        while let Some(piece) = self.attend(response.chunk()).await?.map_err(|error| self.lost(&error))? {
            if body.len() + piece.len() > bytes_max {
                return Err(self.strange(format!("its answer is longer than {bytes_max} bytes")));
            }
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }

    pub(super) async fn parse<T: DeserializeOwned>(&self, response: Response) -> Result<T> {
        let body = self.body(response, JSON_BYTES_MAX).await?;
        serde_json::from_slice(&body).map_err(|error| self.strange(format!("its answer is not a peer's: {error}")))
    }

    pub(super) fn lost(&self, error: &reqwest::Error) -> ClientError {
        ClientError::from_http(&self.address, error)
    }

    pub(super) fn strange(&self, what: String) -> ClientError {
        ClientError::Strange { address: self.address.clone(), what }
    }
}
