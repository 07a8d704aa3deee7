//! The root of a peer's actors: they run together or not at all.

use std::sync::Arc;

use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, SupervisionEvent, call};
use shoal_ports::{Inbound, TaskHandle};
use shoal_types::Error;
use tokio::sync::{mpsc, watch};

use crate::collect;
use crate::context::{Actors, Context};
use crate::disk;
use crate::history;
use crate::layouts::{self, LayoutMsg, Layouts};
use crate::members::{self, Members, MembersMsg};
use crate::registers::{self, Registers};
use crate::replicate;
use crate::router::{self, Router};
use crate::scrub;
use crate::secrets;
use crate::surplus;
use crate::worker::{self, Worker};

/// Why a peer stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stopped {
    Asked,
    /// It left the mesh, as was wished; others keep its data.
    Left,
    /// It was started with something that its mesh does not have.
    Refused(Error),
    /// Something in it broke, or its disk or network did.
    Failed(String),
}

pub(crate) enum SupervisorMsg {
    Stop,
    Left,
    /// The mesh that is there is not one that it was started for.
    Refused(Error),
    /// What the peer keeps is not there any more: why.
    DiskGone(String),
}

/// Starts the core actors in the order in which they need each other, and
/// stops them in the opposite one. Should one of them fail, the peer stops
/// and says why: there is no half-dead peer. A job's coordinator that fails
/// ends that job only.
pub(crate) struct Supervisor;

pub(crate) struct Start {
    pub(crate) context: Arc<Context>,
    pub(crate) inbound: mpsc::Receiver<Inbound>,
    pub(crate) stopped: watch::Sender<Option<Stopped>>,
}

pub(crate) struct State {
    context: Arc<Context>,
    stopped: watch::Sender<Option<Stopped>>,
    /// In the order in which they were started.
    children: Vec<(&'static str, ActorCell)>,
    /// What goes on in the background: bringing what the peer holds to its
    /// owners, looking whether it and its disk are whole, and changing the secret.
    background: [TaskHandle; 9],
    reason: Stopped,
}

impl Actor for Supervisor {
    type Msg = SupervisorMsg;
    type State = State;
    type Arguments = Start;

    async fn pre_start(&self, myself: ActorRef<SupervisorMsg>, start: Start) -> Result<State, ActorProcessingErr> {
        let Start { context, inbound, stopped } = start;
        let supervisor = myself.get_cell();
        let link = || supervisor.clone();
        let members_state = members::State::load(&context).await?;
        let layouts_state = layouts::State::load(&context).await?;
        let (registers, _) = Actor::spawn_linked(None, Registers, registers::State::new(&context), link()).await?;
        let (worker, _) = Actor::spawn_linked(None, Worker, worker::State::new(&context), link()).await?;
        // Members and layouts speak to each other: entered before they start.
        let (members, members_started) =
            ractor::ActorRuntime::spawn_linked_instant(None, Members, members_state, link())?;
        let (layouts, layouts_started) =
            ractor::ActorRuntime::spawn_linked_instant(None, Layouts, layouts_state, link())?;
        let actors = Actors {
            members: members.clone(),
            layouts: layouts.clone(),
            registers: registers.clone(),
            worker: worker.clone(),
            supervisor: myself.clone(),
        };
        if context.actors.set(actors).is_err() {
            return Err("the actors of a peer are started once".into());
        }
        members_started.await??;
        layouts_started.await??;
        call!(layouts, LayoutMsg::Start)??;
        let state = router::State { context: context.clone(), inbound: Some(inbound) };
        let (router, _) = Actor::spawn_linked(None, Router, state, link()).await?;
        let children = vec![
            ("registers", registers.get_cell()),
            ("worker", worker.get_cell()),
            ("members", members.get_cell()),
            ("layouts", layouts.get_cell()),
            ("router", router.get_cell()),
        ];
        let background = [
            context.spawn("replicate", replicate::run(context.clone())),
            context.spawn("surplus", surplus::run(context.clone())),
            context.spawn("collect", collect::run(context.clone())),
            context.spawn("history", history::expiry::run(context.clone())),
            context.spawn("forget", registers::forget(context.clone())),
            context.spawn("compare", registers::compare(context.clone())),
            context.spawn("scrub", scrub::run(context.clone())),
            context.spawn("disk", disk::watch(context.clone())),
            context.spawn("secrets", secrets::run(context.clone())),
        ];
        Ok(State { context, stopped, children, background, reason: Stopped::Asked })
    }

    async fn handle(
        &self,
        myself: ActorRef<SupervisorMsg>,
        message: SupervisorMsg,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            SupervisorMsg::Stop => myself.stop(None),
            SupervisorMsg::Left => {
                state.reason = Stopped::Left;
                // One that does not answer has stopped already.
                let _ = call!(state.context.actors()?.members, MembersMsg::Leave);
                myself.stop(None);
            }
            SupervisorMsg::Refused(why) => {
                tracing::error!(%why, "it does not join, and stops");
                state.reason = Stopped::Refused(why);
                // One that does not answer has stopped already.
                let _ = call!(state.context.actors()?.members, MembersMsg::Leave);
                myself.stop(None);
            }
            SupervisorMsg::DiskGone(why) => {
                tracing::error!(%why, "the data directory is gone, the peer stops");
                state.reason = Stopped::Failed(format!("its data directory is gone: {why}"));
                myself.stop(None);
            }
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<SupervisorMsg>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let (who, why) = match event {
            SupervisionEvent::ActorFailed(who, error) => (who, error.to_string()),
            SupervisionEvent::ActorTerminated(who, _, reason) => (who, reason.unwrap_or_else(|| "it stopped".into())),
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => return Ok(()),
        };
        match state.children.iter().find(|(_, cell)| cell.get_id() == who.get_id()) {
            Some((name, _)) => {
                tracing::error!(actor = name, %why, "an actor failed, the peer stops");
                state.reason = Stopped::Failed(format!("its {name} actor failed: {why}"));
                myself.stop(None);
            }
            None => {
                if state.context.jobs.crashed(who.get_id()) {
                    tracing::error!(%why, "a job's coordinator failed");
                }
            }
        }
        Ok(())
    }

    async fn post_stop(&self, _: ActorRef<SupervisorMsg>, state: &mut State) -> Result<(), ActorProcessingErr> {
        state.background.iter().for_each(TaskHandle::abort);
        // Ractor would stop them too, but in a random order.
        for coordinator in state.context.jobs.coordinators() {
            coordinator.stop(None);
        }
        for (_, child) in state.children.iter().rev() {
            child.stop(None);
        }
        state.context.ports.transport.close().await;
        state.stopped.send_replace(Some(state.reason.clone()));
        Ok(())
    }
}
