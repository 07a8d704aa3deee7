//! Puts a peer together: the ports of the real world, and the runtime on them.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use shoal_engine::{Engine, EngineConfig};
use shoal_net::{NetConfig, Secret};
use shoal_ports::{Compute, Disk, Inbound, LocalFiles, Ports, Store, Transport};
use shoal_runtime::{Peer, PeerConfig, next_incarnation, remembered_role};
use shoal_store::{LocalDisk, LocalStore, StoreConfig};
use shoal_types::{PeerId, PeerInfo, Result, RoleChange, SecretText, Secrets};
use tokio::sync::mpsc;
use tracing::Instrument;

use crate::embedded::Nobody;
use crate::system::{OsRng, SystemClock, TokioSpawner};

/// How long the tasks of a peer that has stopped may take to end. What is
/// left then ends with the process.
const TASKS_END_TIME_MAX: Duration = Duration::from_secs(5);

/// How a peer reaches others.
pub(crate) enum Network {
    /// Over TCP, with whoever knows the secret.
    Mesh { identity: [u8; 32], secrets: Secrets, listen: Vec<SocketAddr>, advertise: Vec<String>, mdns: bool },
    /// Not at all.
    Alone(PeerId),
}

impl Network {
    pub(crate) fn peer(&self) -> PeerId {
        match self {
            Self::Mesh { identity, .. } => shoal_net::peer_id(identity),
            Self::Alone(peer) => *peer,
        }
    }

    fn secrets(&self) -> Secrets {
        match self {
            Self::Mesh { secrets, .. } => secrets.clone(),
            Self::Alone(_) => Secrets::first(SecretText::new("")),
        }
    }
}

/// What a peer is made of.
pub(crate) struct Parts {
    pub(crate) network: Network,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) engine: EngineConfig,
    /// Local files as tables: only where the peer is alone.
    pub(crate) files: Option<Arc<dyn LocalFiles>>,
    /// What the peer says of itself. Its id and addresses are filled in.
    pub(crate) info: PeerInfo,
    /// What of its part in keeping the data is given at this start.
    pub(crate) role: RoleChange,
    pub(crate) join: Vec<String>,
    /// Whether to form a new mesh at once where none is remembered.
    pub(crate) form: bool,
}

/// A peer that runs.
pub(crate) struct Running {
    pub(crate) peer: Peer,
    /// Where other peers reach it.
    pub(crate) addresses: Vec<String>,
    transport: Arc<dyn Transport>,
    spawner: Arc<TokioSpawner>,
}

impl Running {
    /// Starts the peer. What it logs is within a span with its short id.
    pub(crate) async fn start(parts: Parts) -> Result<Self> {
        let span = tracing::info_span!("peer", id = %parts.network.peer().short());
        start(parts, TokioSpawner::new(span.clone())).instrument(span).await
    }

    /// Says goodbye to the others, then ends everything.
    pub(crate) async fn stop(self) {
        self.peer.stop().await;
        self.transport.close().await;
        if tokio::time::timeout(TASKS_END_TIME_MAX, self.spawner.stop()).await.is_err() {
            tracing::warn!("some tasks did not end in time");
        }
    }
}

/// How a peer writes to its disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Writing {
    /// Whether it syncs what it acknowledges. Users' peers do.
    pub(crate) synced: bool,
    /// Whether large chunks go past the page cache.
    pub(crate) direct: bool,
}

impl Default for Writing {
    fn default() -> Self {
        Self { synced: true, direct: false }
    }
}

/// Opens a directory, which is then this process's alone.
pub(crate) fn open_disk(dir: &Path, writing: Writing) -> Result<Arc<dyn Disk>> {
    let disk = LocalDisk::open(dir)?;
    let disk = if writing.synced { disk } else { disk.unsynced() };
    Ok(Arc::new(if writing.direct { disk.direct() } else { disk }))
}

/// Opens a peer's store on its disk.
pub(crate) fn open_store(disk: Arc<dyn Disk>, peer: PeerId) -> Result<Arc<dyn Store>> {
    Ok(Arc::new(LocalStore::open(disk, StoreConfig::new(peer, OsRng::key()?))?))
}

async fn start(parts: Parts, spawner: TokioSpawner) -> Result<Running> {
    let id = parts.network.peer();
    let clock = SystemClock::new();
    let incarnation = next_incarnation(&*parts.store, &clock)?;
    let configured = PeerInfo { id, incarnation, ..parts.info };
    let mut info = remembered_role(&*parts.store, configured, &parts.role)?;
    let engine: Arc<dyn Compute> = Engine::new(parts.engine, id)?;
    let rng = Arc::new(OsRng::new()?);
    let secrets = parts.network.secrets();
    let (transport, inbound) = connect(parts.network, &info).await?;
    let addresses = transport.addresses();
    info.addresses = addresses.iter().take(PeerInfo::ADDRESSES_MAX).cloned().collect();
    let spawner = Arc::new(spawner);
    let ports = Ports {
        transport: transport.clone(),
        store: parts.store,
        compute: engine,
        clock: Arc::new(clock),
        rng,
        spawner: spawner.clone(),
        files: parts.files,
    };
    let mut config = PeerConfig::new(info);
    config.secrets = secrets;
    (config.join, config.form) = (parts.join, parts.form);
    match Peer::start(config, ports, inbound).await {
        Ok(peer) => Ok(Running { peer, addresses, transport, spawner }),
        Err(error) => {
            transport.close().await;
            Err(error)
        }
    }
}

async fn connect(network: Network, info: &PeerInfo) -> Result<(Arc<dyn Transport>, mpsc::Receiver<Inbound>)> {
    match network {
        Network::Mesh { identity, secrets, listen, advertise, mdns } => {
            let secret = Secret::from_text(secrets.current.reveal())?;
            let config = NetConfig { listen, advertise, mdns, ..NetConfig::new(identity, secret, info.clone()) };
            let (transport, inbound) = shoal_net::start(config).await?;
            transport.admit_by(&secrets)?;
            Ok((transport, inbound))
        }
        Network::Alone(peer) => Ok(Nobody::transport(peer)),
    }
}
