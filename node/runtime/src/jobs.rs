//! The jobs that this peer coordinates, and those that it lately did.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::StreamExt;
use futures::channel::mpsc::UnboundedReceiver;
use futures::stream::{self, BoxStream};
use ractor::{ActorCell, ActorId, ActorRef, ActorRuntime, call};
use shoal_types::{Error, FragmentId, JobId, JobPlan, JobSummary, PeerId, Query, Result};
use tokio::sync::mpsc::Receiver;

use crate::context::{Context, lock};
use crate::coordinator::{Coordinator, CoordinatorMsg, Start};
use crate::in_use::Hold;
use crate::peer::{Answer, Update};

/// Frames of an answer that wait for a slow reader.
const FRAMES_MAX: usize = 8;

/// What a job is to do.
pub(crate) enum Work {
    Query(Query),
    /// A part of a query, planned already.
    Plan(JobPlan, Query),
}

/// A job under way.
#[derive(Clone)]
struct Running {
    actor: ActorRef<CoordinatorMsg>,
    fragments: Arc<BTreeMap<FragmentId, Bytes>>,
    /// What it scans.
    _hold: Option<Arc<Hold>>,
}

#[derive(Default)]
struct Inner {
    running: BTreeMap<JobId, Running>,
    finished: VecDeque<JobSummary>,
}

pub(crate) struct Jobs {
    finished_max: usize,
    inner: Mutex<Inner>,
}

impl Jobs {
    pub(crate) fn new(finished_max: usize) -> Self {
        Self { finished_max, inner: Mutex::default() }
    }

    /// All of them, newest first, without their events.
    pub(crate) async fn summaries(&self) -> Vec<JobSummary> {
        let (running, mut summaries) = {
            let inner = lock(&self.inner);
            let running: Vec<Running> = inner.running.values().cloned().collect();
            (running, inner.finished.iter().cloned().collect::<Vec<_>>())
        };
        for job in running {
            if let Ok(summary) = call!(job.actor, CoordinatorMsg::Show) {
                summaries.push(summary);
            }
        }
        for summary in &mut summaries {
            summary.events.clear();
        }
        summaries.sort_by_key(|summary| std::cmp::Reverse(summary.submitted_ms));
        summaries
    }

    pub(crate) async fn summary(&self, job: JobId) -> Option<JobSummary> {
        let running = lock(&self.inner).running.get(&job).cloned();
        if let Some(running) = running
            && let Ok(summary) = call!(running.actor, CoordinatorMsg::Show)
        {
            return Some(summary);
        }
        lock(&self.inner).finished.iter().find(|summary| summary.id == job).cloned()
    }

    /// Whether it is being coordinated here now.
    pub(crate) fn runs(&self, job: JobId) -> bool {
        lock(&self.inner).running.contains_key(&job)
    }

    pub(crate) fn cancel(&self, job: JobId) {
        if let Some(running) = lock(&self.inner).running.get(&job) {
            let _ = running.actor.cast(CoordinatorMsg::Cancel);
        }
    }

    /// Has each coordinator look again at who may be given tasks.
    pub(crate) fn reconsider(&self) {
        for running in lock(&self.inner).running.values() {
            let _ = running.actor.cast(CoordinatorMsg::Members);
        }
    }

    pub(crate) fn fragment(&self, job: JobId, fragment: FragmentId) -> Option<Bytes> {
        lock(&self.inner).running.get(&job)?.fragments.get(&fragment).cloned()
    }

    pub(crate) fn planned(&self, job: JobId, fragments: BTreeMap<FragmentId, Bytes>, hold: Hold) {
        if let Some(running) = lock(&self.inner).running.get_mut(&job) {
            running.fragments = Arc::new(fragments);
            running._hold = Some(Arc::new(hold));
        }
    }

    pub(crate) fn finished(&self, summary: JobSummary) {
        let inner = &mut *lock(&self.inner);
        inner.running.remove(&summary.id);
        if inner.finished.len() >= self.finished_max {
            inner.finished.pop_front();
        }
        inner.finished.push_back(summary);
    }

    /// A coordinator has crashed: its job is over. Whether it was one of ours.
    pub(crate) fn crashed(&self, actor: ActorId) -> bool {
        let inner = &mut *lock(&self.inner);
        let before = inner.running.len();
        inner.running.retain(|_, job| job.actor.get_id() != actor);
        inner.running.len() < before
    }

    /// The coordinators of those that are running, in the order of their jobs.
    pub(crate) fn coordinators(&self) -> Vec<ActorCell> {
        lock(&self.inner).running.values().map(|job| job.actor.get_cell()).collect()
    }

    /// How many are running, and how many that have finished are remembered.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let inner = lock(&self.inner);
        (inner.running.len(), inner.finished.len())
    }
}

/// Starts a job here; its answer comes as it is made.
pub(crate) fn start(context: &Arc<Context>, work: Work) -> Result<Answer> {
    if context.jobs.counts().0 >= context.config.bounds.running_jobs {
        return Err(Error::Busy { peer: context.me, retry_after_ms: 1_000 });
    }
    let mut id = [0; 10];
    context.ports.rng.fill(&mut id);
    let id = JobId::from_bytes(id);
    let (events, event_stream) = futures::channel::mpsc::unbounded();
    let (frames, frame_stream) = tokio::sync::mpsc::channel(FRAMES_MAX);
    let start = Start { context: context.clone(), id, work, events, frames };
    let supervisor = context.actors()?.supervisor.get_cell();
    // It may finish at once: not before it is entered.
    let mut inner = lock(&context.jobs.inner);
    let (actor, _) = ActorRuntime::spawn_linked_instant(None, Coordinator, start, supervisor)
        .map_err(|error| Error::bug(format!("a coordinator does not start: {error}")))?;
    inner.running.insert(id, Running { actor: actor.clone(), fragments: Arc::default(), _hold: None });
    drop(inner);
    Ok(Answer { job: id, updates: updates(context.me, event_stream, frame_stream, actor) })
}

/// Cancels the job when the reader of its answer goes away.
struct CancelOnDrop(ActorRef<CoordinatorMsg>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        // Over already, most of the time.
        let _ = self.0.cast(CoordinatorMsg::Cancel);
    }
}

/// Events as they happen and frames as they come, ending with a summary or an
/// error. A coordinator that says no more has ended with its peer, or failed,
/// of which its supervisor tells: another peer can be asked.
fn updates(
    me: PeerId,
    events: UnboundedReceiver<Update>,
    frames: Receiver<Result<Update>>,
    actor: ActorRef<CoordinatorMsg>,
) -> BoxStream<'static, Result<Update>> {
    let frames = stream::unfold(frames, |mut frames| async move { frames.recv().await.map(|frame| (frame, frames)) });
    let both = stream::select(events.map(Ok), frames.boxed());
    let guard = CancelOnDrop(actor);
    let state = (both, guard, false);
    stream::unfold(state, move |(mut both, guard, ended)| async move {
        if ended {
            return None;
        }
        let gone = || Err(Error::NotReady { peer: me, why: "the job's coordinator has stopped".into() });
        let update = both.next().await.unwrap_or_else(gone);
        let ended = matches!(update, Err(_) | Ok(Update::Summary(_)));
        Some((update, (both, guard, ended)))
    })
    .boxed()
}
