//! Registers: the acceptor's actor, and the driver of one operation.

mod drive;
mod fence;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, call};
use shoal_ports::{RegisterPut, Store};
use shoal_register::Acceptor;
use shoal_types::{Ballot, Error, LayoutId, RegisterKey, RegisterOp, RegisterReply, Result};

use crate::context::{Context, lock};
use crate::gauges;
use crate::planted::Planted;
pub(crate) use drive::{Acceptors, Begin, operate};
pub(crate) use fence::Fence;

/// Operations that are made durable in one sync.
const BATCH_MAX: usize = 512;

/// Operations that wait for the sync under way; more are refused as busy.
pub(crate) const WAITING_MAX: usize = 16_384;

pub(crate) enum RegistersMsg {
    /// An operation of a peer that works under that layout.
    Operate { layout: LayoutId, key: RegisterKey, op: RegisterOp, reply: RpcReplyPort<Result<RegisterReply>> },
    /// This layout is in force from now on: once answered, no
    /// operation of another one is carried out any more.
    Layout(Fence, RpcReplyPort<()>),
    /// The sync under way has ended.
    Synced,
    /// So has the settling.
    Settled,
}

/// The acceptor of all registers of this peer. Operations that come while one
/// batch is synced form the next: many share a sync.
pub(crate) struct Registers;

struct Waiting {
    layout: LayoutId,
    key: RegisterKey,
    op: RegisterOp,
    reply: RpcReplyPort<Result<RegisterReply>>,
}

pub(crate) struct State {
    context: Arc<Context>,
    fence: Fence,
    waiting: Vec<Waiting>,
    syncing: bool,
    settling: bool,
    /// Layout changes that wait for the sync under way.
    fences: Vec<(Fence, RpcReplyPort<()>)>,
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
            RegistersMsg::Layout(fence, reply) => state.fences.push((fence, reply)),
            RegistersMsg::Synced => {
                state.syncing = false;
                state.settle(&myself);
            }
            RegistersMsg::Settled => state.settling = false,
        }
        state.advance(&myself);
        gauges::note(&state.context.levels.waiting_registers, state.waiting.len());
        Ok(())
    }
}

impl State {
    pub(crate) fn new(context: &Arc<Context>) -> Self {
        Self {
            context: context.clone(),
            fence: Fence::default(),
            waiting: Vec::new(),
            syncing: false,
            settling: false,
            fences: Vec::new(),
        }
    }

    fn advance(&mut self, myself: &ActorRef<RegistersMsg>) {
        if self.syncing {
            return;
        }
        for (fence, reply) in self.fences.drain(..) {
            self.fence = fence;
            *lock(&self.context.fence) = fence;
            let _ = reply.send(());
        }
        let mut batch = Vec::new();
        for waiting in self.waiting.drain(..self.waiting.len().min(BATCH_MAX)) {
            match self.fence.admits(self.context.me, &waiting.key, waiting.layout) {
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
            let (puts, answers) = decide(&*store, batch);
            let synced = keep(&*store, &puts);
            answer(answers, &synced);
            // The actor may have stopped; then nothing follows.
            let _ = myself.cast(RegistersMsg::Synced);
        }));
    }

    /// Has the store do what it has put off, beside all else.
    fn settle(&mut self, myself: &ActorRef<RegistersMsg>) {
        if self.settling || !self.context.ports.store.register_is_unsettled() {
            return;
        }
        self.settling = true;
        let (store, myself) = (self.context.ports.store.clone(), myself.clone());
        self.context.ports.spawner.blocking(Box::new(move || {
            if let Err(error) = store.register_settle() {
                tracing::warn!(%error, "the registers' log is not settled");
            }
            let _ = myself.cast(RegistersMsg::Settled);
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

/// Answers that wait until what they promise is on disk.
type Answers = Vec<(Result<RegisterReply>, RpcReplyPort<Result<RegisterReply>>)>;

/// What a batch changes, and its answers.
fn decide(store: &dyn Store, batch: Vec<Waiting>) -> (Vec<RegisterPut>, Answers) {
    let mut changed: BTreeMap<RegisterKey, RegisterPut> = BTreeMap::new();
    let mut answers = Vec::with_capacity(batch.len());
    for Waiting { key, op, reply, .. } in batch {
        let state = match changed.get(&key) {
            Some(put) => Ok(Some(put.entry.clone())),
            None => store.register_get(&key),
        };
        let answer = state.map(|state| {
            let (answer, next) = Acceptor::handle(state.as_ref(), &key, &op);
            if let Some(entry) = next {
                let accepts = state.is_none_or(|state| state.accepted != entry.accepted);
                let accepts = accepts && entry.accepted != Ballot::ZERO;
                let accepted_before = changed.get(&key).is_some_and(|put| put.accepts);
                changed.insert(key, RegisterPut { entry, accepts: accepts || accepted_before });
            }
            answer
        });
        answers.push((answer, reply));
    }
    (changed.into_values().collect(), answers)
}

/// Puts what a batch changes on disk, in one sync.
fn keep(store: &dyn Store, puts: &[RegisterPut]) -> Result<()> {
    if puts.is_empty() { Ok(()) } else { store.register_put(puts) }
}

fn answer(answers: Answers, synced: &Result<()>) {
    for (answer, reply) in answers {
        // Whoever asked may have given up.
        let _ = reply.send(synced.clone().and(answer));
    }
}

/// One operation at this peer's acceptor.
pub(crate) async fn accept(
    context: &Arc<Context>,
    layout: LayoutId,
    key: RegisterKey,
    op: RegisterOp,
) -> Result<RegisterReply> {
    if op == RegisterOp::Read {
        return look(context, layout, key, &op).await;
    }
    let registers = context.actors()?.registers.clone();
    call!(registers, |reply| RegistersMsg::Operate { layout, key, op, reply })
        .map_err(|_| context.not_ready("its registers have stopped"))?
}

/// Answers a read without its turn: it changes nothing, and what the store
/// shows is on disk. The fence is looked at before the store: so the answer is
/// at least as new as the moment at which this layout was still in force.
async fn look(context: &Arc<Context>, layout: LayoutId, key: RegisterKey, op: &RegisterOp) -> Result<RegisterReply> {
    let fence = *lock(&context.fence);
    if !context.has_planted(Planted::NoFence) {
        fence.admits(context.me, &key, layout)?;
    }
    let store = context.ports.store.clone();
    let asked = key.clone();
    let state = context.blocking(move || store.register_get(&asked)).await?;
    Ok(Acceptor::handle(state.as_ref(), &key, op).0)
}
