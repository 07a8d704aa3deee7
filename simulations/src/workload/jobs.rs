//! Clients that ask for jobs, and check the answers.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use shoal_runtime::{Peer, Update};
use shoal_types::{Error, ErrorClass, Fingerprint, JobEvent, JobId, Query, Result};

use crate::compute::{JobSpec, decode_answer, fingerprint};
use crate::host::HostId;
use crate::ledger::{JobEnd, JobRecord, Run};
use crate::random::Random;
use crate::world::World;

/// Between a job that failed for no fault of the user's and the next try.
const AGAIN: Duration = Duration::from_secs(1);

/// How one run of a job ended, for its client.
enum RunEnd {
    Answered(Fingerprint),
    /// It cannot be answered as it was asked.
    Refused(Error),
    /// A peer, a link or a disk failed: another peer is asked.
    TryAgain(String),
}

impl World {
    /// Asks for a job now, again at another peer should its coordinator die,
    /// and compares the answer with the one that is `expected`.
    pub(crate) fn submit(&self, spec: Arc<JobSpec>, expected: Fingerprint) {
        let number = {
            let mut state = self.state();
            let submitted = state.heap.now();
            let title = spec.title.clone();
            state.trace.line(submitted, None, format!("job '{title}' is asked for"));
            state.ledger.jobs.records.push(JobRecord { title, submitted, runs: Vec::new(), end: None });
            state.ledger.jobs.records.len() - 1
        };
        let world = self.clone();
        let mut random = self.random(&[603, number as u64]);
        tokio::spawn(async move {
            let end = world.until_answered(number, &spec, expected, &mut random).await;
            let mut state = world.state();
            let now = state.heap.now();
            state.trace.line(now, None, format!("job '{}' ended: {end:?}", spec.title));
            if let Some(record) = state.ledger.jobs.records.get_mut(number) {
                record.end = Some((now, end));
            }
        });
    }

    async fn until_answered(&self, job: usize, spec: &JobSpec, expected: Fingerprint, random: &mut Random) -> JobEnd {
        let Ok(text) = spec.to_toml() else {
            return JobEnd::Failed("it does not encode".into());
        };
        loop {
            if let Some((host, peer)) = self.any_peer(random) {
                match self.run_job(job, host, peer, Query::new(text.clone())).await {
                    RunEnd::Answered(answer) if answer == expected => return JobEnd::Right,
                    RunEnd::Answered(answer) => {
                        let what = format!(
                            "{} rows with fingerprint {answer}, expected {} with {expected}",
                            answer.rows, expected.rows
                        );
                        self.violate("jobs-end-right", &[host], format!("job '{}' gave {what}", spec.title));
                        return JobEnd::Wrong(what);
                    }
                    RunEnd::Refused(error) => return JobEnd::Failed(error.to_string()),
                    RunEnd::TryAgain(why) => {
                        self.tell(Some(host), format!("job '{}' has to be asked for again: {why}", spec.title));
                    }
                }
            }
            self.sleep(AGAIN).await;
        }
    }

    /// One run, at one coordinator. Its client is there, and goes with it.
    async fn run_job(&self, job: usize, host: HostId, peer: Peer, query: Query) -> RunEnd {
        let (done, ended) = futures::channel::oneshot::channel();
        let world = self.clone();
        self.at_host(host, async move {
            let end = match world.watch_job(job, host, &peer, query).await {
                Ok(answer) => RunEnd::Answered(answer),
                Err(error) if error.class() == ErrorClass::Retry => RunEnd::TryAgain(error.to_string()),
                Err(error) => RunEnd::Refused(error),
            };
            let _ = done.send(end);
        });
        let ended = ended.await;
        let told = ended.is_ok();
        let end = ended.unwrap_or_else(|_| RunEnd::TryAgain("its coordinator died".into()));
        let mut state = self.state();
        let now = state.heap.now();
        if let Some(record) = state.ledger.jobs.records.get_mut(job) {
            record.over(now, told);
        }
        end
    }

    async fn watch_job(&self, job: usize, host: HostId, peer: &Peer, query: Query) -> Result<Fingerprint> {
        let mut answer = peer.query(query).await?;
        self.begin_run(job, host, answer.job);
        let mut frames = Vec::new();
        while let Some(update) = answer.updates.next().await {
            match update? {
                Update::Frame(frame) => frames.push(frame),
                Update::Event(_, event) => self.job_event(job, &event),
                Update::Summary(_) => {
                    // Not to be asked for again: whoever was told that it is whole has it.
                    let rows = decode_answer(&frames)
                        .map_err(|error| Error::bug(format!("an answer that is none was given: {error}")))?;
                    return Ok(fingerprint(&rows));
                }
            }
        }
        Err(Error::bug("an answer ended without a summary"))
    }

    fn begin_run(&self, job: usize, coordinator: HostId, id: JobId) {
        if let Some(record) = self.state().ledger.jobs.records.get_mut(job) {
            record.runs.push(Run { id, coordinator, tasks: 0, reruns: 0, over: None, told: false });
        }
    }

    fn job_event(&self, job: usize, event: &JobEvent) {
        let mut state = self.state();
        let now = state.heap.now();
        let hosts = &state.by_id;
        let line = match event {
            JobEvent::Planned { stages, tasks } => Some((None, format!("planned: {stages} stages, {tasks} tasks"))),
            JobEvent::AttemptFailed { output, peer, error } => {
                Some((hosts.get(peer).copied(), format!("attempt {output} failed: {error}")))
            }
            JobEvent::PeerLost { peer, running, outputs } => Some((
                hosts.get(peer).copied(),
                format!("lost by a job, with {} running tasks and {} outputs", running.len(), outputs.len()),
            )),
            JobEvent::Started { .. } | JobEvent::Finished { .. } | JobEvent::Ended { .. } => None,
        };
        if let Some((host, what)) = line {
            state.trace.line(now, host, what);
        }
        let Some(run) = state.ledger.jobs.records.get_mut(job).and_then(|record| record.runs.last_mut()) else {
            return;
        };
        if let JobEvent::Started { output, .. } = event {
            run.tasks += 1;
            run.reruns += u64::from(output.attempt > 0);
        }
    }
}

/// Enters a scenario's jobs into the world's future.
pub(crate) fn schedule(
    world: &World,
    jobs: &[crate::scenario::JobEntry],
    data: &[(String, bytes::Bytes)],
    duration: Duration,
) {
    for entry in jobs {
        let spec = Arc::new(entry.spec.clone());
        let inputs = data.iter().filter(|(name, _)| spec.reads(name)).map(|(_, bytes)| bytes.as_ref());
        let expected = fingerprint(&crate::compute::expected(&spec, inputs));
        let mut at = entry.at.0;
        loop {
            let spec = spec.clone();
            world.after(at, "job", move |world| world.submit(spec, expected));
            match entry.every {
                Some(every) if !every.0.is_zero() && at + every.0 < duration => at += every.0,
                Some(_) | None => break,
            }
        }
    }
}
