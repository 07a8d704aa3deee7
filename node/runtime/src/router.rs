//! What comes in from other peers goes to whom it concerns.

use std::sync::Arc;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use shoal_ports::Inbound;
use shoal_types::{Error, Gossip, Request, Response, wire};
use tokio::sync::mpsc;

use crate::context::{Actors, Context};
use crate::layouts::{LayoutMsg, Theirs};
use crate::members::MembersMsg;
use crate::secrets;
use crate::serve;

/// The transport has nothing more to say: it has closed.
pub(crate) struct Closed;

/// Pumps the transport's events; calls and flows are served beside it, each
/// by a task of its own (the transport bounds how many there are).
pub(crate) struct Router;

pub(crate) struct State {
    pub(crate) context: Arc<Context>,
    pub(crate) inbound: Option<mpsc::Receiver<Inbound>>,
}

impl Actor for Router {
    type Msg = Closed;
    type State = State;
    type Arguments = State;

    async fn pre_start(&self, myself: ActorRef<Closed>, mut state: State) -> Result<State, ActorProcessingErr> {
        if let Some(mut inbound) = state.inbound.take() {
            let context = state.context.clone();
            let actors = context.actors()?.clone();
            state.context.spawn("router", async move {
                while let Some(event) = inbound.recv().await {
                    route(&context, &actors, event);
                }
                let _ = myself.cast(Closed);
            });
        }
        Ok(state)
    }

    async fn handle(&self, myself: ActorRef<Closed>, _: Closed, _: &mut State) -> Result<(), ActorProcessingErr> {
        myself.stop(Some("the transport has closed".into()));
        Ok(())
    }
}

fn route(context: &Arc<Context>, actors: &Actors, event: Inbound) {
    // An actor that takes no messages has stopped, and the peer with it.
    let _ = match event {
        Inbound::Up { peer, info } => {
            secrets::greet(context, peer);
            actors.members.cast(MembersMsg::Up { peer, info })
        }
        Inbound::Down { peer } => actors.members.cast(MembersMsg::Down { peer }),
        Inbound::Refused { address, why } => actors.members.cast(MembersMsg::Refused { address, why }),
        Inbound::Found { address } => actors.members.cast(MembersMsg::Found { address }),
        Inbound::Gossip { from, frame } => match wire::decode::<Gossip>(&frame) {
            Ok(Gossip::Swim(packet)) => actors.members.cast(MembersMsg::Swim { from, packet }),
            Ok(Gossip::Dead { incarnation }) => actors.members.cast(MembersMsg::Dead { from, incarnation }),
            Ok(Gossip::Outdated { incarnation }) => actors.members.cast(MembersMsg::Outdated { from, incarnation }),
            Ok(Gossip::Leaving { incarnation }) => actors.members.cast(MembersMsg::Leaving { from, incarnation }),
            Ok(Gossip::Info(info)) => actors.members.cast(MembersMsg::Info { from, info }),
            Ok(Gossip::Layout { mesh, version, replicas }) => {
                let theirs = Theirs { mesh, replicas };
                let _ = actors.layouts.cast(LayoutMsg::Hint { from, theirs, version });
                return;
            }
            Ok(Gossip::Homeless) => {
                let _ = actors.members.cast(MembersMsg::Homeless(from));
                let _ = actors.layouts.cast(LayoutMsg::Homeless(from));
                return;
            }
            Err(error) => {
                tracing::warn!(%error, from = %from.short(), "gossip that is none");
                return;
            }
        },
        Inbound::Call { from, request, reply } => {
            let context = context.clone();
            context.clone().spawn("call", async move {
                let answer: Result<Response, Error> = match wire::decode::<Request>(&request) {
                    Ok(request) => serve::answer(&context, from, request).await,
                    Err(error) => Err(error),
                };
                match wire::encode(&answer) {
                    Ok(frame) => reply.send(frame),
                    Err(error) => tracing::error!(%error, "an answer does not encode"),
                }
            });
            return;
        }
        Inbound::Open { from, header, flow } => {
            context.spawn("flow", serve::flow(context.clone(), from, header, flow));
            return;
        }
    };
}
