//! What every part of one transport shares.

use std::net::SocketAddr;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use libp2p::swarm::ConnectionId;
use shoal_ports::Inbound;
use shoal_types::{Error, PeerId, PeerInfo, Result};
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::time::Instant;

use crate::admission::{Refusal, Refused};
use crate::link::{Link, Role};
use crate::links::{Due, Links, Want};
use crate::reports::Reports;
use crate::socket::Counters;
use crate::{Limits, Secret, address};

pub(crate) struct Shared {
    pub(crate) local: PeerId,
    pub(crate) protocol: u16,
    pub(crate) limits: Limits,
    pub(crate) counters: Arc<Counters>,
    /// Events for the runtime.
    pub(crate) inbound: mpsc::Sender<Inbound>,
    /// Room for flows opened by peers, all together.
    pub(crate) flow_room: Arc<Semaphore>,
    pub(crate) closes: mpsc::UnboundedSender<ConnectionId>,
    /// Tells the driver that somebody is to be dialed.
    pub(crate) dial_wanted: Notify,
    info: Mutex<PeerInfo>,
    /// Any of these admits; the first is the present one.
    secrets: Mutex<Vec<Secret>>,
    advertise: Vec<String>,
    listening: Mutex<Vec<SocketAddr>>,
    links: Mutex<Links>,
    unannounced: Notify,
    reports: Mutex<Reports>,
}

impl Shared {
    #[allow(clippy::too_many_arguments)] // Called once, where all of these are made.
    pub(crate) fn new(
        local: PeerId,
        secret: Secret,
        protocol: u16,
        limits: Limits,
        info: PeerInfo,
        advertise: Vec<String>,
        inbound: mpsc::Sender<Inbound>,
        closes: mpsc::UnboundedSender<ConnectionId>,
    ) -> Self {
        Self {
            local,
            protocol,
            counters: Arc::default(),
            inbound,
            flow_room: Arc::new(Semaphore::new(limits.flows)),
            closes,
            dial_wanted: Notify::new(),
            secrets: Mutex::new(vec![secret]),
            info: Mutex::new(PeerInfo { id: local, ..info }),
            advertise,
            listening: Mutex::default(),
            links: Mutex::new(Links::new(local, limits.clone())),
            unannounced: Notify::new(),
            reports: Mutex::default(),
            limits,
        }
    }

