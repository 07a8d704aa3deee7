//! Registers: the acceptor's actor, and the driver of one operation.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::channel::mpsc;
use futures::{FutureExt, StreamExt};
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, call};
use shoal_ports::Store;
use shoal_register::{Acceptor, Action, Decision, Failure, Outcome, Proposal};
use shoal_types::{
    Ballot, Error, PeerId, RegisterEntry, RegisterKey, RegisterOp, RegisterReply, Request, Response, Result,
};

use crate::context::Context;
use crate::gauges;
use crate::planted::Planted;

/// Operations that are made durable in one sync.
const BATCH_MAX: usize = 512;

/// Operations that wait for the sync under way; more are refused as busy.
pub(crate) const WAITING_MAX: usize = 16_384;

pub(crate) enum RegistersMsg {
    /// An operation of a peer that works under that layout version.
    Operate { layout: u64, key: RegisterKey, op: RegisterOp, reply: RpcReplyPort<Result<RegisterReply>> },
    /// This layout version is in force from now on: once answered, no
    /// operation of an older one is carried out any more.
    Layout(u64, RpcReplyPort<()>),
    /// The sync under way has ended.
    Synced,
}

/// The acceptor of all registers of this peer. Operations that come while one
/// batch is synced form the next: many share a sync.
pub(crate) struct Registers;

struct Waiting {
    layout: u64,
    key: RegisterKey,
    op: RegisterOp,
    reply: RpcReplyPort<Result<RegisterReply>>,
}

pub(crate) struct State {
    context: Arc<Context>,
    layout: u64,
    waiting: Vec<Waiting>,
    syncing: bool,
    /// Layout changes that wait for the sync under way.
    fences: Vec<(u64, RpcReplyPort<()>)>,
}

impl Actor for Registers {
    type Msg = RegistersMsg;
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
            RegistersMsg::Operate { layout, key, op, reply } => {
                if state.waiting.len() >= WAITING_MAX {
                    let _ = reply.send(Err(Error::Busy { peer: state.context.me, retry_after_ms: 100 }));
                } else {
                    state.waiting.push(Waiting { layout, key, op, reply });
                }
            }
            RegistersMsg::Layout(version, reply) => state.fences.push((version, reply)),
            RegistersMsg::Synced => state.syncing = false,
        }
        state.advance(&myself);
        gauges::note(&state.context.levels.waiting_registers, state.waiting.len());
        Ok(())
    }
}

impl State {
    pub(crate) fn new(context: &Arc<Context>) -> Self {
        Self { context: context.clone(), layout: 0, waiting: Vec::new(), syncing: false, fences: Vec::new() }
    }

    fn advance(&mut self, myself: &ActorRef<RegistersMsg>) {
        if self.syncing {
            return;
        }
        for (version, reply) in self.fences.drain(..) {
            self.layout = version;
            let _ = reply.send(());
        }
        let mut batch = Vec::new();
        for waiting in self.waiting.drain(..self.waiting.len().min(BATCH_MAX)) {
            match fence(&waiting.key, waiting.layout, self.layout) {
                Ok(()) => batch.push(waiting),
                Err(_) if self.context.has_planted(Planted::NoFence) => batch.push(waiting),
                Err(error) => {
                    let _ = waiting.reply.send(Err(error));
                }
            }
        }
        if batch.is_empty() {
            if !self.waiting.is_empty() {
                self.advance(myself);
            }
            return;
        }
        self.syncing = true;
        if self.context.has_planted(Planted::PromiseNotSynced) {
            return self.answer_too_early(myself.clone(), batch);
        }
        let (store, myself) = (self.context.ports.store.clone(), myself.clone());
        self.context.ports.spawner.blocking(Box::new(move || {
            let (entries, answers) = decide(&*store, batch);
            let synced = keep(&*store, &entries);
            answer(answers, &synced);
            // The actor may have stopped; then nothing follows.
            let _ = myself.cast(RegistersMsg::Synced);
        }));
    }

