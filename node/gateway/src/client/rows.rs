//! A query's answer, as it comes.

use bytes::Bytes;
use reqwest::Response;

use super::{Client, ClientError, Result};
use crate::record::{Record, RecordDecoder};
use crate::view::{JobView, TimedEvent};

/// What arrives while a query runs: events, then the answer's frames, then
/// the summary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SqlUpdate {
    Event(TimedEvent),
    /// A frame of an Arrow IPC stream: the schema message first, the end mark
    /// left out.
    Frame(Bytes),
    Summary(Box<JobView>),
}

/// The updates of a query that runs. Dropping it cancels the query.
#[derive(Debug)]
pub struct Rows {
    client: Client,
    job: String,
    response: Response,
    decoder: RecordDecoder,
    ended: bool,
}

impl Rows {
    pub(super) fn new(client: Client, job: String, response: Response) -> Self {
        Self { client, job, response, decoder: RecordDecoder::default(), ended: false }
    }

    /// The job's id.
    pub fn job(&self) -> &str {
        &self.job
    }

    /// The next update; `None` after the summary. [`ClientError::Cut`] when
    /// the peer went away before.
    pub async fn next(&mut self) -> Result<Option<SqlUpdate>> {
        if self.ended {
            return Ok(None);
        }
        loop {
            if let Some(record) = self.decoder.next_record()? {
                self.ended = record.is_last();
                return match record {
                    Record::Event(event) => Ok(Some(SqlUpdate::Event(event))),
                    Record::Frame(frame) => Ok(Some(SqlUpdate::Frame(frame))),
                    Record::Summary(job) => Ok(Some(SqlUpdate::Summary(job))),
                    Record::Error(error) => Err(error.into_error().into()),
                };
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
}
