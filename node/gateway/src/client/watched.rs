//! Work that a peer does, watched as it goes.

use std::marker::PhantomData;

use reqwest::{Method, Response};
use serde::de::DeserializeOwned;

use super::{Client, ClientError, Result};
use crate::lines::{Line, LineDecoder};
use crate::routes::ScrubRequest;
use crate::view::{HealthProgressView, HealthView, MemberScrubView, ScrubView};

/// Progress, then a report. Dropping it ends the work.
#[derive(Debug)]
pub struct Watched<P, R> {
    client: Client,
    response: Response,
    decoder: LineDecoder,
    kind: PhantomData<(P, R)>,
}

/// What a step of watched work gives.
#[derive(Debug, Clone, PartialEq)]
pub enum Step<P, R> {
    Progress(P),
    /// The last one.
    Report(R),
}

impl<P: DeserializeOwned, R: DeserializeOwned> Watched<P, R> {
    /// The next step. [`ClientError::Cut`] when the peer went away before the
    /// report.
    pub async fn next(&mut self) -> Result<Step<P, R>> {
        loop {
            match self.decoder.next_line::<Line<P, R>>()? {
                Some(Line::Progress(progress)) => return Ok(Step::Progress(progress)),
                Some(Line::Report(report)) => return Ok(Step::Report(report)),
                Some(Line::Error(error)) => return Err(error.into_error().into()),
                None => {}
            }
            let piece = self.client.attend(self.response.chunk()).await?.map_err(|error| self.client.lost(&error))?;
            match piece {
                Some(piece) => self.decoder.push(&piece),
                None => {
                    let why = "the answer ended before it was whole".into();
                    return Err(ClientError::Cut { address: self.client.address.clone(), why });
                }
            }
        }
    }

    /// The report; `progress` is told what comes before.
    pub async fn report(mut self, mut progress: impl FnMut(&P)) -> Result<R> {
        loop {
            match self.next().await? {
                Step::Progress(step) => progress(&step),
                Step::Report(report) => return Ok(report),
            }
        }
    }
}

impl Client {
    /// Looks whether everything is at full replication; a quick look believes
    /// what peers count themselves.
    pub async fn health(&self, is_quick: bool) -> Result<Watched<HealthProgressView, HealthView>> {
        let mut url = self.url(&["health"]);
        url.query_pairs_mut().append_pair("quick", if is_quick { "true" } else { "false" });
        let response = self.send(self.request(Method::GET, url)).await?;
        Ok(self.watched(response))
    }

    /// Has members read all of their copies, each so many bytes a second at
    /// most: `self`, `all`, or one by its name or the beginning of its id.
    pub async fn scrub(&self, who: &str, bytes_per_second: u64) -> Result<Watched<MemberScrubView, ScrubView>> {
        let body = ScrubRequest { who: who.to_owned(), bytes_per_second: Some(bytes_per_second) };
        let response = self.send(self.request(Method::POST, self.url(&["scrub"])).json(&body)).await?;
        Ok(self.watched(response))
    }

    fn watched<P, R>(&self, response: Response) -> Watched<P, R> {
        let (client, decoder) = (self.clone(), LineDecoder::default());
        Watched { client, response, decoder, kind: PhantomData }
    }
}
