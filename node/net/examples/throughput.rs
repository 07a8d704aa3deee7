//! What a link between two peers of one machine carries: run it to see what a
//! change of the transport costs.
//!
//! ```text
//! cargo run --release -p shoal-net --example throughput
//! ```
//!
//! Shows: starting two transports, a flow of 2 GiB, and how long small calls
//! take while nothing else is under way and while that flow runs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use shoal_net::{NetConfig, Secret, start};
use shoal_ports::{Flow, Inbound, Transport};
use shoal_types::{Error, PeerId, PeerInfo, Result};
use tokio::sync::mpsc;

const FRAMES: usize = 2048;
const FRAME_BYTES: usize = 1 << 20;
const CALLS: usize = 5000;

#[tokio::main]
async fn main() -> Result<()> {
    let (one, _events) = peer(1).await?;
    let (other, events) = peer(2).await?;
    tokio::spawn(serve(events));
    one.learn(other.local(), &other.addresses());

    println!("calls of 64 bytes, idle:        {}", calls(&one, other.local()).await?);

    let flow = one.open(other.local(), Bytes::new()).await?;
    let start = Instant::now();
    let sending = tokio::spawn(send(flow));
    let beside = calls(&one, other.local()).await?;
    sending.await.map_err(|error| Error::bug(error.to_string()))??;
    let seconds = start.elapsed().as_secs_f64();
    println!("calls of 64 bytes, beside bulk: {beside}");

    let flow = one.open(other.local(), Bytes::new()).await?;
    let start = Instant::now();
    send(flow).await?;
    let alone = start.elapsed().as_secs_f64();
    let mib = (FRAMES * FRAME_BYTES) as f64 / f64::from(1 << 20);
    println!("one flow:                       {:.0} MiB/s alone, {:.0} beside calls", mib / alone, mib / seconds);
    one.close().await;
    other.close().await;
    Ok(())
}

async fn peer(seed: u8) -> Result<(Arc<dyn Transport>, mpsc::Receiver<Inbound>)> {
    let info = PeerInfo {
        id: PeerId::from_bytes([0; 32]),
        name: format!("peer-{seed}"),
        zone: "here".into(),
        weight: 100,
        addresses: Vec::new(),
        version: env!("CARGO_PKG_VERSION").into(),
        incarnation: 1,
        machine: 1,
        pid: std::process::id(),
        slots: 1,
        gateway: None,
        leaves: false,
        revision: 0,
        mesh: None,
        replicas: None,
    };
    let mut config = NetConfig::new([seed; 32], Secret::from_text("only for this measurement")?, info);
    config.listen = vec![([127, 0, 0, 1], 0).into()];
    start(config).await
}

/// Echoes calls; reads flows to their end, then ends its own side.
async fn serve(mut events: mpsc::Receiver<Inbound>) {
    while let Some(event) = events.recv().await {
        match event {
            Inbound::Call { request, reply, .. } => reply.send(request),
            Inbound::Open { flow: Flow { writer, mut reader }, .. } => {
                tokio::spawn(async move {
                    while let Ok(Some(_)) = reader.next().await {}
                    // Whoever opened it may have gone.
                    let _ = writer.finish().await;
                });
            }
            Inbound::Up { .. }
            | Inbound::Down { .. }
            | Inbound::Gossip { .. }
            | Inbound::Refused { .. }
            | Inbound::Found { .. } => {}
        }
    }
}

async fn send(flow: Flow) -> Result<()> {
    let Flow { mut writer, mut reader } = flow;
    let frame = Bytes::from(vec![7; FRAME_BYTES]);
    for _ in 0..FRAMES {
        writer.send(frame.clone()).await?;
    }
    writer.finish().await?;
    while reader.next().await?.is_some() {}
    Ok(())
}

async fn calls(transport: &Arc<dyn Transport>, to: PeerId) -> Result<String> {
    let request = Bytes::from_static(&[1; 64]);
    let mut took = Vec::with_capacity(CALLS);
    for _ in 0..CALLS {
        let start = Instant::now();
        transport.call(to, request.clone(), Duration::from_secs(10)).await?;
        took.push(start.elapsed());
    }
    took.sort();
    let at = |part: usize| took.get(CALLS * part / 100).copied().unwrap_or_default();
    Ok(format!("p50 {:?}, p99 {:?}", at(50), at(99)))
}