    /// Never held across an await, and nothing under it can panic halfway.
    pub(crate) fn links(&self) -> MutexGuard<'_, Links> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where others can reach this peer: what its owner says, then what it listens at.
    pub(crate) fn addresses(&self) -> Vec<String> {
        let listening = self.listening.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut addresses = self.advertise.clone();
        for address in address::presentable(listening) {
            let address = address.to_string();
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        addresses.truncate(PeerInfo::ADDRESSES_MAX);
        addresses
    }

    pub(crate) fn listens_at(&self, address: SocketAddr) {
        self.listening.lock().unwrap_or_else(PoisonError::into_inner).push(address);
    }

    pub(crate) fn listens_no_more_at(&self, address: SocketAddr) {
        self.listening.lock().unwrap_or_else(PoisonError::into_inner).retain(|known| *known != address);
    }

    /// What this peer says of itself, as of now.
    pub(crate) fn info(&self) -> PeerInfo {
        let info = self.info.lock().unwrap_or_else(PoisonError::into_inner).clone();
        PeerInfo { addresses: self.addresses(), ..info }
    }

    /// The secrets that admit now, the present one first.
    pub(crate) fn secrets(&self) -> Vec<Secret> {
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on these admit. Links that are there stay.
    pub(crate) fn admit_by(&self, secrets: Vec<Secret>) {
        *self.secrets.lock().unwrap_or_else(PoisonError::into_inner) = secrets;
    }

    pub(crate) fn present(&self, info: PeerInfo) {
        *self.info.lock().unwrap_or_else(PoisonError::into_inner) = PeerInfo { id: self.local, ..info };
    }

    /// A link of this role, dialing the peer if need be. Waits while one is
    /// being made, which ends by itself: dials and admission have deadlines.
    pub(crate) async fn link(&self, peer: PeerId, role: Role) -> Result<Arc<Link>> {
        if peer == self.local {
            return Err(Error::bug("a peer does not call itself over the network"));
        }
        let mut changed = None;
        loop {
            // Registered before looking, so that no change is missed.
            let notified = changed.as_ref().map(|changed: &Arc<Notify>| changed.clone().notified_owned());
            let mut notified = notified.map(Box::pin);
            if let Some(notified) = &mut notified {
                notified.as_mut().enable();
            }
            let want = self.links().want(peer, role, Instant::now());
            match (want, notified) {
                (Want::Link(link), _) => return Ok(link),
                (Want::No(why), _) => return Err(Error::Unreachable { peer, why }),
                (Want::Wait(now), notified) => {
                    self.dial_wanted.notify_one();
                    if let (Some(notified), true) =
                        (notified, changed.as_ref().is_some_and(|known| Arc::ptr_eq(known, &now)))
                    {
                        notified.await;
                    }
                    changed = Some(now);
                }
            }
        }
    }

    /// Sends a gossip frame if there is room for it; dials if there is no link.
    pub(crate) fn gossip(&self, peer: PeerId, frame: Bytes) {
        let mut links = self.links();
        match links.want(peer, Role::Control, Instant::now()) {
            Want::Link(link) => {
                if link.gossip.try_send(frame).is_err() {
                    tracing::trace!(peer = %peer.short(), "a gossip frame was dropped: the link lags");
                }
            }
            Want::Wait(_) => {
                links.park(peer, frame);
                self.dial_wanted.notify_one();
            }
            Want::No(why) => tracing::trace!(peer = %peer.short(), why, "a gossip frame was dropped"),
        }
    }

    pub(crate) fn claim(self: &Arc<Self>, peer: PeerId, role: Role, incarnation: u64) -> Result<Claim, Refusal> {
        self.links().claim(peer, role, incarnation)?;
        Ok(Claim { shared: self.clone(), peer, role })
    }

    /// Takes an admitted link in. Its tasks are started by its handler.
    pub(crate) fn register(&self, link: Arc<Link>) -> Result<Arc<Link>, Refusal> {
        let redundant = self.links().register(&link)?;
        tracing::debug!(?link, "admitted");
        if let Some(redundant) = redundant {
            redundant.retire();
        }
        self.unannounced.notify_one();
        self.dial_wanted.notify_one();
        Ok(link)
    }

    pub(crate) fn lost(&self, peer: PeerId, id: ConnectionId) {
        self.links().lost(peer, id);
        self.unannounced.notify_one();
        self.dial_wanted.notify_one();
    }

    pub(crate) fn forget(&self, peer: PeerId) {
        self.links().forget(peer);
        self.unannounced.notify_one();
    }

    pub(crate) fn due(&self) -> Vec<Due> {
        self.links().due(Instant::now())
    }

    /// Brings comings and goings to the runtime, in order and without loss,
    /// however it lags.
    pub(crate) async fn announce(self: Arc<Self>) {
        while let Ok(room) = self.inbound.reserve().await {
            let announcement = self.links().announce();
            match announcement {
                Some(announcement) => {
                    room.send(announcement.event);
                    for link in announcement.then {
                        link.cancel();
                    }
                }
                None => {
                    drop(room);
                    self.unannounced.notified().await;
                }
            }
        }
    }

    /// A connection from outside was not admitted.
    pub(crate) fn refused_inbound(&self, address: String, refused: &Refused) {
        self.counters.refused.fetch_add(1, Relaxed);
        self.complain(address, refused);
    }

    /// A dial ended without a link.
    pub(crate) fn dial_failed(&self, target: &Target, role: Role, address: &str, failure: &Failure) {
        if let Failure::Refused(_) = failure {
            self.counters.refused.fetch_add(1, Relaxed);
        }
        match target {
            // Somebody asked for exactly this address: the answer is never held back.
            Target::Address(asked) => {
                if asked.is_in_vain(!failure.is_news()) {
                    self.tell(Inbound::Refused { address: asked.address.clone(), why: failure.to_string() });
                }
            }
            Target::Peer(peer) => {
                self.links().dialed(*peer, role, Err(failure.to_string()), Instant::now());
                if let Failure::Refused(refused) = failure {
                    self.complain(address.to_string(), refused);
                }
            }
        }
    }

    pub(crate) fn dial_succeeded(&self, target: &Target, role: Role) {
        match target {
            Target::Address(asked) => drop(asked.is_in_vain(true)),
            Target::Peer(peer) => self.links().dialed(*peer, role, Ok(()), Instant::now()),
        }
    }

    fn complain(&self, address: String, refused: &Refused) {
        let why = refused.to_string();
        tracing::debug!(address, why, "not admitted");
        if refused.is_news()
            && self.reports.lock().unwrap_or_else(PoisonError::into_inner).is_fresh(&address, &why, Instant::now())
        {
            self.tell(Inbound::Refused { address, why });
        }
    }

    /// Tells the runtime what it can do without.
    pub(crate) fn tell(&self, event: Inbound) {
        if self.inbound.try_send(event).is_err() {
            tracing::debug!("an event was dropped: the runtime lags");
        }
    }
}

/// Whom a dial is to reach.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    Peer(PeerId),
    Address(Arc<Asked>),
}

/// An address that somebody asked to dial. Its name may lead to many
/// machines; that it led nowhere is told when the last of them has failed.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) address: String,
    /// Dials that have not ended.
    pub(crate) left: AtomicUsize,
    pub(crate) reached: AtomicBool,
}

impl Asked {
    /// One of the dials has ended. Whether all have, and none reached a peer.
    fn is_in_vain(&self, reached: bool) -> bool {
        self.reached.fetch_or(reached, SeqCst);
        self.left.fetch_sub(1, SeqCst) == 1 && !self.reached.load(SeqCst)
    }
}

/// Why a dial ended without a link.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("{0}")]
    NoConnection(String),
    #[error("that is this peer itself, or another with a copy of its data directory")]
    Myself,
    #[error("another peer is there")]
    SomebodyElse,
    #[error("{0}")]
    Refused(Refused),
}

impl Failure {
    fn is_news(&self) -> bool {
        match self {
            Self::NoConnection(_) | Self::Myself | Self::SomebodyElse => true,
            Self::Refused(refused) => refused.is_news(),
        }
    }
}

/// The right to go on with a dial; given back when dropped.
pub(crate) struct Claim {
    shared: Arc<Shared>,
    peer: PeerId,
    role: Role,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.shared.links().unclaim(self.peer, self.role);
    }
}