    /// A planted bug: promises before it keeps.
    fn answer_too_early(&self, myself: ActorRef<RegistersMsg>, batch: Vec<Waiting>) {
        let context = self.context.clone();
        self.context.spawn("late sync", async move {
            let store = context.ports.store.clone();
            let decided = context
                .blocking(move || {
                    let (entries, answers) = decide(&*store, batch);
                    answer(answers, &Ok(()));
                    Ok(entries)
                })
                .await;
            context.ports.clock.sleep(Duration::from_millis(30 + context.random() % 70)).await;
            if let Ok(entries) = decided {
                let store = context.ports.store.clone();
                let _ = context.blocking(move || keep(&*store, &entries)).await;
            }
            let _ = myself.cast(RegistersMsg::Synced);
        });
    }
}

/// Whether an operation under layout `theirs` may be carried out under `ours`.
fn fence(key: &RegisterKey, theirs: u64, ours: u64) -> Result<()> {
    let fits = match key {
        RegisterKey::Object(_) => theirs == ours,
        // Decided by the members of the version before, also by one that has
        // not heard of it yet; but what is decided is not asked again.
        RegisterKey::Layout(_, version) => *version > ours,
    };
    if fits { Ok(()) } else { Err(Error::StaleLayout { theirs, ours }) }
}

/// Answers that wait until what they promise is on disk.
type Answers = Vec<(Result<RegisterReply>, RpcReplyPort<Result<RegisterReply>>)>;

/// What a batch changes, and its answers.
fn decide(store: &dyn Store, batch: Vec<Waiting>) -> (Vec<RegisterEntry>, Answers) {
    let mut changed: BTreeMap<RegisterKey, RegisterEntry> = BTreeMap::new();
    let mut answers = Vec::with_capacity(batch.len());
    for Waiting { key, op, reply, .. } in batch {
        let state = match changed.get(&key) {
            Some(entry) => Ok(Some(entry.clone())),
            None => store.register_get(&key),
        };
        let answer = state.map(|state| {
            let (answer, next) = Acceptor::handle(state.as_ref(), &key, &op);
            if let Some(next) = next {
                changed.insert(key, next);
            }
            answer
        });
        answers.push((answer, reply));
    }
    (changed.into_values().collect(), answers)
}

/// Puts what a batch changes on disk, in one sync.
fn keep(store: &dyn Store, entries: &[RegisterEntry]) -> Result<()> {
    if entries.is_empty() { Ok(()) } else { store.register_put(entries) }
}

fn answer(answers: Answers, synced: &Result<()>) {
    for (answer, reply) in answers {
        // Whoever asked may have given up.
        let _ = reply.send(synced.clone().and(answer));
    }
}

/// One operation at this peer's acceptor.
pub(crate) async fn accept(context: &Context, layout: u64, key: RegisterKey, op: RegisterOp) -> Result<RegisterReply> {
    let registers = context.actors()?.registers.clone();
    call!(registers, |reply| RegistersMsg::Operate { layout, key, op, reply })
        .map_err(|_| context.not_ready("its registers have stopped"))?
}

/// The acceptors of a register, a majority of each group of which makes a
/// quorum, and the layout version under which they are that.
pub(crate) struct Acceptors {
    pub(crate) groups: Vec<Vec<PeerId>>,
    pub(crate) layout: u64,
}

/// Runs one operation on a register among its `acceptors`. Where the layout
/// moves under it, it goes on among those whom it is told then; if there are
/// none to be told, `StaleLayout` is its end.
pub(crate) async fn operate(
    context: &Arc<Context>,
    key: RegisterKey,
    acceptors: Acceptors,
    moved: Option<&(dyn Fn() -> Result<Acceptors> + Send + Sync)>,
    change: impl FnMut(Option<&Bytes>) -> Decision + Send,
) -> Result<Outcome> {
    let what = format!("'{key}'");
    let work = drive(context, key, acceptors, moved, change);
    context.timeout(&what, context.config.timing.name, work).await
}

