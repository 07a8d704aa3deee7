use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use shoal_gateway::view::{EventView, JobView, StatusView, TimedEvent};
use shoal_gateway::{Client, ClientError, Rows, SqlUpdate};
use shoal_runtime::Update;
use shoal_types::{Health, Result};
use tokio::task::JoinHandle;

/// How long a lost peer's last status is waited for.
const STATUS_TIME_MAX: Duration = Duration::from_secs(1);

/// Where the updates of a query come from.
pub(crate) enum Source {
    Peer(Box<Rows>),
    Here(BoxStream<'static, Result<Update>>),
}

impl Source {
    pub(crate) async fn next(&mut self) -> Result<Option<SqlUpdate>, ClientError> {
        match self {
            Self::Peer(rows) => rows.next().await,
            Self::Here(updates) => match updates.next().await.transpose()? {
                None => Ok(None),
                Some(Update::Event(at_ms, event)) => {
                    Ok(Some(SqlUpdate::Event(TimedEvent { at_ms, event: EventView::from(&event) })))
                }
                Some(Update::Frame(frame)) => Ok(Some(SqlUpdate::Frame(frame))),
                Some(Update::Summary(job)) => Ok(Some(SqlUpdate::Summary(Box::new(JobView::from(&*job))))),
            },
        }
    }
}

/// The other peers that one knows: asked for while it is there, needed once
/// it is not.
pub(crate) struct Others {
    status: JoinHandle<Result<StatusView, ClientError>>,
}

impl Others {
    pub(crate) fn of(client: &Client) -> Self {
        let client = client.clone();
        Self { status: tokio::spawn(async move { client.status().await }) }
    }

    /// Another live peer on this machine: gateways elsewhere are out of reach.
    pub(crate) async fn pick(self, lost: &str) -> Option<Client> {
        let status = tokio::time::timeout(STATUS_TIME_MAX, self.status).await.ok()?.ok()?.ok()?;
        status
            .members
            .iter()
            .filter(|member| member.state == Health::Alive && !member.is_self && member.pid.is_some())
            .filter_map(|member| member.gateway.as_deref())
            .find(|gateway| *gateway != lost)
            .and_then(|gateway| Client::new(gateway).ok())
    }
}
