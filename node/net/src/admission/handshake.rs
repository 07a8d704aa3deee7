//! The two sides of admission, over a stream.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Release};
use std::time::Duration;

use futures::{AsyncReadExt, AsyncWriteExt};
use libp2p::Stream;
use shoal_types::{PeerId, PeerInfo};

use super::messages::{BadHello, HEAD_BYTES, HELLO_BYTES, Hello, Message, Side, Transcript};
use super::{Refusal, Refused};
use crate::Secret;
use crate::link::{Link, Role};
use crate::shared::Shared;

/// How long the connection stays after a refusal, for the other side to read it.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// What a connection's admission is about.
pub(crate) struct Terms {
    pub(crate) shared: Arc<Shared>,
    pub(crate) peer: PeerId,
    /// Set once the other side has proved that it knows the secret: from
    /// then on its streams are accepted.
    pub(crate) accepting: Arc<AtomicBool>,
    /// Makes the link of the connection, given its role and the other side's info.
    pub(crate) link: Box<dyn FnOnce(Role, PeerInfo) -> Arc<Link> + Send>,
}

/// The dialer's side. `role` is what the connection is for.
pub(crate) async fn dial(mut stream: Stream, role: Role, terms: Terms) -> Result<Arc<Link>, Rejected> {
    let Terms { shared, peer, accepting, link } = terms;
    let ours = Hello { version: shared.protocol, role, nonce: rand::random() };
    send_hello(&mut stream, &ours).await?;
    let theirs = match read_hello(&mut stream, shared.protocol).await? {
        Ok(theirs) if theirs.role == role => theirs,
        Ok(_) | Err(BadHello::Malformed) => return Err(refuse(stream, Refusal::Malformed).await),
        Err(BadHello::Version(theirs)) => return Err(Refused::OtherVersion { theirs, ours: shared.protocol }.into()),
    };
    let transcript = Transcript {
        version: shared.protocol,
        role,
        dialer: shared.local,
        listener: peer,
        dialer_nonce: ours.nonce,
        listener_nonce: theirs.nonce,
    };
    let secrets = shared.secrets();
    send(&mut stream, &Message::Proof(transcript.proofs(&secrets, Side::Dialer))).await?;
    let info = match read(&mut stream).await? {
        Some(Message::Welcome(proof, info)) => {
            if !secrets.iter().any(|secret| transcript.proof(secret.key(), Side::Listener) == proof) {
                return Err(refuse(stream, Refusal::WrongSecret).await);
            }
            info
        }
        Some(Message::Refuse(refusal)) => return Err(Refused::There(refusal).into()),
        _ => return Err(refuse(stream, Refusal::Malformed).await),
    };
    if info.id != peer {
        return Err(refuse(stream, Refusal::Malformed).await);
    }
    // Two addresses of one peer may be dialed at once: only one goes on.
    let claim = match shared.claim(peer, role, info.incarnation) {
        Ok(claim) => claim,
        Err(refusal) => return Err(refuse(stream, refusal).await),
    };
    accepting.store(true, Release);
    send(&mut stream, &Message::Info(Box::new(shared.info()))).await?;
    match read(&mut stream).await? {
        Some(Message::Done) => {}
        Some(Message::Refuse(refusal)) => return Err(Refused::There(refusal).into()),
        _ => return Err(refuse(stream, Refusal::Malformed).await),
    }
    let registered = shared.register(link(role, *info));
    drop(claim);
    registered.map_err(|refusal| Refused::Here(refusal).into())
}

