//! Waiting for a peer that may have stopped in the middle.
//!
//! What it is asked for takes as long as it takes. So when nothing has moved
//! for a while it is asked for its status beside, and given up only where that
//! does not come either: one that is stopped, or behind a dead machine, still
//! has its connections taken by the kernel.

use std::pin::pin;
use std::time::Duration;

use futures::future::{Either, select};
use reqwest::Method;

use super::{Client, ClientError, Result};

/// How long a peer may take to show that it is there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// Without a byte in either direction, before it is asked.
    pub(super) quiet: Duration,
    /// For its status, which it mostly has within milliseconds.
    pub(super) status: Duration,
}

/// Together less than [`ANSWER_TIME_MAX`](super::ANSWER_TIME_MAX), so that what
/// is the matter is told for small answers too.
impl Default for Patience {
    fn default() -> Self {
        Self { quiet: Duration::from_secs(20), status: Duration::from_secs(30) }
    }
}

impl Client {
    /// Waits for the next part of an answer while the peer is there.
    ///
    /// # Errors
    /// [`ClientError::Silent`] when it does not say that it is.
    pub(super) async fn attend<T>(&self, work: impl Future<Output = T>) -> Result<T> {
        self.attend_while(work, || 0).await
    }

    /// The same where bytes go the other way too, which `sent` counts.
    pub(super) async fn attend_while<T>(&self, work: impl Future<Output = T>, sent: impl Fn() -> u64) -> Result<T> {
        let mut work = pin!(work);
        loop {
            let before = sent();
            if let Ok(done) = tokio::time::timeout(self.patience.quiet, &mut work).await {
                return Ok(done);
            }
            if sent() != before {
                continue;
            }
            match select(work.as_mut(), pin!(self.is_silent())).await {
                Either::Left((done, _)) => return Ok(done),
                Either::Right((true, _)) if sent() == before => {
                    return Err(ClientError::Silent { address: self.address.clone() });
                }
                Either::Right(_) => {}
            }
        }
    }

    /// Whether the peer does not answer at all. One that refuses a connection
    /// has ended, or is about to: then what is waited for ends by itself.
    async fn is_silent(&self) -> bool {
        let status = self.request(Method::GET, self.url(&["status"])).timeout(self.patience.status).send();
        status.await.is_err_and(|error| error.is_timeout())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures::{StreamExt, stream};
    use shoal_runtime::PutCondition;
    use shoal_types::ObjectName;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    const QUIET: Duration = Duration::from_millis(100);

    /// A client of whoever `serve` makes of each connection.
    async fn client<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> Client
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = Client::new(&listener.local_addr().unwrap().to_string()).unwrap();
        client.patience = Patience { quiet: QUIET, status: 2 * QUIET };
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket));
            }
        });
        client
    }

    /// Takes what it is sent, and says nothing.
    async fn swallow(mut socket: TcpStream) {
        while socket.read(&mut [0; 1024]).await.is_ok_and(|bytes| bytes > 0) {}
    }

    /// Tells its status at once, and all else after several times as long as is waited.
    async fn be_slow(mut socket: TcpStream) {
        let mut head = [0; 4096];
        let bytes = socket.read(&mut head).await.unwrap();
        if !head[..bytes].starts_with(b"GET /v1/status") {
            tokio::time::sleep(8 * QUIET).await;
        }
        let _ = socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n[]").await;
    }

    fn name() -> ObjectName {
        "b/x".parse().unwrap()
    }

    /// Clients of a peer that was stopped waited for ever.
    #[tokio::test]
    async fn a_peer_that_takes_connections_and_says_nothing_is_given_up() {
        let client = client(swallow).await;
        let silent = ClientError::Silent { address: client.address().to_owned() };
        assert_eq!(client.get(&name()).await.unwrap_err(), silent);
        assert_eq!(client.jobs().await.unwrap_err(), silent);
        assert!(matches!(client.health(true).await, Err(error) if error == silent));
        let body = stream::iter([Ok(Bytes::from_static(b"x"))]);
        let put = client.put(&name(), None, PutCondition::Always, body).await.unwrap_err();
        assert!(
            put == silent
                && put.is_in_doubt()
                && !put.may_be_asked_again()
                && put.to_string().contains("does not answer"),
            "{put}"
        );
    }

    #[tokio::test]
    async fn who_is_slow_and_there_is_waited_for() {
        let client = client(be_slow).await;
        assert_eq!(client.jobs().await.unwrap(), []);
    }

    /// At the bound of a gateway's connections none is left to be asked on.
    #[tokio::test]
    async fn whoever_takes_bytes_is_there() {
        let client = client(swallow).await;
        let pieces = stream::iter(0..20).then(|_| async {
            tokio::time::sleep(QUIET / 2).await;
            Ok(Bytes::from_static(b"x"))
        });
        let begun = std::time::Instant::now();
        let put = client.put(&name(), None, PutCondition::Always, pieces).await.unwrap_err();
        assert!(matches!(put, ClientError::Silent { .. }) && begun.elapsed() > 10 * QUIET, "{put}");
    }
}
