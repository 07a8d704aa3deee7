use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use shoal_ports::{Flow, Inbound, Transport, TransportStats};
use shoal_types::wire::{FRAME_BYTES_MAX, GOSSIP_BYTES_MAX};
use shoal_types::{Error, PeerId, PeerInfo, Result, Secrets};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::admission::PROOFS;
use crate::calls::{self, RETRY_AFTER_MS, too_long};
use crate::driver::Driver;
use crate::link::Role;
use crate::shared::Shared;
use crate::{NetConfig, Secret, flows, identity};

/// How long it may take to connect to who is only looked for: less than a call
/// between peers, in which this is asked, may take.
const KNOCK_TIME_MAX: Duration = Duration::from_millis(1500);

/// Starts a peer's transport: listens, and hands out what comes from others.
///
/// An address that cannot be listened at is [`Error::Invalid`], naming it.
/// Must be called within a tokio runtime. Everything ends with
/// [`Transport::close`], or when the transport is dropped.
pub async fn start(config: NetConfig) -> Result<(Arc<dyn Transport>, mpsc::Receiver<Inbound>)> {
    let NetConfig { identity, secret, listen, advertise, info, mdns, limits, protocol } = config;
    for address in &advertise {
        if !crate::address::is_host_port(address) {
            return Err(Error::invalid(
                format!("'{address}' cannot be advertised: it is not HOST:PORT"),
                "for example 203.0.113.7:7000, or peer-1.example.org:7000",
            ));
        }
    }
    let key = identity::keypair(&identity)?;
    let local = identity::peer_id(&identity);
    let (inbound, events) = mpsc::channel(limits.inbound_queue.max(1));
    let (dial_queue, dials) = mpsc::channel(limits.dials.max(1));
    let (closes, close_queue) = mpsc::unbounded_channel();
    let shared = Arc::new(Shared::new(local, secret, protocol, limits, info, advertise, inbound, closes));
    let mut driver = Driver::new(&key, shared.clone(), mdns, dials, close_queue)?;
    driver.listen(&listen).await?;
    let (stop, stopped) = (CancellationToken::new(), CancellationToken::new());
    let done = stopped.clone().drop_guard();
    let running = driver.run(stop.clone());
    tokio::spawn(async move {
        running.await;
        drop(done);
    });
    let announcing = shared.clone().announce();
    let until = stop.clone();
    tokio::spawn(async move {
        until.run_until_cancelled(announcing).await;
    });
    Ok((Arc::new(Net { shared, dial_queue, stop, stopped }), events))
}

struct Net {
    shared: Arc<Shared>,
    dial_queue: mpsc::Sender<String>,
    stop: CancellationToken,
    stopped: CancellationToken,
}

impl Drop for Net {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Transport for Net {
    fn local(&self) -> PeerId {
        self.shared.local
    }

    fn addresses(&self) -> Vec<String> {
        self.shared.addresses()
    }

    fn admit_by(&self, secrets: &Secrets) -> Result<()> {
        let secrets = secrets.admitting().take(PROOFS).map(|text| Secret::from_text(text.reveal()));
        self.shared.admit_by(secrets.collect::<Result<_>>()?);
        Ok(())
    }

    fn present(&self, info: PeerInfo) {
        self.shared.present(info);
    }

    fn gossip(&self, to: PeerId, frame: Bytes) {
        if frame.len() > GOSSIP_BYTES_MAX {
            tracing::error!(bytes = frame.len(), "a gossip frame is too long, and was dropped");
        } else if to != self.shared.local {
            self.shared.gossip(to, frame);
        }
    }

    fn call(&self, to: PeerId, request: Bytes, limit: Duration) -> BoxFuture<'static, Result<Bytes>> {
        let shared = self.shared.clone();
        async move {
            if request.len() > FRAME_BYTES_MAX {
                return Err(too_long(request.len(), FRAME_BYTES_MAX, "request"));
            }
            let calling = async {
                let link = shared.link(to, Role::Control).await?;
                calls::call(&link, request).await
            };
            timeout(limit, calling).await.unwrap_or_else(|_| Err(calls::timeout(to, limit)))
        }
        .boxed()
    }

    fn open(&self, to: PeerId, header: Bytes) -> BoxFuture<'static, Result<Flow>> {
        let shared = self.shared.clone();
        async move {
            if header.len() > FRAME_BYTES_MAX {
                return Err(too_long(header.len(), FRAME_BYTES_MAX, "flow's header"));
            }
            let limit = shared.limits.open;
            let opening = async {
                // First the control link: without it there is no bulk link.
                shared.link(to, Role::Control).await?;
                let link = shared.link(to, Role::Bulk).await?;
                flows::open(&link, &header).await
            };
            // Nothing has been done for it yet, so this is no timeout of a request.
            timeout(limit, opening).await.unwrap_or_else(|_| {
                let why = format!("it did not take a flow within {} ms", limit.as_millis());
                Err(Error::Unreachable { peer: to, why })
            })
        }
        .boxed()
    }

    fn learn(&self, peer: PeerId, addresses: &[String]) {
        self.shared.links().learn(peer, addresses);
    }

    fn dial(&self, address: String) {
        if let Err(mpsc::error::TrySendError::Full(address)) = self.dial_queue.try_send(address) {
            let why = format!("too many dials are under way; try again in {RETRY_AFTER_MS} ms");
            self.shared.tell(Inbound::Refused { address, why });
        }
    }

    fn knock(&self, address: String) -> BoxFuture<'static, Result<()>> {
        let limit = self.shared.limits.connect.min(KNOCK_TIME_MAX);
        async move {
            if !crate::address::is_host_port(&address) {
                return Err(Error::invalid("it is not an address", "HOST:PORT is wanted"));
            }
            match timeout(limit, tokio::net::TcpStream::connect(address.as_str())).await {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(error)) => Err(Error::invalid(error.to_string(), "")),
                Err(_) => {
                    let ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
                    Err(Error::Timeout { what: "connecting".into(), ms })
                }
            }
        }
        .boxed()
    }

    fn forget(&self, peer: PeerId) {
        self.shared.forget(peer);
    }

    fn stats(&self) -> TransportStats {
        let counters = &self.shared.counters;
        TransportStats {
            sent_bytes: counters.sent_bytes.load(Relaxed),
            received_bytes: counters.received_bytes.load(Relaxed),
            refused: counters.refused.load(Relaxed),
        }
    }

    fn close(&self) -> BoxFuture<'static, ()> {
        self.stop.cancel();
        self.stopped.clone().cancelled_owned().boxed()
    }
}