/// The listener's side.
pub(crate) async fn listen(mut stream: Stream, terms: Terms) -> Result<Arc<Link>, Rejected> {
    let Terms { shared, peer, accepting, link } = terms;
    let theirs = read_hello(&mut stream, shared.protocol).await?;
    let role = theirs.map_or(Role::Control, |hello| hello.role);
    let ours = Hello { version: shared.protocol, role, nonce: rand::random() };
    send_hello(&mut stream, &ours).await?;
    let theirs = match theirs {
        Ok(theirs) => theirs,
        Err(BadHello::Malformed) => return Err(refuse(stream, Refusal::Malformed).await),
        Err(BadHello::Version(theirs)) => {
            let refused = Refused::OtherVersion { theirs, ours: shared.protocol };
            return Err(Rejected { refused, stream: Some(stream) });
        }
    };
    let transcript = Transcript {
        version: shared.protocol,
        role,
        dialer: peer,
        listener: shared.local,
        dialer_nonce: theirs.nonce,
        listener_nonce: ours.nonce,
    };
    let proofs = match read(&mut stream).await? {
        Some(Message::Proof(proofs)) => proofs,
        Some(Message::Refuse(refusal)) => return Err(Refused::There(refusal).into()),
        _ => return Err(refuse(stream, Refusal::Malformed).await),
    };
    let secrets = shared.secrets();
    let proves = |secret: &&Secret| {
        let expected = transcript.proof(secret.key(), Side::Dialer);
        proofs.iter().any(|proof| expected == *proof)
    };
    let Some(secret) = secrets.iter().find(proves) else {
        return Err(refuse(stream, Refusal::WrongSecret).await);
    };
    let proof = *transcript.proof(secret.key(), Side::Listener).as_bytes();
    send(&mut stream, &Message::Welcome(proof, Box::new(shared.info()))).await?;
    let info = match read(&mut stream).await? {
        Some(Message::Info(info)) if info.id == peer => info,
        Some(Message::Refuse(refusal)) => return Err(Refused::There(refusal).into()),
        _ => return Err(refuse(stream, Refusal::Malformed).await),
    };
    // The dialer opens streams as soon as it reads that it is done.
    accepting.store(true, Release);
    let link = match shared.register(link(role, *info)) {
        Ok(link) => link,
        Err(refusal) => return Err(refuse(stream, refusal).await),
    };
    if let Err(error) = send(&mut stream, &Message::Done).await {
        link.close();
        return Err(error.into());
    }
    Ok(link)
}

async fn send_hello(stream: &mut Stream, hello: &Hello) -> Result<(), Refused> {
    write(stream, &hello.encode()).await
}

async fn read_hello(stream: &mut Stream, ours: u16) -> Result<Result<Hello, BadHello>, Refused> {
    let mut bytes = [0; HELLO_BYTES];
    stream.read_exact(&mut bytes).await.map_err(lost)?;
    Ok(Hello::decode(&bytes, ours))
}

async fn send(stream: &mut Stream, message: &Message) -> Result<(), Refused> {
    let bytes = message.encode().ok_or_else(|| Refused::Lost("this peer says too much of itself".into()))?;
    write(stream, &bytes).await
}

async fn write(stream: &mut Stream, bytes: &[u8]) -> Result<(), Refused> {
    stream.write_all(bytes).await.map_err(lost)?;
    stream.flush().await.map_err(lost)
}

/// The next message; `None` when it is none.
async fn read(stream: &mut Stream) -> Result<Option<Message>, Refused> {
    let mut head = [0; HEAD_BYTES];
    stream.read_exact(&mut head).await.map_err(lost)?;
    let Some(bytes) = Message::body_bytes(head) else {
        return Ok(None);
    };
    let mut body = vec![0; bytes];
    stream.read_exact(&mut body).await.map_err(lost)?;
    Ok(Message::decode(head[0], &body))
}

fn lost(error: io::Error) -> Refused {
    Refused::Lost(match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::WriteZero => "the other side closed it".into(),
        _ => error.to_string(),
    })
}

/// Tells the other side.
async fn refuse(mut stream: Stream, refusal: Refusal) -> Rejected {
    let told = send(&mut stream, &Message::Refuse(refusal)).await.is_ok();
    Rejected { refused: Refused::Here(refusal), stream: told.then_some(stream) }
}

/// An admission that failed.
pub(crate) struct Rejected {
    pub(crate) refused: Refused,
    /// Where the other side was told why, and may still be reading.
    stream: Option<Stream>,
}

impl From<Refused> for Rejected {
    fn from(refused: Refused) -> Self {
        Self { refused, stream: None }
    }
}

impl Rejected {
    /// Ready when the other side has read why, or has had the time.
    pub(crate) async fn told(self) {
        if let Some(mut stream) = self.stream {
            // Ends when the other side closes, or says anything more.
            let _ = tokio::time::timeout(LAST_WORDS, async {
                stream.close().await?;
                stream.read(&mut [0]).await
            })
            .await;
        }
    }
}
