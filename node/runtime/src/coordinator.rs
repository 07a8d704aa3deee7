//! One job, from its query to its answer: the coordinator's actor.
//!
//! [`shoal_job::Job`] decides; this actor tells it what happens and does what
//! it says. A task's run lives as long as its flow: closing it cancels the
//! task, and a peer that dies closes it.

mod answer;
mod release;
mod run;
mod workers;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::channel::mpsc::UnboundedSender;
use futures::channel::oneshot;
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use shoal_job::{Action, Event, Job, JobConfig};
use shoal_ports::TaskHandle;
use shoal_types::{
    ChunkId, Error, Fingerprint, FragmentId, InputPin, JobEvent, JobId, JobPlan, JobState, JobSummary, OutputId,
    PeerId, Query, Result, StageId, TaskReport, TaskSpec,
};
use tokio::sync::mpsc::Sender;

use crate::context::Context;
use crate::jobs::Work;
use crate::peer::Update;
use crate::placed::Placed;
use crate::planted::Planted;
use crate::tables::{KeptCopies, Tables};
use crate::worker::WorkerMsg;
use answer::Sent;
use workers::Worker;

/// How long a peer that could not be reached gets no work, unless it comes back as new.
const DISTRUST: Duration = Duration::from_secs(2);

pub(crate) enum CoordinatorMsg {
    Planned(Result<(JobPlan, Option<Arc<Tables>>)>),
    /// Who is there has changed.
    Members,
    Ended {
        output: OutputId,
        peer: PeerId,
        result: Result<TaskReport>,
    },
    /// The answer is with its reader, or could not be brought there.
    Streamed(Result<()>, Sent),
    Cancel,
    Show(RpcReplyPort<JobSummary>),
}

/// What a coordinator starts from.
pub(crate) struct Start {
    pub(crate) context: Arc<Context>,
    pub(crate) id: JobId,
    pub(crate) work: Work,
    pub(crate) events: UnboundedSender<Update>,
    pub(crate) frames: Sender<Result<Update>>,
}

pub(crate) struct Coordinator;

pub(crate) struct State {
    context: Arc<Context>,
    id: JobId,
    query: Query,
    title: String,
    job: Option<Job>,
    fragments: Vec<(FragmentId, bytes::Bytes)>,
    buckets: Vec<u32>,
    events: UnboundedSender<Update>,
    frames: Sender<Result<Update>>,
    /// What of the answer its reader has.
    sent: Sent,
    submitted_ms: u64,
    started: Duration,
    elapsed: Option<Duration>,
    state: JobState,
    log: Vec<(u64, JobEvent)>,
    /// Dropping one cancels the attempt.
    running: BTreeMap<OutputId, oneshot::Sender<()>>,
    /// Peers that run tasks, or may.
    workers: BTreeMap<PeerId, Worker>,
    distrusted: BTreeMap<PeerId, (Duration, u64)>,
    /// Whoever may keep outputs of this job.
    involved: BTreeSet<PeerId>,
    /// Says when members change.
    watch: TaskHandle,
}

impl Actor for Coordinator {
    type Msg = CoordinatorMsg;
    type State = State;
    type Arguments = Start;

    async fn pre_start(&self, myself: ActorRef<Self::Msg>, start: Start) -> Result<State, ActorProcessingErr> {
        let Start { context, id, work, events, frames } = start;
        let (query, planned) = match work {
            Work::Query(query) => (query, None),
            Work::Plan(plan, query) => (query, Some(plan)),
        };
        let mut state = State {
            title: planned.as_ref().map_or_else(|| query.sql.clone(), |plan| plan.title.clone()),
            id,
            job: None,
            fragments: Vec::new(),
            buckets: Vec::new(),
            events,
            frames,
            sent: Sent::default(),
            submitted_ms: context.ports.clock.wall_ms(),
            started: context.ports.clock.now(),
            elapsed: None,
            state: JobState::Planning,
            log: Vec::new(),
            running: BTreeMap::new(),
            workers: BTreeMap::new(),
            distrusted: BTreeMap::new(),
            involved: BTreeSet::new(),
            watch: watch(&context, &myself),
            query,
            context,
        };
        match planned {
            Some(plan) => myself.cast(CoordinatorMsg::Planned(Ok((plan, None))))?,
            None => state.plan(&myself),
        }
        Ok(state)
    }

