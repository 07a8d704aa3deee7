//! Tasks that this peer runs for coordinators, itself among them.

mod fragments;
mod io;
mod kept;
mod slots;

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::channel::oneshot;
use futures::future::{Either, select};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use shoal_ports::{Flow, FlowWriter};
use shoal_types::{Error, JobId, PeerId, Request, Response, Result, TaskReport, TaskSpec, wire};

use crate::context::Context;
use crate::gauges;
use crate::planted::Planted;
use crate::serve;
use fragments::Fragments;
pub(crate) use io::{Io, fetch_output};
pub(crate) use kept::Word;
use kept::{Fate, Kept};
use slots::{Slot, Slots};

/// Jobs whose outputs were released; a task of theirs that comes late is refused.
const RELEASED_MAX: usize = 1_024;

/// Between two looks at the jobs of which nothing is heard.
const LOOK: Duration = Duration::from_secs(1);

pub(crate) enum WorkerMsg {
    /// A coordinator's task; the report goes back on the flow, and its end cancels the task.
    Run { from: PeerId, spec: TaskSpec, flow: Flow },
    /// A task of a job coordinated here. Dropping the receiver cancels it.
    RunHere { spec: TaskSpec, fragment: Bytes, report: oneshot::Sender<Result<TaskReport>> },
    /// A task has ended, and its slot is free.
    Ended(Slot),
    /// Time to ask after jobs of which nothing is heard.
    Look,
    /// What came of that.
    Heard(JobId, Word),
    /// A job is over: nothing runs or is kept for it any more.
    Release(JobId),
}

enum Waiting {
    There { from: PeerId, spec: TaskSpec, flow: Flow },
    Here { spec: TaskSpec, fragment: Bytes, report: oneshot::Sender<Result<TaskReport>> },
}

impl Waiting {
    fn spec(&self) -> &TaskSpec {
        match self {
            Self::There { spec, .. } | Self::Here { spec, .. } => spec,
        }
    }

    fn job(&self) -> JobId {
        self.spec().output.task.job
    }
}

pub(crate) struct Worker;

pub(crate) struct State {
    context: Arc<Context>,
    fragments: Arc<Fragments>,
    running: Slots,
    waiting: VecDeque<Waiting>,
    released: VecDeque<JobId>,
    kept: Kept,
    /// Whether a look is to come.
    looks: bool,
}

impl Actor for Worker {
    type Msg = WorkerMsg;
    type State = State;
    type Arguments = State;

    async fn pre_start(&self, _: ActorRef<Self::Msg>, state: State) -> Result<State, ActorProcessingErr> {
        Ok(state)
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            WorkerMsg::Run { from, spec, flow } => state.admit(Waiting::There { from, spec, flow }),
            WorkerMsg::RunHere { spec, fragment, report } => state.admit(Waiting::Here { spec, fragment, report }),
            WorkerMsg::Ended(slot) => {
                if let Some(job) = state.running.free(slot) {
                    state.kept.ended(job, state.context.ports.clock.now());
                }
            }
            WorkerMsg::Look => {
                state.looks = false;
                state.ask_after(&myself);
            }
            WorkerMsg::Heard(job, word) => match state.kept.heard(job, word, state.context.ports.clock.now()) {
                Fate::Keep => {}
                Fate::Release => {
                    tracing::info!(%job, "lets go of a job that is over");
                    state.release(job);
                }
                Fate::Forget => {
                    tracing::info!(%job, "gives up the outputs of a job whose coordinator is gone");
                    state.context.ports.compute.forget(job);
                    state.kept.released(job);
                }
            },
            WorkerMsg::Release(job) => state.release(job),
        }
        state.look_later(&myself);
        while state.running.taken() < state.context.config.info.slots.max(1) as usize {
            let Some(next) = state.waiting.pop_front() else {
                break;
            };
            state.start(&myself, next);
        }
        gauges::note(&state.context.levels.running_tasks, state.running.taken());
        gauges::note(&state.context.levels.waiting_tasks, state.waiting.len());
        Ok(())
    }
}

impl State {
    pub(crate) fn new(context: &Arc<Context>) -> Self {
        Self {
            context: context.clone(),
            fragments: Arc::default(),
            running: Slots::default(),
            waiting: VecDeque::new(),
            released: VecDeque::new(),
            kept: Kept::default(),
            looks: false,
        }
    }

    fn release(&mut self, job: JobId) {
        // The end of a task's flow would stop it too, but waits behind all the
        // bytes that are on their way here.
        self.waiting.retain(|task| task.job() != job);
        self.running.cancel(job);
        self.context.ports.compute.release(job);
        self.kept.released(job);
        if self.released.contains(&job) {
            return;
        }
        if self.released.len() >= RELEASED_MAX {
            self.released.pop_front();
        }
        self.released.push_back(job);
    }

