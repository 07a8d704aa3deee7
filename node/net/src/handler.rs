//! One connection, from its admission to its end.
//!
//! Runs in the connection's own task. It admits, opens the streams that the
//! link asks for, and hands inbound ones to tasks of their own: no byte of
//! theirs passes here.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Relaxed};
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::BoxFuture;
use libp2p::core::UpgradeInfo;
use libp2p::core::upgrade::{InboundUpgrade, OutboundUpgrade};
use libp2p::swarm::handler::{
    ConnectionEvent, ConnectionHandler, ConnectionHandlerEvent, FullyNegotiatedInbound, FullyNegotiatedOutbound,
};
use libp2p::swarm::{ConnectionId, SubstreamProtocol};
use libp2p::{Stream, StreamProtocol};
use shoal_types::PeerId;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Sleep, sleep};

use crate::admission::{Refusal, Refused, Rejected, Terms, dial, listen};
use crate::link::{ADMIT, BACK, CALLS, Connection, FLOW, GOSSIP, Link, OPENS_MAX, OpenStream, Role};
use crate::shared::{Failure, Shared, Target};
use crate::{calls, flows, gossip};

/// Streams of a peer that has proved itself and is not yet linked here.
const PARKED_MAX: usize = 64;

pub(crate) struct Handler {
    shared: Arc<Shared>,
    id: ConnectionId,
    address: String,
    phase: Phase,
    deadline: Pin<Box<Sleep>>,
    attempt: Option<Attempt>,
    terms: Option<Terms>,
    accepting: Arc<AtomicBool>,
    opens: mpsc::Receiver<OpenStream>,
    parked: VecDeque<(StreamProtocol, Stream)>,
}

