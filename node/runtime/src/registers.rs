//! Registers: the acceptor's actor, and the driver of one operation.
//!
//! What keeps them whole and small has files of its own: `former` (who is taken
//! in again begins anew), `forgetting` (what is removed is forgotten), `compare`
//! (what some acceptor has missed is brought to it).

mod compare;
mod drive;
mod fence;
mod forgetting;
mod former;
mod queue;
mod together;
mod walk;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, call};
use shoal_ports::{RegisterPut, Store};
use shoal_register::{Acceptor, Change};
use shoal_types::{Ballot, Error, LayoutId, RegisterKey, RegisterOp, RegisterReply, Result};

use crate::context::{Context, lock};
use crate::gauges;
use crate::planted::Planted;
pub(crate) use compare::{ballots, run as compare};
pub(crate) use drive::{Acceptors, Begin, Met, Proposing, floor, operate};
pub(crate) use fence::Fence;
pub(crate) use forgetting::{Swept, run as forget};
pub(crate) use former::{drop_former, is_taken_in};
pub(crate) use queue::{Queues, if_crowded, note_crowded, serve as serve_turn};

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
        while batch.is_empty() && !self.waiting.is_empty() {
            for waiting in self.waiting.drain(..fit_together(&self.waiting)) {
                match self.fence.admits(self.context.me, &waiting.key, waiting.layout) {
                    Ok(()) => batch.push(waiting),
                    Err(_) if self.context.has_planted(Planted::NoFence) => batch.push(waiting),
                    Err(error) => {
                        let _ = waiting.reply.send(Err(error));
                    }
                }
            }
        }
        if batch.is_empty() {
            return;
        }
        self.syncing = true;
        if self.context.has_planted(Planted::PromiseNotSynced) {
            return self.answer_too_early(myself.clone(), batch);
        }
        let (store, myself) = (self.context.ports.store.clone(), myself.clone());
        self.context.ports.spawner.blocking(Box::new(move || {
            let (changes, answers) = decide(&*store, batch);
            let synced = keep(&*store, &changes);
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
                    let (changes, answers) = decide(&*store, batch);
                    answer(answers, &Ok(()));
                    Ok(changes)
                })
                .await;
            context.ports.clock.sleep(Duration::from_millis(30 + context.random() % 70)).await;
            if let Ok(changes) = decided {
                let store = context.ports.store.clone();
                let _ = context.blocking(move || keep(&*store, &changes)).await;
            }
            let _ = myself.cast(RegistersMsg::Synced);
        });
    }
}

/// Answers that wait until what they promise is on disk.
type Answers = Vec<(Result<RegisterReply>, RpcReplyPort<Result<RegisterReply>>)>;

/// What a batch changes.
struct Changes {
    puts: BTreeMap<RegisterKey, RegisterPut>,
    forgotten: Vec<RegisterKey>,
    /// Raised by those.
    horizon: Ballot,
}

/// How many of those who wait go together: whoever asks for a register that
/// another one has forgotten comes after that.
fn fit_together(waiting: &[Waiting]) -> usize {
    let mut forgotten = BTreeSet::new();
    for (count, Waiting { key, op, .. }) in waiting.iter().take(BATCH_MAX).enumerate() {
        if forgotten.contains(key) {
            return count;
        }
        if let RegisterOp::Forget { .. } = op {
            forgotten.insert(key);
        }
    }
    waiting.len().min(BATCH_MAX)
}

/// What a batch changes, and its answers.
fn decide(store: &dyn Store, batch: Vec<Waiting>) -> (Changes, Answers) {
    let mut changes = Changes { puts: BTreeMap::new(), forgotten: Vec::new(), horizon: Ballot::ZERO };
    let mut answers = Vec::with_capacity(batch.len());
    for Waiting { key, op, reply, .. } in batch {
        answers.push((changes.handle(store, key, &op), reply));
    }
    (changes, answers)
}

impl Changes {
    fn handle(&mut self, store: &dyn Store, key: RegisterKey, op: &RegisterOp) -> Result<RegisterReply> {
        let before = self.puts.get(&key);
        let state = match before {
            Some(put) => Some(put.entry.clone()),
            None => store.register_get(&key)?,
        };
        let horizon = self.horizon.max(store.register_horizon()?);
        let (answer, change) = Acceptor::handle(state.as_ref(), horizon, &key, op);
        match change {
            Some(Change::Keep(entry)) => {
                let accepts = state.is_none_or(|state| state.accepted != entry.accepted);
                let accepts = accepts && entry.accepted != Ballot::ZERO;
                let accepts = accepts || before.is_some_and(|put| put.accepts);
                self.puts.insert(key, RegisterPut { entry, accepts });
            }
            Some(Change::Forget { horizon }) => {
                self.horizon = horizon;
                self.puts.remove(&key);
                self.forgotten.push(key);
            }
            None => {}
        }
        Ok(answer)
    }
}

