//! A query in the middle of which a peer is killed.

use std::time::Instant;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use shoal_engine::AnswerReader;
use shoal_gateway::view::{EventView, JobView};
use shoal_gateway::{Client, SqlUpdate};
use shoal_types::Query;

use crate::failure::Failure;

/// A query's answer and how it came about.
pub(super) struct Told {
    pub(super) batches: Vec<RecordBatch>,
    pub(super) job: JobView,
    pub(super) events: Vec<EventView>,
    pub(super) ms: u128,
}

impl Told {
    /// Whether the rows are the same, in the same order.
    pub(super) fn batches_equal(&self, other: &Self) -> bool {
        let whole = |told: &Self| {
            let schema = told.batches.first().map(RecordBatch::schema)?;
            concat_batches(&schema, &told.batches).ok()
        };
        whole(self) == whole(other)
    }
}

/// Runs a query to its end, showing each event to `watch`.
pub(super) async fn query(client: &Client, sql: &str, mut watch: impl FnMut(&EventView)) -> Result<Told, Failure> {
    let started = Instant::now();
    let mut rows = client.sql(&Query::new(sql)).await?;
    let (mut reader, mut batches, mut events) = (AnswerReader::new(), Vec::new(), Vec::new());
    while let Some(update) = rows.next().await? {
        match update {
            SqlUpdate::Event(event) => {
                watch(&event.event);
                events.push(event.event);
            }
            SqlUpdate::Frame(frame) => batches.extend(reader.push(frame)?),
            SqlUpdate::Summary(job) => {
                return Ok(Told { batches, job: *job, events, ms: started.elapsed().as_millis() });
            }
        }
    }
    Err(Failure::mesh("the answer ended before it was whole", ""))
}

/// Finds the moment to strike: a peer that holds what the job still needs,
/// and runs something right now.
#[derive(Default)]
pub(super) struct Ambush {
    /// Who runs and who has made what, as the events tell.
    running: Vec<(String, String)>,
    finished: Vec<String>,
}

impl Ambush {
    /// The peer to kill now, if now is the moment. Never `spared`, who
    /// coordinates and talks to us.
    pub(super) fn target(&mut self, event: &EventView, spared: &str) -> Option<String> {
        match event {
            EventView::Started { attempt, peer } => self.running.push((attempt.clone(), peer.clone())),
            EventView::Finished { attempt, peer, .. } => {
                self.running.retain(|(other, _)| other != attempt);
                self.finished.push(peer.clone());
            }
            EventView::Planned { .. }
            | EventView::AttemptFailed { .. }
            | EventView::PeerLost { .. }
            | EventView::Ended { .. } => return None,
        }
        let both = self.running.iter().find(|(_, peer)| peer != spared && self.finished.contains(peer));
        both.map(|(_, peer)| peer.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_strikes_a_peer_that_holds_something_and_runs_something_but_never_the_coordinator() {
        let started = |attempt: &str, peer: &str| EventView::Started { attempt: attempt.into(), peer: peer.into() };
        let finished = |attempt: &str, peer: &str| EventView::Finished {
            attempt: attempt.into(),
            peer: peer.into(),
            rows: 1,
            elapsed_ms: 1,
        };
        let mut ambush = Ambush::default();
        let mut target = |event| ambush.target(&event, "me");
        assert_eq!(target(started("0.0#0", "me")), None);
        assert_eq!(target(started("0.1#0", "a")), None);
        assert_eq!(target(finished("0.0#0", "me")), None);
        assert_eq!(target(started("0.2#0", "me")), None);
        assert_eq!(target(finished("0.1#0", "a")), None);
        assert_eq!(target(started("0.3#0", "a")), Some("a".into()));
    }
}
