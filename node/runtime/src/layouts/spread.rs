//! How peers learn of the layouts of others: hints, questions, and a word to all.

use std::sync::Arc;

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use ractor::ActorRef;
use shoal_types::{Gossip, Layout, PeerId, Request, Response, wire};

use super::{LayoutMsg, State};
use crate::context::Context;

/// Layouts asked for at once.
const FETCHES: u32 = 3;

/// Peers told of a new layout at once.
const SPREADS: usize = 32;

impl State {
    pub(super) fn hint(&self, to: PeerId) {
        let known = self.layout.as_ref();
        let hint = known.map_or(Gossip::Homeless, |known| Gossip::Layout {
            mesh: known.mesh,
            version: known.version,
            replicas: known.replicas,
        });
        if let Ok(frame) = wire::encode(&hint) {
            self.context.ports.transport.gossip(to, frame);
        }
    }

    /// Tells one peer at random which layout is known here, or that none is.
    pub(super) fn hint_somebody(&self) {
        let mut point = [0; 32];
        self.context.ports.rng.fill(&mut point);
        let point = PeerId::from_bytes(point);
        // Ids are spread evenly: whoever comes after any point may be anybody.
        let somebody = self.context.members.look(|members| {
            let mut from_there = members.entries.range(point..).chain(members.entries.range(..point));
            from_there.find(|(_, entry)| entry.linked).map(|(peer, _)| *peer)
        });
        if let Some(peer) = somebody {
            self.hint(peer);
        }
    }

    /// Asks a peer that knows a later version for it. While some are being
    /// asked, that is enough: there will be more hints.
    pub(super) fn fetch(&mut self, myself: &ActorRef<LayoutMsg>, from: PeerId) {
        if self.fetching >= FETCHES {
            return;
        }
        self.fetching += 1;
        let (context, myself) = (self.context.clone(), myself.clone());
        self.context.spawn("layout fetch", async move {
            let layout = match context.call(from, Request::LayoutGet).await {
                Ok(Response::Layout(layout)) => layout,
                Ok(_) => None,
                Err(error) => {
                    tracing::debug!(%error, "no layout from a peer that has one");
                    None
                }
            };
            let _ = myself.cast(LayoutMsg::Fetched(layout));
        });
    }

    /// Tells everyone whom it concerns: members, newcomers and those who were
    /// in it `before`; those first who are there.
    pub(super) fn spread(&self, layout: &Layout, before: Option<&Layout>) {
        let Ok(frame) = wire::encode(&Request::LayoutLearn(layout.clone())) else {
            return;
        };
        let (live, away): (Vec<PeerId>, Vec<PeerId>) = self.context.members.look(|table| {
            let dropped = before.into_iter().flat_map(Layout::everyone).filter(|peer| !layout.involves(*peer));
            // Of those who are gone and away there are no more to tell.
            let dropped = dropped.filter(|peer| table.is_live(*peer));
            let others = layout.everyone().into_iter().chain(dropped).filter(|peer| *peer != self.context.me);
            others.partition(|peer| table.is_live(*peer))
        });
        let context = self.context.clone();
        self.context.spawn("layout spread", async move {
            told(&context, &frame, live.into_iter().chain(away)).for_each(|_| std::future::ready(())).await;
        });
    }
}

/// Tells peers a layout, and gives those by whom it is known then. The frame
/// is the request to learn it.
pub(super) fn told(
    context: &Arc<Context>,
    frame: &Bytes,
    peers: impl IntoIterator<Item = PeerId>,
) -> impl Stream<Item = PeerId> {
    let tell = move |peer: PeerId| {
        let (context, frame) = (context.clone(), frame.clone());
        async move {
            let told = context.call_frame(peer, frame).await;
            told.inspect_err(|error| tracing::debug!(%error, peer = %peer.short(), "told no layout"))
                .is_ok()
                .then_some(peer)
        }
    };
    stream::iter(peers).map(tell).buffer_unordered(SPREADS).filter_map(std::future::ready)
}