enum Phase {
    /// The dialer is to open the admission stream.
    Fresh,
    /// The admission stream is on its way.
    Waiting,
    Admitting(BoxFuture<'static, Result<Arc<Link>, Rejected>>),
    Linked(Arc<Link>),
    /// It was refused, and the other side is being told.
    Parting(BoxFuture<'static, ()>),
    /// It is being closed.
    Over,
}

/// What an outbound connection was made for.
#[derive(Debug, Clone)]
pub(crate) struct Intent {
    pub(crate) role: Role,
    pub(crate) target: Target,
}

/// A dial whose outcome somebody waits for. Dropped without one, it failed.
struct Attempt {
    shared: Arc<Shared>,
    intent: Intent,
    peer: PeerId,
    address: String,
    ended: bool,
}

impl Attempt {
    fn succeeded(mut self) {
        self.ended = true;
        self.shared.dial_succeeded(&self.intent.target, self.intent.role);
    }

    fn failed(mut self, refused: Refused) {
        self.end(Failure::Refused(refused));
    }

    fn end(&mut self, failure: Failure) {
        if !std::mem::replace(&mut self.ended, true) {
            self.shared.dial_failed(&self.intent.target, self.intent.role, &self.address, &failure);
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        // Of several dials to one peer all but one come to nothing, and not
        // each hears why.
        let refused = if self.shared.links().is_up(self.peer) {
            Refused::There(Refusal::Duplicate)
        } else {
            Refused::Lost("the other side closed it".into())
        };
        self.end(Failure::Refused(refused));
    }
}

impl Handler {
    pub(crate) fn new(
        shared: Arc<Shared>,
        id: ConnectionId,
        peer: PeerId,
        address: String,
        intent: Option<Intent>,
    ) -> Self {
        let (opens_sender, opens) = mpsc::channel(OPENS_MAX);
        let connection = Connection {
            id,
            peer,
            dialed: intent.is_some(),
            address: address.clone(),
            opens: opens_sender,
            closes: shared.closes.clone(),
        };
        let accepting = Arc::new(AtomicBool::new(false));
        let limits = shared.limits.clone();
        let terms = Terms {
            shared: shared.clone(),
            peer,
            accepting: accepting.clone(),
            link: Box::new(move |role, info| Link::new(connection, role, info, &limits)),
        };
        Self {
            phase: if intent.is_some() { Phase::Fresh } else { Phase::Waiting },
            deadline: Box::pin(sleep(shared.limits.admission)),
            attempt: intent.map(|intent| Attempt {
                shared: shared.clone(),
                intent,
                peer,
                address: address.clone(),
                ended: false,
            }),
            terms: Some(terms),
            accepting,
            opens,
            parked: VecDeque::new(),
            shared,
            id,
            address,
        }
    }

    fn is_dialer(&self) -> bool {
        self.attempt.is_some()
    }

    fn linked(&mut self, link: Arc<Link>) {
        if let Some(attempt) = self.attempt.take() {
            attempt.succeeded();
        }
        if let Some(feeds) = link.take_feeds()
            && link.role == Role::Control
        {
            link.spawn(gossip::send(link.clone(), feeds.gossip));
            link.spawn(calls::run(link.clone(), feeds.requests));
        }
        for (protocol, stream) in std::mem::take(&mut self.parked) {
            self.serve(&link, &protocol, stream);
        }
        self.phase = Phase::Linked(link);
    }

    fn rejected(&mut self, rejected: Rejected) {
        match self.attempt.take() {
            Some(attempt) => attempt.failed(rejected.refused.clone()),
            None => self.shared.refused_inbound(self.address.clone(), &rejected.refused),
        }
        self.parked.clear();
        // The other side may close before this has ended, so it comes last.
        self.phase = Phase::Parting(rejected.told().boxed());
    }

    fn over(&mut self) {
        self.phase = Phase::Over;
        // Nobody listens when the transport has stopped; then it is closed.
        let _ = self.shared.closes.send(self.id);
    }

    /// Gives an inbound stream to a task, once the runtime knows the peer.
    fn serve(&self, link: &Arc<Link>, protocol: &StreamProtocol, stream: Stream) {
        let shared = self.shared.clone();
        let serving = link.clone();
        let work: BoxFuture<'static, ()> = match link.role {
            Role::Control if *protocol == GOSSIP => gossip::receive(shared, serving, stream).boxed(),
            Role::Control if *protocol == CALLS => calls::serve(shared, serving, stream).boxed(),
            Role::Bulk if *protocol == FLOW => flows::accept(shared, serving, stream).boxed(),
            Role::Bulk if *protocol == BACK => flows::accept_back(serving, stream).boxed(),
            // Not on this link: dropping it resets it.
            Role::Control | Role::Bulk => return,
        };
        let announced = link.announced.clone();
        link.spawn(async move {
            announced.cancelled().await;
            work.await;
        });
    }

    fn on_inbound(&mut self, protocol: StreamProtocol, stream: Stream) {
        match &self.phase {
            Phase::Waiting if protocol == ADMIT && !self.is_dialer() => {
                if let Some(terms) = self.terms.take() {
                    self.phase = Phase::Admitting(listen(stream, terms).boxed());
                }
            }
            Phase::Linked(link) if protocol != ADMIT => self.serve(&link.clone(), &protocol, stream),
            Phase::Admitting(_) if self.accepting.load(Acquire) && self.parked.len() < PARKED_MAX => {
                self.parked.push_back((protocol, stream));
            }
            // Out of turn: dropping it resets it.
            Phase::Fresh
            | Phase::Waiting
            | Phase::Admitting(_)
            | Phase::Linked(_)
            | Phase::Parting(_)
            | Phase::Over => {}
        }
    }

    fn on_outbound(&mut self, stream: Stream, wanted: Wanted) {
        match wanted {
            Wanted::Admission => {
                if let (Some(terms), Some(attempt)) = (self.terms.take(), &self.attempt) {
                    self.phase = Phase::Admitting(dial(stream, attempt.intent.role, terms).boxed());
                }
            }
            // Whoever wanted it may have given up; dropping it resets it.
            Wanted::Link(opened) => drop(opened.send(Ok(stream))),
        }
    }
}

impl Drop for Handler {
    fn drop(&mut self) {
        let unadmitted = matches!(self.phase, Phase::Waiting | Phase::Admitting(_));
        // A dial that ends here is told of by its attempt.
        if unadmitted && self.attempt.is_none() {
            self.shared.counters.refused.fetch_add(1, Relaxed);
        }
    }
}

/// What an outbound stream is for.
pub(crate) enum Wanted {
    Admission,
    Link(oneshot::Sender<Result<Stream, String>>),
}

type Event = ConnectionHandlerEvent<Offer, Wanted, Infallible>;

impl ConnectionHandler for Handler {
    type FromBehaviour = Infallible;
    type ToBehaviour = Infallible;
    type InboundProtocol = Offer;
    type OutboundProtocol = Offer;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = Wanted;

    fn listen_protocol(&self) -> SubstreamProtocol<Offer> {
        let protocols = if self.accepting.load(Acquire) {
            vec![GOSSIP, CALLS, FLOW, BACK]
        } else if !self.is_dialer() && matches!(self.phase, Phase::Waiting) {
            vec![ADMIT]
        } else {
            Vec::new()
        };
        SubstreamProtocol::new(Offer(protocols), ())
    }

    fn connection_keep_alive(&self) -> bool {
        // Connections are closed by decision, never for being idle.
        true
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        let open = |protocol, wanted| {
            Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest {
                protocol: SubstreamProtocol::new(Offer(vec![protocol]), wanted),
            })
        };
        if let Phase::Fresh = self.phase {
            self.phase = Phase::Waiting;
            return open(ADMIT, Wanted::Admission);
        }
        if let Phase::Admitting(admitting) = &mut self.phase
            && let Poll::Ready(outcome) = admitting.poll_unpin(cx)
        {
            match outcome {
                Ok(link) => self.linked(link),
                Err(rejected) => self.rejected(rejected),
            }
        }
        if let Phase::Parting(parting) = &mut self.phase
            && parting.poll_unpin(cx).is_ready()
        {
            self.over();
        }
        match &self.phase {
            Phase::Linked(_) => {
                if let Poll::Ready(Some(OpenStream { protocol, opened })) = self.opens.poll_recv(cx) {
                    return open(protocol, Wanted::Link(opened));
                }
            }
            Phase::Fresh | Phase::Waiting | Phase::Admitting(_) => {
                if self.deadline.as_mut().poll(cx).is_ready() {
                    self.rejected(Refused::Silent.into());
                    // It has not listened so far.
                    self.over();
                }
            }
            Phase::Parting(_) | Phase::Over => {}
        }
        Poll::Pending
    }

    /// The connection has closed, perhaps right after saying why.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Option<Infallible>> {
        if let Phase::Admitting(admitting) = &mut self.phase
            && let Poll::Ready(outcome) = admitting.poll_unpin(cx)
        {
            match outcome {
                Ok(link) => link.close(),
                Err(rejected) => self.rejected(rejected),
            }
            self.phase = Phase::Over;
        }
        Poll::Ready(None)
    }

