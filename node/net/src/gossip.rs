//! Gossip: small frames that may be lost, on a stream of their own in each
//! direction. `4 length (LE) | frame`

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use libp2p::Stream;
use shoal_ports::Inbound;
use shoal_types::wire::GOSSIP_BYTES_MAX;
use tokio::sync::mpsc;

use crate::frame::{FrameSink, length, read_length, read_payload};
use crate::link::{GOSSIP, Link};
use crate::shared::Shared;

/// Sends what is in the link's queue. A link on which this fails is closed.
pub(crate) async fn send(link: Arc<Link>, mut queue: mpsc::Receiver<Bytes>) {
    let sending = async {
        let mut sink = FrameSink::new(link.stream(GOSSIP).await.map_err(io::Error::other)?);
        while let Some(frame) = queue.recv().await {
            sink.push(&length(&frame)?, &frame).await?;
            while let Ok(frame) = queue.try_recv() {
                sink.push(&length(&frame)?, &frame).await?;
            }
            sink.flush().await?;
        }
        io::Result::Ok(())
    };
    if let Err(error) = sending.await {
        tracing::debug!(?link, %error, "gossip broke");
        link.close();
    }
}

/// Hands what comes in to the runtime, dropping what it has no room for.
pub(crate) async fn receive(shared: Arc<Shared>, link: Arc<Link>, mut stream: Stream) {
    let receiving = async {
        loop {
            let bytes = read_length(&mut stream, GOSSIP_BYTES_MAX).await?;
            let frame = read_payload(&mut stream, bytes).await?;
            shared.tell(Inbound::Gossip { from: link.peer, frame });
        }
    };
    let done: io::Result<()> = receiving.await;
    if let Err(error) = done {
        tracing::debug!(?link, %error, "gossip ended");
        link.close();
    }
}