    async fn post_stop(&self, _: ActorRef<Self::Msg>, state: &mut State) -> Result<(), ActorProcessingErr> {
        state.watch.abort();
        Ok(())
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let actions = match message {
            CoordinatorMsg::Planned(Ok((plan, tables))) => {
                let kept = tables.as_ref().map(|tables| tables.kept()).unwrap_or_default();
                state.planned(&myself, plan, &kept)
            }
            CoordinatorMsg::Planned(Err(error)) => vec![Action::Failed(error)],
            CoordinatorMsg::Members => state.members(&myself),
            CoordinatorMsg::Ended { output, peer, result } => state.ended(&myself, output, peer, result),
            CoordinatorMsg::Streamed(result, sent) => state.streamed(&myself, result, sent),
            CoordinatorMsg::Cancel => match &mut state.job {
                _ if state.elapsed.is_some() => vec![],
                Some(job) => job.handle(Event::Cancel),
                None => vec![Action::Failed(Error::Cancelled)],
            },
            CoordinatorMsg::Show(reply) => {
                let _ = reply.send(state.summary());
                vec![]
            }
        };
        state.perform(&myself, actions);
        Ok(())
    }
}

impl State {
    fn plan(&mut self, myself: &ActorRef<CoordinatorMsg>) {
        let (context, query, myself) = (self.context.clone(), self.query.clone(), myself.clone());
        self.context.spawn("plan", async move {
            let tables = Arc::new(Tables::of(&context, query.clone()));
            let plan = context.ports.compute.plan(query, tables.clone()).await;
            let _ = myself.cast(CoordinatorMsg::Planned(plan.map(|plan| (plan, Some(tables)))));
        });
    }

    fn planned(&mut self, myself: &ActorRef<CoordinatorMsg>, plan: JobPlan, kept: &KeptCopies) -> Vec<Action> {
        let stages = plan.stages.len();
        let context = self.context.clone();
        let layout = context.layout();
        let preferred = |stage: usize, partition: usize| match (plan.stages[stage].chunks.get(partition), &layout) {
            (Some(chunks), Some(layout)) if !chunks.is_empty() => holders(layout, chunks, kept),
            // The answer is wanted here.
            _ if stage + 1 == stages => vec![context.me],
            _ => vec![],
        };
        let job = match Job::new(self.id, &plan, JobConfig::default(), preferred) {
            Ok(job) => job,
            Err(error) => return vec![Action::Failed(Error::bug(format!("a plan that cannot be run: {}", error.0)))],
        };
        let tasks = plan.stages.iter().map(|stage| stage.partitions).sum();
        self.fragments =
            plan.stages.iter().map(|stage| (FragmentId::of(&stage.fragment), stage.fragment.clone())).collect();
        self.buckets = plan.stages.iter().map(|stage| stage.buckets).collect();
        let scanned = plan.stages.iter().flat_map(|stage| stage.chunks.iter().flatten().copied()).collect();
        let hold = self.context.in_use.hold(scanned);
        self.context.jobs.planned(self.id, self.fragments.iter().cloned().collect(), hold);
        self.job = Some(job);
        self.state = JobState::Running;
        self.happened(JobEvent::Planned { stages: stages as u32, tasks });
        self.members(myself)
    }

    /// Brings the job up to date on who can run tasks.
    fn members(&mut self, myself: &ActorRef<CoordinatorMsg>) -> Vec<Action> {
        let Some(job) = &mut self.job else {
            return vec![];
        };
        let (context, now) = (&self.context, self.context.ports.clock.now());
        let ours = context.info();
        let mut present: BTreeMap<PeerId, Worker> = BTreeMap::new();
        present.insert(ours.id, Worker::of(&ours));
        context.members.look(|table| {
            // Only the same build runs the same plan to the same bits.
            let infos = table.live().filter_map(|(peer, entry)| entry.info.as_ref().map(|info| (peer, info)));
            let same_build = infos.filter(|(_, info)| info.version == ours.version);
            present.extend(same_build.map(|(peer, info)| (peer, Worker::of(info))));
        });
        let distrusted = &self.distrusted;
        present.retain(|peer, worker| {
            distrusted.get(peer).is_none_or(|(until, bad)| *until <= now || *bad != worker.incarnation)
        });
        workers::spare_leaving(&mut present);
        let mut actions = Vec::new();
        let lost: Vec<PeerId> = self
            .workers
            .iter()
            .filter(|(peer, before)| present.get(peer).is_none_or(|now| now.incarnation != before.incarnation))
            .map(|(peer, _)| *peer)
            .collect();
        for peer in lost {
            self.workers.remove(&peer);
            actions.extend(job.handle(Event::PeerLost { peer }));
        }
        let workers = &mut self.workers;
        let new = present.into_iter().filter(|(peer, worker)| workers.insert(*peer, *worker) != Some(*worker));
        let slots: BTreeMap<PeerId, u32> = new.map(|(peer, worker)| (peer, worker.slots)).collect();
        if !slots.is_empty() {
            actions.extend(job.handle(Event::PeersUp { slots }));
        }
        if !self.distrusted.is_empty() {
            self.distrusted.retain(|_, (until, _)| *until > now);
            let (context, myself) = (self.context.clone(), myself.clone());
            self.context.spawn("job distrust", async move {
                context.ports.clock.sleep(DISTRUST).await;
                let _ = myself.cast(CoordinatorMsg::Members);
            });
        }
        actions
    }