    /// Has a look at the jobs after a while, as long as there are any.
    fn look_later(&mut self, myself: &ActorRef<WorkerMsg>) {
        if self.looks || self.kept.is_empty() {
            return;
        }
        self.looks = true;
        let (context, myself) = (self.context.clone(), myself.clone());
        self.context.spawn("worker look", async move {
            context.ports.clock.sleep(LOOK).await;
            // The actor may have stopped; then nobody looks.
            let _ = myself.cast(WorkerMsg::Look);
        });
    }

    fn ask_after(&mut self, myself: &ActorRef<WorkerMsg>) {
        for (job, coordinator) in self.kept.due(self.context.ports.clock.now()) {
            let (context, myself) = (self.context.clone(), myself.clone());
            self.context.spawn("worker ask", async move {
                let word = match context.call(coordinator, Request::JobRuns { job }).await {
                    Ok(Response::Runs(true)) => Word::Runs,
                    Ok(_) => Word::Over,
                    Err(_) => Word::None { is_live: context.is_live(coordinator) },
                };
                let _ = myself.cast(WorkerMsg::Heard(job, word));
            });
        }
    }

    fn admit(&mut self, task: Waiting) {
        let (job, coordinator) = (task.job(), task.spec().coordinator);
        let context = &self.context;
        let is_full = self.waiting.len() >= context.config.bounds.waiting_tasks;
        let refusal = if self.released.contains(&job) && !context.has_planted(Planted::RunsReleasedTasks) {
            Error::Cancelled
        } else if is_full && !context.has_planted(Planted::UnboundedQueue) {
            Error::Busy { peer: self.context.me, retry_after_ms: 500 }
        } else {
            if !context.has_planted(Planted::RunsReleasedTasks) {
                self.kept.began(job, coordinator, context.ports.clock.now());
            }
            self.waiting.push_back(task);
            return;
        };
        match task {
            Waiting::There { flow, .. } => {
                let context = self.context.clone();
                self.context.spawn("task refusal", async move {
                    let Flow { writer, reader } = flow;
                    // The coordinator may be gone already.
                    let _ = serve::refuse(writer, refusal).await;
                    serve::part(&context, reader).await;
                });
            }
            Waiting::Here { report, .. } => {
                let _ = report.send(Err(refusal));
            }
        }
    }

    fn start(&mut self, myself: &ActorRef<WorkerMsg>, task: Waiting) {
        let (context, fragments, myself) = (self.context.clone(), self.fragments.clone(), myself.clone());
        let (slot, cancelled) = self.running.take(task.job());
        self.context.spawn("task", async move {
            let work = async {
                match task {
                    Waiting::There { from, spec, flow } => run_there(&context, &fragments, from, spec, flow).await,
                    Waiting::Here { spec, fragment, report } => run_here(&context, spec, fragment, report).await,
                }
            };
            unless(cancelled, work).await;
            let _ = myself.cast(WorkerMsg::Ended(slot));
        });
    }
}

/// Does the work, or gives it up when it is cancelled.
async fn unless(cancelled: oneshot::Receiver<()>, work: impl Future<Output = ()>) {
    let work = std::pin::pin!(work);
    if let Either::Right(_) = select(work, cancelled).await {
        tracing::debug!("a task was stopped, its job is over");
    }
}

async fn run(context: &Arc<Context>, spec: TaskSpec, fragment: Bytes) -> Result<TaskReport> {
    let output = spec.output;
    tracing::debug!(%output, job = %output.task.job, "runs a task");
    let io = Arc::new(Io::new(context.clone()));
    let result = context.ports.compute.run(spec, fragment, io).await;
    if let Err(error) = &result {
        tracing::info!(%output, job = %output.task.job, %error, "a task failed");
    }
    result
}

async fn run_here(
    context: &Arc<Context>,
    spec: TaskSpec,
    fragment: Bytes,
    mut report: oneshot::Sender<Result<TaskReport>>,
) {
    let work = std::pin::pin!(run(context, spec, fragment));
    let gone = std::pin::pin!(std::future::poll_fn(|cx| report.poll_canceled(cx)));
    if let Either::Left((result, _)) = select(work, gone).await {
        let _ = report.send(result);
    }
}

async fn run_there(context: &Arc<Context>, fragments: &Fragments, from: PeerId, spec: TaskSpec, flow: Flow) {
    let Flow { writer, mut reader } = flow;
    let work = std::pin::pin!(async {
        if spec.coordinator != from {
            return Err(Error::BadFrame { what: "a task in another coordinator's name".into() });
        }
        let fragment = fragments.get(context, &spec).await?;
        run(context, spec, fragment).await
    });
    // The coordinator says nothing more: an end or a reset is its cancellation.
    let report = match select(work, reader.next()).await {
        Either::Left((report, _)) => report,
        Either::Right(_) => {
            tracing::debug!("a task was cancelled");
            return;
        }
    };
    match tell(writer, &report).await {
        Ok(()) => serve::part(context, reader).await,
        Err(error) => tracing::debug!(%error, "a report was not wanted any more"),
    }
}

async fn tell(mut writer: Box<dyn FlowWriter>, report: &Result<TaskReport>) -> Result<()> {
    writer.send(wire::encode(report)?).await?;
    writer.finish().await
}