async fn drive(
    context: &Arc<Context>,
    key: RegisterKey,
    acceptors: Acceptors,
    moved: Option<&(dyn Fn() -> Result<Acceptors> + Send + Sync)>,
    change: impl FnMut(Option<&Bytes>) -> Decision + Send,
) -> Result<Outcome> {
    let plant = |groups| if context.has_planted(Planted::QuorumOfOne) { first_live(context, groups) } else { groups };
    let Acceptors { groups, mut layout } = acceptors;
    let groups = plant(groups);
    let mut proposal = Proposal::new(context.me, groups, context.random(), change).above(floor(layout));
    let (answers, mut incoming) = mpsc::unbounded();
    let (mut stale, mut is_stale) = (None, false);
    let mut actions = proposal.start();
    loop {
        for action in actions {
            match action {
                Action::Send { step, to, op } => {
                    let (context, answers, key) = (context.clone(), answers.clone(), key.clone());
                    context.clone().spawn("register op", async move {
                        let request = Request::Register { layout, key, op };
                        let answer = context.call(to, request).await;
                        let _ = answers.unbounded_send(Some((step, to, answer)));
                    });
                }
                Action::Retry { after_ms } => {
                    let (context, answers) = (context.clone(), answers.clone());
                    context.clone().spawn("register retry", async move {
                        context.ports.clock.sleep(Duration::from_millis(after_ms)).await;
                        let _ = answers.unbounded_send(None);
                    });
                }
                Action::Done(outcome) => return Ok(outcome),
                Action::Failed(failure) => match (stale.take(), moved) {
                    (Some(_), Some(_)) => is_stale = true,
                    (Some(stale), None) => return Err(stale),
                    (None, _) => return Err(failed(&key, failure)),
                },
            }
        }
        if let (true, Some(moved)) = (std::mem::take(&mut is_stale), moved) {
            context.ports.clock.sleep(context.config.timing.tick).await;
            let next = moved()?;
            layout = next.layout;
            if context.has_planted(Planted::ForgetsOwnWrite) {
                proposal.forget();
            }
            actions = proposal.regroup(plant(next.groups), floor(layout));
            continue;
        }
        actions = match incoming.next().map(Option::flatten).await {
            Some((step, from, Ok(Response::Register(reply)))) => proposal.on_reply(step, from, reply),
            Some((step, from, Ok(_))) => proposal.on_failure(step, from),
            Some((step, from, Err(error))) => {
                if matches!(error, Error::StaleLayout { .. }) {
                    stale = Some(error);
                }
                proposal.on_failure(step, from)
            }
            None => proposal.on_retry(),
        };
    }
}

/// Below every ballot under a layout version, and above those under all
/// versions before it.
fn floor(layout: u64) -> Ballot {
    Ballot { counter: layout.min(u64::from(u32::MAX)) << 32, proposer: PeerId::from_bytes([0; 32]) }
}

/// A planted bug: a majority of one.
fn first_live(context: &Context, groups: Vec<Vec<PeerId>>) -> Vec<Vec<PeerId>> {
    let first = |group: Vec<PeerId>| group.into_iter().find(|peer| context.is_live(*peer)).into_iter().collect();
    groups.into_iter().map(first).collect()
}

fn failed(key: &RegisterKey, failure: Failure) -> Error {
    match failure {
        Failure::NoQuorum { answered, needed } => Error::NoQuorum { what: format!("'{key}'"), answered, needed },
        Failure::Contended { rounds } => Error::Conflict {
            name: key.to_string(),
            found: format!("others changed it at the same time, {rounds} times"),
        },
        Failure::Unknown => Error::Conflict {
            name: key.to_string(),
            found: "whether the change was made is unknown: peers went away, or others changed it, in the middle"
                .into(),
        },
    }
}