    fn ended(
        &mut self,
        myself: &ActorRef<CoordinatorMsg>,
        output: OutputId,
        peer: PeerId,
        result: Result<TaskReport>,
    ) -> Vec<Action> {
        self.running.remove(&output);
        let Some(job) = &mut self.job else {
            return vec![];
        };
        match result {
            Ok(report) => job.handle(Event::Finished { output, peer, report }),
            Err(Error::Unreachable { peer: gone, .. }) if gone == peer => {
                // All that it ran and held is gone with it.
                if let Some(worker) = self.workers.get(&peer) {
                    let until = self.context.ports.clock.now() + DISTRUST;
                    self.distrusted.insert(peer, (until, worker.incarnation));
                }
                self.members(myself)
            }
            Err(error) => job.handle(Event::Failed { output, peer, error }),
        }
    }

    fn streamed(&mut self, myself: &ActorRef<CoordinatorMsg>, result: Result<()>, sent: Sent) -> Vec<Action> {
        self.sent = sent;
        match result {
            Ok(()) => {
                self.end(myself, JobState::Done);
                vec![]
            }
            Err(Error::OutputLost { output, .. }) => match &mut self.job {
                Some(job) => job.handle(Event::AnswerLost { output }),
                None => vec![],
            },
            Err(error) => vec![Action::Failed(error)],
        }
    }