    fn on_behaviour_event(&mut self, event: Infallible) {
        match event {}
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<'_, Offer, Offer, (), Wanted>) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol: (stream, protocol), ..
            }) => self.on_inbound(protocol, stream),
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound { protocol: (stream, _), info }) => {
                self.on_outbound(stream, info)
            }
            ConnectionEvent::DialUpgradeError(failed) => match failed.info {
                Wanted::Admission => {
                    self.rejected(Refused::Lost(failed.error.to_string()).into());
                    self.over();
                }
                Wanted::Link(opened) => drop(opened.send(Err(failed.error.to_string()))),
            },
            // Nothing to do for the rest, and for what later versions add.
            _ => {}
        }
    }
}

/// Protocols that a stream may be for.
#[derive(Debug, Clone)]
pub(crate) struct Offer(Vec<StreamProtocol>);

impl UpgradeInfo for Offer {
    type Info = StreamProtocol;
    type InfoIter = std::vec::IntoIter<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        self.0.clone().into_iter()
    }
}

impl InboundUpgrade<Stream> for Offer {
    type Output = (Stream, StreamProtocol);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_inbound(self, stream: Stream, protocol: StreamProtocol) -> Self::Future {
        ready(Ok((stream, protocol)))
    }
}

impl OutboundUpgrade<Stream> for Offer {
    type Output = (Stream, StreamProtocol);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_outbound(self, stream: Stream, protocol: StreamProtocol) -> Self::Future {
        ready(Ok((stream, protocol)))
    }
}
