//! Listening, serving, stopping.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use shoal_runtime::Peer;
use shoal_types::{Error, Result};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::listener::BoundedListener;
use crate::routes;

/// A gateway that listens and does not serve yet: the peer wants to know its
/// address before it starts. Connections that come early wait.
pub struct Gateway {
    listener: TcpListener,
    address: SocketAddr,
}

impl Gateway {
    /// Listens on `address`; port 0 takes a free one. Any address but a
    /// loopback one is refused, and so is a port in use.
    pub async fn bind(address: SocketAddr) -> Result<Self> {
        if !address.ip().is_loopback() {
            return Err(Error::invalid(
                format!("the gateway cannot listen on {address}: it has no credentials, and so serves loopback only"),
                format!(
                    "listen on 127.0.0.1:{port}; from another machine: ssh -L {port}:127.0.0.1:{port} HOST",
                    port = address.port()
                ),
            ));
        }
        let listener = TcpListener::bind(address).await.map_err(|error| {
            let hint = match error.kind() {
                ErrorKind::AddrInUse => {
                    "another peer may run here (shoal status); or take a free port: --gateway 127.0.0.1:0"
                }
                _ => "choose another address: --gateway 127.0.0.1:PORT",
            };
            Error::invalid(format!("the gateway cannot listen on {address}: {error}"), hint)
        })?;
        let address = listener
            .local_addr()
            .map_err(|error| Error::invalid(format!("the gateway's address {address} is unknown: {error}"), ""))?;
        Ok(Self { listener, address })
    }

    /// Where it listens, the port being the real one.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves `peer` until stopped.
    pub fn serve(self, peer: Peer) -> Serving {
        let (stop, stopped) = oneshot::channel::<()>();
        let app = routes::router(peer);
        let listener = BoundedListener::new(self.listener);
        let task = tokio::spawn(async move {
            let wait = async move {
                // Both a word and a dropped sender mean: stop.
                let _ = stopped.await;
            };
            if let Err(error) = axum::serve(listener, app).with_graceful_shutdown(wait).await {
                tracing::error!(%error, "the gateway failed");
            }
        });
        Serving { address: self.address, stop, task }
    }
}

/// A gateway that serves. Dropping it stops it without waiting.
pub struct Serving {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Serving {
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more requests, and waits at most `grace` for those under way.
    /// What is left then ends with the peer.
    pub async fn stop(self, grace: Duration) {
        let _ = self.stop.send(());
        let abort = self.task.abort_handle();
        if tokio::time::timeout(grace, self.task).await.is_err() {
            abort.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_that_others_could_reach_is_refused() {
        for address in ["0.0.0.0:0", "[::]:0", "10.0.0.1:7480"] {
            let error = Gateway::bind(address.parse().unwrap()).await.err().unwrap();
            assert!(error.to_string().contains("loopback only"), "{error}");
            assert!(error.hint().contains("ssh -L"), "{}", error.hint());
        }
    }

    #[tokio::test]
    async fn a_port_in_use_is_named_with_a_way_out() {
        let first = Gateway::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let error = Gateway::bind(first.address()).await.err().unwrap();
        assert!(error.to_string().contains(&first.address().to_string()), "{error}");
        assert!(error.hint().contains("--gateway"), "{}", error.hint());
    }
}
