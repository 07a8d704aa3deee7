//! One who asks a peer's gateway, and what the answers mean.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::stream;
use shoal_gateway::{Client, ClientError};
use shoal_runtime::PutCondition;
use shoal_types::{Error, Etag, Format, ObjectName};
use tokio::runtime::{Builder, Runtime};

use super::history::{Answer, Asked, History, etag};

/// Asks one question after the other, from the thread that made it.
pub(crate) struct Asker {
    runtime: Runtime,
    client: Option<Client>,
    /// An answer that takes longer is not waited for: its end is unknown.
    patience: Duration,
}

impl Asker {
    pub(crate) fn new(patience: Duration) -> Self {
        Self { runtime: Builder::new_current_thread().enable_all().build().unwrap(), client: None, patience }
    }

    /// Asks the peer whose gateway is at this address.
    pub(crate) fn ask(&mut self, gateway: &str, history: &History, name: &ObjectName, asked: Asked) -> Answer {
        let client = match self.client.take() {
            Some(client) if client.address() == gateway => client,
            _ => Client::new(gateway).unwrap(),
        };
        let answer =
            self.runtime.block_on(async { tokio::time::timeout(self.patience, send(&client, name, asked)).await });
        self.client = Some(client);
        match answer {
            Ok(Ok(good)) => good.within(history),
            Ok(Err(error)) => answer_of(error, history, asked),
            Err(_) => Answer::Unknown("no answer in time".into()),
        }
    }
}

/// An answer that is no error.
enum Good {
    Done,
    /// The bytes of an object, and its ETag.
    Bytes(Bytes, Etag),
}

impl Good {
    fn within(self, history: &History) -> Answer {
        match self {
            Self::Done => Answer::Done,
            Self::Bytes(bytes, tag) => match history.content(&tag.0) {
                Some(content) if content.to_string().as_bytes() == bytes => Answer::Saw(Some(content)),
                _ => Answer::Odd(format!("{bytes:?} with ETag {tag}")),
            },
        }
    }
}

async fn send(client: &Client, name: &ObjectName, asked: Asked) -> Result<Good, ClientError> {
    let version = |content| Etag(etag(content));
    let (new, condition) = match asked {
        Asked::Get => {
            let mut download = client.get(name).await?;
            let mut bytes = BytesMut::new();
            while let Some(piece) = download.next().await? {
                bytes.extend_from_slice(&piece);
            }
            return Ok(Good::Bytes(bytes.freeze(), download.etag.clone()));
        }
        Asked::Remove => return client.remove(name, PutCondition::Always).await.map(|()| Good::Done),
        Asked::RemoveVersion { expected } => {
            return client.remove(name, PutCondition::IfMatch(version(expected))).await.map(|()| Good::Done);
        }
        Asked::Put { new } => (new, PutCondition::Always),
        Asked::PutIfAbsent { new } => (new, PutCondition::IfAbsent),
        Asked::PutIfMatch { expected, new } => (new, PutCondition::IfMatch(version(expected))),
    };
    let body = stream::iter([Ok(Bytes::from(new.to_string()))]);
    client.put(name, Some(Format::Bytes), &condition, body).await.map(|_| Good::Done)
}

/// What an error says of the name.
fn answer_of(error: ClientError, history: &History, asked: Asked) -> Answer {
    let words = error.to_string();
    match &error {
        // No connection, so nothing was sent.
        ClientError::NoPeer { .. } => Answer::Failed(error),
        ClientError::Cut { .. } | ClientError::Silent { .. } => Answer::Unknown(words),
        ClientError::Shoal(cause) => match cause {
            Error::NotFound { .. } => match asked {
                Asked::Get => Answer::Saw(None),
                Asked::Remove | Asked::RemoveVersion { .. } => Answer::Absent,
                Asked::Put { .. } | Asked::PutIfAbsent { .. } | Asked::PutIfMatch { .. } => Answer::Odd(words),
            },
            Error::Conflict { found, .. } => match (found.strip_prefix("it has ETag "), found.as_str()) {
                (Some(tag), _) => match history.content(tag) {
                    Some(content) => Answer::Refused(Some(content)),
                    None => Answer::Odd(words),
                },
                (None, "it does not exist") => Answer::Refused(None),
                (None, found) if found.contains("is unknown") => Answer::Unknown(words),
                (None, found) if found.contains("others changed it") => Answer::Failed(error),
                (None, _) => Answer::Odd(words),
            },
            Error::NoQuorum { .. } | Error::Busy { .. } => Answer::Failed(error),
            // It may have come in the middle.
            Error::Timeout { .. } | Error::NotReady { .. } | Error::Unreachable { .. } => Answer::Unknown(words),
            _ => Answer::Odd(words),
        },
        ClientError::Strange { .. } => Answer::Odd(words),
    }
}