    fn perform(&mut self, myself: &ActorRef<CoordinatorMsg>, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Run { output, peer, inputs } => self.run(myself, output, peer, inputs),
                Action::Abort { output, .. } => {
                    let cancel = self.running.remove(&output);
                    if self.context.has_planted(Planted::ForgetsToCancel) {
                        std::mem::forget(cancel);
                    }
                }
                Action::Happened(event) => self.happened(event),
                Action::Answered(pins) => self.answer(myself, pins),
                Action::Failed(Error::Cancelled) => self.end(myself, JobState::Cancelled),
                Action::Failed(error) => self.end(myself, JobState::Failed(error)),
            }
        }
    }

    fn run(&mut self, myself: &ActorRef<CoordinatorMsg>, output: OutputId, peer: PeerId, inputs: Vec<Vec<InputPin>>) {
        let stage = output.task.stage.0 as usize;
        let (Some((fragment, bytes)), Some(buckets)) = (self.fragments.get(stage).cloned(), self.buckets.get(stage))
        else {
            return;
        };
        let spec = TaskSpec {
            output,
            coordinator: self.context.me,
            fragment,
            buckets: *buckets,
            inputs,
            memory_bytes: self.query.task_memory_bytes,
        };
        self.involved.insert(peer);
        let (cancel, cancelled) = oneshot::channel();
        self.running.insert(output, cancel);
        let (context, myself) = (self.context.clone(), myself.clone());
        self.context.spawn("task run", async move {
            if let Some(result) = run::task(&context, peer, spec, bytes, cancelled).await {
                let _ = myself.cast(CoordinatorMsg::Ended { output, peer, result });
            }
        });
    }

    fn answer(&mut self, myself: &ActorRef<CoordinatorMsg>, pins: Vec<InputPin>) {
        let (context, frames, myself) = (self.context.clone(), self.frames.clone(), myself.clone());
        let sent = std::mem::take(&mut self.sent);
        self.context.spawn("answer", async move {
            let (result, sent) = answer::stream(&context, pins, frames, sent).await;
            let _ = myself.cast(CoordinatorMsg::Streamed(result, sent));
        });
    }

    fn happened(&mut self, event: JobEvent) {
        match &event {
            JobEvent::PeerLost { peer, running, outputs } => {
                tracing::warn!(job = %self.id, peer = %peer.short(), running = running.len(), outputs = outputs.len(), "a peer of the job is lost");
            }
            JobEvent::AttemptFailed { output, peer, error } => {
                tracing::warn!(job = %self.id, %output, peer = %peer.short(), %error, "an attempt failed");
            }
            JobEvent::Planned { .. }
            | JobEvent::Started { .. }
            | JobEvent::Finished { .. }
            | JobEvent::Ended { .. } => {}
        }
        let at = self.context.ports.clock.wall_ms();
        if self.log.len() < JobSummary::EVENTS_MAX {
            self.log.push((at, event.clone()));
        }
        // Nobody may be watching.
        let _ = self.events.unbounded_send(Update::Event(at, event));
    }

    /// The job is over: its reader learns how, and everyone lets go of its outputs.
    fn end(&mut self, myself: &ActorRef<CoordinatorMsg>, state: JobState) {
        if self.elapsed.is_some() {
            return;
        }
        self.elapsed = Some(self.context.ports.clock.now().saturating_sub(self.started));
        self.state = state.clone();
        self.happened(JobEvent::Ended { state: state.clone() });
        self.cancel_running();
        let summary = self.summary();
        self.context.jobs.finished(summary.clone());
        let last = match state {
            JobState::Failed(error) => Err(error),
            JobState::Cancelled => Err(Error::Cancelled),
            JobState::Done | JobState::Running | JobState::Planning => Ok(Update::Summary(Box::new(summary))),
        };
        let frames = self.frames.clone();
        self.context.spawn("job end", async move {
            // The reader may be gone.
            let _ = frames.send(last).await;
        });
        let forgets = self.context.has_planted(Planted::ForgetsToCancel);
        for peer in std::mem::take(&mut self.involved).into_iter().filter(|_| !forgets) {
            if peer == self.context.me {
                if let Ok(actors) = self.context.actors() {
                    let _ = actors.worker.cast(WorkerMsg::Release(self.id));
                }
                continue;
            }
            let (context, job) = (self.context.clone(), self.id);
            self.context.spawn("job release", async move { release::tell(&context, peer, job).await });
        }
        myself.stop(None);
    }

    fn cancel_running(&mut self) {
        let running = std::mem::take(&mut self.running);
        if self.context.has_planted(Planted::ForgetsToCancel) {
            std::mem::forget(running);
        }
    }

    fn summary(&self) -> JobSummary {
        let mut summary = JobSummary {
            id: self.id,
            coordinator: self.context.me,
            title: self.title.clone(),
            state: self.state.clone(),
            submitted_ms: self.submitted_ms,
            elapsed_ms: self
                .elapsed
                .unwrap_or_else(|| self.context.ports.clock.now().saturating_sub(self.started))
                .as_millis() as u64,
            stages: Vec::new(),
            fingerprint: None,
            scanned_local_bytes: 0,
            scanned_remote_bytes: 0,
            fetched_bytes: 0,
            events: self.log.clone(),
        };
        if let Some(job) = &self.job {
            summary.stages = job.progress();
            let last = StageId((summary.stages.len() as u32).saturating_sub(1));
            let mut fingerprint = Fingerprint::default();
            for (stage, report) in job.reports() {
                // Peers say these: a sum that does not fit is no reason to fail.
                for (sum, more) in [
                    (&mut summary.scanned_local_bytes, report.scanned_local_bytes),
                    (&mut summary.scanned_remote_bytes, report.scanned_remote_bytes),
                    (&mut summary.fetched_bytes, report.fetched_bytes),
                ] {
                    *sum = sum.saturating_add(more);
                }
                if stage == last {
                    fingerprint = fingerprint.and(report.fingerprint);
                }
            }
            summary.fingerprint = (self.state == JobState::Done).then_some(fingerprint);
        }
        summary
    }
}

/// Says when members change, for as long as the job lives.
fn watch(context: &Arc<Context>, job: &ActorRef<CoordinatorMsg>) -> TaskHandle {
    let (watching, job) = (context.clone(), job.clone());
    context.spawn("job members", async move {
        let mut seen = watching.members.version();
        loop {
            seen = watching.members.after(seen).await;
            if job.cast(CoordinatorMsg::Members).is_err() {
                return;
            }
        }
    })
}

/// The owners of a partition's chunks, those of most first.
fn holders(layout: &Placed, chunks: &[ChunkId], kept: &KeptCopies) -> Vec<PeerId> {
    let mut counts: Vec<(PeerId, usize)> = Vec::new();
    for chunk in chunks {
        let copies = kept.get(chunk).copied().unwrap_or_default();
        for owner in layout.owners_of(*chunk, copies).current {
            match counts.iter_mut().find(|(peer, _)| *peer == owner) {
                Some((_, count)) => *count += 1,
                None => counts.push((owner, 1)),
            }
        }
    }
    let most = counts.iter().map(|(_, count)| *count).max().unwrap_or(0);
    // Whoever has less than all that the best have would read the rest from afar.
    counts.into_iter().filter(|(_, count)| *count == most).map(|(peer, _)| peer).collect()
}