/// Puts what a batch changes on disk: in one sync, and in one more where
/// something is forgotten. What is on disk of a batch that was not answered
/// does no harm.
fn keep(store: &dyn Store, changes: &Changes) -> Result<()> {
    if !changes.puts.is_empty() {
        let puts: Vec<RegisterPut> = changes.puts.values().cloned().collect();
        store.register_put(&puts)?;
    }
    if changes.forgotten.is_empty() { Ok(()) } else { store.register_forget(&changes.forgotten, changes.horizon) }
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
/// shows is on disk. The fence is looked at before the store and after it: so
/// the answer is of a moment at which this layout was in force.
async fn look(context: &Arc<Context>, layout: LayoutId, key: RegisterKey, op: &RegisterOp) -> Result<RegisterReply> {
    let is_in_force = || match context.has_planted(Planted::NoFence) {
        true => Ok(()),
        false => lock(&context.fence).admits(context.me, &key, layout),
    };
    is_in_force()?;
    let store = context.ports.store.clone();
    let asked = key.clone();
    let state = context.blocking(move || store.register_get(&asked)).await?;
    is_in_force()?;
    // The horizon is nothing to a read.
    Ok(Acceptor::handle(state.as_ref(), Ballot::ZERO, &key, op).0)
}

#[cfg(test)]
mod tests {
    use shoal_types::{MeshId, PeerId, PrepareReply, RegisterEntry};

    use super::*;
    use crate::tests::ports::{Network, Store as Kept};
    use crate::tests::{config, ports};

    const LAYOUT: LayoutId = LayoutId { mesh: MeshId::from_bytes([1; 16]), version: 3 };

    fn ballot(counter: u64) -> Ballot {
        Ballot { counter, proposer: PeerId::from_bytes([1; 32]) }
    }

    fn waiting(name: &str, op: RegisterOp) -> Waiting {
        let (reply, _) = ractor::concurrency::oneshot();
        Waiting { layout: LAYOUT, key: RegisterKey::Object(name.parse().unwrap()), op, reply: reply.into() }
    }

    #[test]
    fn whoever_asks_for_what_another_has_forgotten_comes_after_it() {
        let read = |name| waiting(name, RegisterOp::Read);
        let forget = |name| waiting(name, RegisterOp::Forget { ballot: ballot(1) });
        for (queue, expected) in [
            (vec![read("b/x"), forget("b/x"), read("b/y")], 3),
            (vec![forget("b/x"), read("b/y"), read("b/x"), read("b/y")], 2),
            (vec![forget("b/x"), forget("b/x")], 1),
            (vec![], 0),
        ] {
            assert_eq!(fit_together(&queue), expected);
        }
    }

    /// Once each batch of which nothing was admitted was a call within a call:
    /// many that came under an old layout, one register's, took all of the stack.
    #[tokio::test]
    async fn however_many_are_refused_one_after_the_other_takes_no_more_stack() {
        let (events, _inbound) = tokio::sync::mpsc::channel(1);
        let config = config();
        let network = Arc::new(Network::new(config.info.id, events));
        let context = Context::new(config, ports(network));
        let (myself, _) = Actor::spawn(None, Registers, State::new(&context)).await.unwrap();
        let mut state = State::new(&context);
        state.waiting = (0..WAITING_MAX).map(|_| waiting("b/x", RegisterOp::Forget { ballot: ballot(1) })).collect();
        state.advance(&myself);
        assert!(state.waiting.is_empty() && !state.syncing);
        myself.stop(None);
    }

    #[test]
    fn what_is_forgotten_in_a_batch_is_the_horizon_of_what_comes_later_in_it() {
        let store = Kept::default();
        let held = RegisterEntry {
            key: RegisterKey::Object("b/x".parse().unwrap()),
            promised: ballot(7),
            accepted: ballot(5),
            value: None,
        };
        store.register_put(&[held.into()]).unwrap();
        let batch = vec![
            waiting("b/x", RegisterOp::Forget { ballot: ballot(5) }),
            waiting("b/y", RegisterOp::Prepare { ballot: ballot(7) }),
            waiting("b/y", RegisterOp::Prepare { ballot: ballot(8) }),
        ];
        let (changes, answers) = decide(&store, batch);
        let conflict = PrepareReply::Conflict { seen: ballot(7) };
        assert_eq!(answers[1].0, Ok(RegisterReply::Prepare(conflict)));
        assert_eq!((changes.forgotten.len(), changes.puts.len(), changes.horizon), (1, 1, ballot(7)));
        keep(&store, &changes).unwrap();
        assert_eq!(store.register_get(&changes.forgotten[0]).unwrap(), None);
    }
}
