//! What strangers may throw at the port.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use libp2p::Transport as _;
use libp2p::core::Endpoint;
use libp2p::core::muxing::{StreamMuxerBox, StreamMuxerExt};
use libp2p::core::transport::{DialOpts, PortUse};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Heard, PATIENCE, Peer, config, peer, peer_of};
use crate::Limits;
use crate::address::to_multiaddr;

#[tokio::test(flavor = "multi_thread")]
async fn garbage_costs_its_sender_the_connection_and_nobody_else_anything() {
    let mut short = config();
    short.limits.handshake = Duration::from_secs(5);
    let (mut a, mut b) = (peer_of(short).await, peer().await);
    let mut random = vec![0u8; 100_000];
    let mut state = 88172645463325252u64;
    for byte in &mut random {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        *byte = state as u8;
    }
    let halfway = b"\x13/multistream/1.0.0\n\x0b/tls/1.0.0\n\x16\x03\x01\xff\xff".to_vec();
    let cases: [&[u8]; 6] =
        [&random, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"", &[0xff; 64], b"\x13/multistream/1.0.0\n", &halfway];
    let mut closed = Vec::new();
    for case in cases {
        for _ in 0..5 {
            let mut stream = TcpStream::connect(a.address()).await.unwrap();
            // It may close before all is written.
            let _ = stream.write_all(case).await;
            closed.push(stream);
        }
    }
    // While those are still open, peers come and go as ever.
    b.dial(&a);
    assert_eq!(b.next().await, Heard::Up(a.id, 1));
    assert_eq!(a.next().await, Heard::Up(b.id, 1));
    b.call(&a, "hello").await.unwrap();
    for mut stream in closed {
        let end = async { while matches!(stream.read(&mut [0; 1024]).await, Ok(bytes) if bytes > 0) {} };
        timeout(PATIENCE, end).await.expect("a silent stranger was to be turned away");
    }
    b.call(&a, "hello again").await.unwrap();
    assert!(a.transport.stats().refused >= 20, "{:?}", a.transport.stats());
    a.hears_nothing(Duration::from_millis(100)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_strangers_than_may_wait_do_not_stop_the_mesh() {
    let mut few = config();
    few.limits.pending_connections = 4;
    few.limits.handshake = Duration::from_secs(1);
    let (a, mut b) = (peer_of(few).await, peer().await);
    let mut strangers = Vec::new();
    for _ in 0..40 {
        strangers.push(TcpStream::connect(a.address()).await.unwrap());
    }
    let again = async {
        loop {
            b.dial(&a);
            match b.next().await {
                Heard::Up(peer, _) if peer == a.id => return,
                _ => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    };
    timeout(PATIENCE, again).await.unwrap();
}

/// A stranger who speaks TLS and yamux, and then what it likes.
struct Stranger {
    muxer: StreamMuxerBox,
}

impl Stranger {
    async fn dial(peer: &Peer) -> Self {
        let key = crate::identity::keypair(&[200; 32]).unwrap();
        let mut transport = crate::socket::transport(&key, &Limits::default(), Arc::default()).unwrap();
        let address = to_multiaddr(peer.address().parse().unwrap());
        let opts = DialOpts { role: Endpoint::Dialer, port_use: PortUse::New };
        let (_, muxer) = transport.dial(address, opts).unwrap().await.unwrap();
        Self { muxer }
    }

    /// Opens a stream, says `words`, and gives what comes back until it ends.
    async fn say(&mut self, words: &[u8]) -> Vec<u8> {
        let talking = poll_fn(|cx| self.muxer.poll_outbound_unpin(cx));
        let mut stream = talking.await.unwrap();
        let mut heard = Vec::new();
        let talk = async {
            let _ = futures::AsyncWriteExt::write_all(&mut stream, words).await;
            let _ = futures::AsyncWriteExt::flush(&mut stream).await;
            let mut buffer = [0; 4096];
            while let Ok(bytes) = futures::AsyncReadExt::read(&mut stream, &mut buffer).await {
                if bytes == 0 {
                    break;
                }
                heard.extend_from_slice(&buffer[..bytes]);
            }
        };
        // The muxer works only while it is polled.
        let drive = poll_fn(|cx| match self.muxer.poll_unpin(cx) {
            Poll::Ready(Err(_)) => Poll::Ready(()),
            Poll::Ready(Ok(_)) | Poll::Pending => Poll::Pending,
        });
        let _ = timeout(PATIENCE, futures::future::select(pin!(talk), pin!(drive))).await;
        heard
    }
}

fn negotiation(protocol: &str) -> Vec<u8> {
    let mut words = b"\x13/multistream/1.0.0\n".to_vec();
    words.push(u8::try_from(protocol.len() + 1).unwrap());
    words.extend_from_slice(protocol.as_bytes());
    words.push(b'\n');
    words
}

async fn strict() -> Peer {
    let mut config = config();
    config.limits.admission = Duration::from_secs(4);
    peer_of(config).await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_stream_but_admission_is_taken_from_a_stranger() {
    let a = strict().await;
    for protocol in ["/shoal/calls", "/shoal/gossip", "/shoal/flow", "/shoal/back", "/ipfs/ping/1.0.0"] {
        let mut stranger = Stranger::dial(&a).await;
        let mut words = negotiation(protocol);
        words.extend_from_slice(&[0; 64]);
        let heard = stranger.say(&words).await;
        let text = String::from_utf8_lossy(&heard);
        assert!(!text.contains(protocol), "{protocol} was taken: {text:?}");
    }
    let refused = async {
        while a.transport.stats().refused < 5 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, refused).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_that_says_nothing_is_turned_away_in_time() {
    let mut a = strict().await;
    let mut stranger = Stranger::dial(&a).await;
    let heard = stranger.say(&negotiation("/shoal/admit")).await;
    assert_eq!(heard, negotiation("/shoal/admit"));
    assert_eq!(a.next().await, Heard::Refused("it did not answer in time".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_proves_nothing_to_who_has_not_proved_itself() {
    let mut a = strict().await;
    let mut hello = b"shoaladm".to_vec();
    hello.extend_from_slice(&crate::PROTOCOL.to_le_bytes());
    hello.push(1);
    hello.extend_from_slice(&[5; 32]);
    let mut guess = vec![0, 64, 0];
    guess.extend_from_slice(&[6; 64]);
    let cases: [(&[u8], &str); 4] = [
        (&guess, "the secret is not this mesh's"),
        (&[0, 0xff, 0xff], "does not follow Shoal's admission protocol"),
        (&[3, 0, 0], "does not follow Shoal's admission protocol"),
        (&[9, 1, 0, 7], "does not follow Shoal's admission protocol"),
    ];
    for (guess, why) in cases {
        let mut words = negotiation("/shoal/admit");
        words.extend_from_slice(&hello);
        words.extend_from_slice(guess);
        let heard = Stranger::dial(&a).await.say(&words).await;
        // The negotiation, a hello with a nonce, a refusal of four bytes: no proof.
        let negotiated = negotiation("/shoal/admit").len();
        assert_eq!(heard.len(), negotiated + hello.len() + 4, "{heard:?}");
        // A complaint that was made before is not repeated.
        if why.contains("secret") || guess.len() == 3 && guess[0] == 0 {
            let Heard::Refused(told) = a.next().await else { panic!("a refusal was to be heard") };
            assert!(told.contains(why), "{told}");
        }
    }
}
