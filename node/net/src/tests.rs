//! Real transports on real sockets of this machine.

mod admission;
mod hostile;
mod links;
mod traffic;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use shoal_ports::{Flow, Inbound, Transport};
use shoal_types::{PeerId, PeerInfo};
use tokio::sync::{Mutex, mpsc};
use tokio::time::timeout;

use crate::{Limits, NetConfig, Secret, start};

const SECRET: &str = "a secret that the tests share";

/// Nothing on one machine takes so long, however loaded it is.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the peer under test has heard, without what it answered by itself.
#[derive(Debug, PartialEq, Eq)]
enum Heard {
    Up(PeerId, u64),
    Down(PeerId),
    Gossip(PeerId, Bytes),
    Refused(String),
}

/// A transport, and a runtime that echoes.
struct Peer {
    id: PeerId,
    transport: Arc<dyn Transport>,
    heard: mpsc::UnboundedReceiver<Heard>,
    /// While it is held, nothing is taken from the queue but one event.
    gate: Arc<Mutex<()>>,
}

static SEEDS: AtomicU64 = AtomicU64::new(1);

fn config() -> NetConfig {
    let mut identity = [0; 32];
    identity[..8].copy_from_slice(&SEEDS.fetch_add(1, Relaxed).to_le_bytes());
    identity[8..12].copy_from_slice(&std::process::id().to_le_bytes());
    let info = PeerInfo {
        id: PeerId::from_bytes([0; 32]),
        name: "minnow".into(),
        zone: "tests".into(),
        weight: 100,
        addresses: Vec::new(),
        version: "0".into(),
        incarnation: 1,
        machine: 1,
        pid: 1,
        slots: 1,
        gateway: None,
        leaves: false,
        revision: 0,
        mesh: None,
        replicas: None,
    };
    let mut config = NetConfig::new(identity, Secret::from_text(SECRET).unwrap(), info);
    config.listen = vec!["127.0.0.1:0".parse().unwrap()];
    // Tests wait for the slowest machine, not for what an operator would.
    config.limits = Limits {
        connect: Duration::from_secs(10),
        handshake: Duration::from_secs(20),
        admission: Duration::from_secs(20),
        open: Duration::from_secs(20),
        ..Limits::default()
    };
    config
}

async fn peer() -> Peer {
    peer_of(config()).await
}

async fn peer_of(config: NetConfig) -> Peer {
    let (transport, mut inbound) = start(config).await.unwrap();
    let (tell, heard) = mpsc::unbounded_channel();
    let gate = Arc::new(Mutex::new(()));
    let open = gate.clone();
    tokio::spawn(async move {
        while let Some(event) = inbound.recv().await {
            let _open = open.lock().await;
            let _ = match event {
                Inbound::Up { peer, info } => tell.send(Heard::Up(peer, info.incarnation)),
                Inbound::Down { peer } => tell.send(Heard::Down(peer)),
                Inbound::Gossip { from, frame } => tell.send(Heard::Gossip(from, frame)),
                Inbound::Refused { why, .. } => tell.send(Heard::Refused(why)),
                Inbound::Found { .. } => Ok(()),
                Inbound::Call { request, reply, .. } => {
                    tokio::spawn(answer(request, reply));
                    Ok(())
                }
                Inbound::Open { header, flow, .. } => {
                    tokio::spawn(serve(header, flow));
                    Ok(())
                }
            };
        }
    });
    Peer { id: transport.local(), transport, heard, gate }
}

/// Echoes; `slow...` after a while, `never...` not at all.
async fn answer(request: Bytes, reply: shoal_ports::Reply) {
    if request.starts_with(b"slow") {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    if request.starts_with(b"never") {
        std::future::pending::<()>().await;
    }
    if !request.starts_with(b"drop") {
        reply.send(request);
    }
}

/// `echo` sends back each frame; `hold` reads nothing; `deaf` drops the
/// reader and then sends one frame; `break` drops the writer unfinished.
async fn serve(header: Bytes, flow: Flow) {
    let Flow { mut writer, mut reader } = flow;
    match &header[..] {
        b"echo" => {
            while let Ok(Some(frame)) = reader.next().await {
                if writer.send(frame).await.is_err() {
                    return;
                }
            }
            let _ = writer.finish().await;
        }
        b"hold" => std::future::pending::<()>().await,
        b"deaf" => {
            drop(reader);
            writer.send(Bytes::from_static(b"still here")).await.unwrap();
            writer.finish().await.unwrap();
        }
        b"break" => {
            writer.send(Bytes::from_static(b"one")).await.unwrap();
            drop(writer);
            while let Ok(Some(_)) = reader.next().await {}
        }
        other => panic!("no such flow: {other:?}"),
    }
}

impl Peer {
    fn address(&self) -> String {
        self.transport.addresses()[0].clone()
    }

    fn dial(&self, other: &Peer) {
        self.transport.dial(other.address());
    }

    fn learn(&self, other: &Peer) {
        self.transport.learn(other.id, &[other.address()]);
    }

    async fn next(&mut self) -> Heard {
        timeout(PATIENCE, self.heard.recv()).await.expect("something was to be heard").unwrap()
    }

    /// Asserts that nothing more is heard for a while.
    async fn hears_nothing(&mut self, during: Duration) {
        if let Ok(heard) = timeout(during, self.heard.recv()).await {
            panic!("nothing was to be heard, but {heard:?}");
        }
    }

    async fn call(&self, other: &Peer, request: impl Into<Bytes>) -> shoal_types::Result<Bytes> {
        self.transport.call(other.id, request.into(), PATIENCE).await
    }

    async fn close(self) {
        timeout(PATIENCE, self.transport.close()).await.expect("it was to stop");
    }
}

/// Two linked peers that have both heard of it.
async fn pair() -> (Peer, Peer) {
    let (mut a, mut b) = (peer().await, peer().await);
    a.dial(&b);
    assert_eq!(a.next().await, Heard::Up(b.id, 1));
    assert_eq!(b.next().await, Heard::Up(a.id, 1));
    (a, b)
}
