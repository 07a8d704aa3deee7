//! What passes between linked peers.

use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use shoal_types::wire::FRAME_BYTES_MAX;
use shoal_types::{Error, ErrorClass};
use tokio::time::timeout;

use super::{Heard, PATIENCE, config, pair, peer, peer_of};

#[tokio::test(flavor = "multi_thread")]
async fn gossip_arrives_both_ways() {
    let (mut a, mut b) = pair().await;
    let frame = Bytes::from(vec![7; 64 << 10]);
    a.transport.gossip(b.id, frame.clone());
    assert_eq!(b.next().await, Heard::Gossip(a.id, frame));
    b.transport.gossip(a.id, Bytes::from_static(b"x"));
    assert_eq!(a.next().await, Heard::Gossip(b.id, Bytes::from_static(b"x")));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_gossip_to_a_peer_of_known_address_makes_the_link_and_arrives() {
    let (a, mut b) = (peer().await, peer().await);
    a.learn(&b);
    a.transport.gossip(b.id, Bytes::from_static(b"hello"));
    assert_eq!(b.next().await, Heard::Up(a.id, 1));
    assert_eq!(b.next().await, Heard::Gossip(a.id, Bytes::from_static(b"hello")));
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_no_byte_one_byte_and_a_whole_frame_are_answered() {
    let (a, b) = (peer().await, peer().await);
    a.learn(&b);
    for bytes in [0, 1, 20_000, FRAME_BYTES_MAX] {
        let request = Bytes::from(vec![42; bytes]);
        assert_eq!(a.call(&b, request.clone()).await, Ok(request));
    }
    // Over the same link, without an address of a.
    assert_eq!(b.call(&a, "back").await, Ok(Bytes::from_static(b"back")));
    let long = a.call(&b, vec![0; FRAME_BYTES_MAX + 1]).await.unwrap_err();
    assert_eq!(long.class(), ErrorClass::Bug, "{long}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_calls_at_once_are_all_answered() {
    let (a, b) = pair().await;
    let calls = (0..2000u32).map(|n| {
        let request = Bytes::from(vec![n as u8; (n as usize * 37) % 5000]);
        let (a, b) = (&a, &b);
        async move { assert_eq!(a.call(b, request.clone()).await, Ok(request)) }
    });
    join_all(calls).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_or_silent_handler_holds_up_nobody_else() {
    let (a, b) = pair().await;
    let slow = a.call(&b, "slow");
    let never = a.transport.call(b.id, Bytes::from_static(b"never"), Duration::from_millis(200));
    let quick = a.call(&b, "quick");
    let (slow, never, quick) = tokio::join!(slow, never, quick);
    assert_eq!(slow, Ok(Bytes::from_static(b"slow")));
    assert!(matches!(never, Err(Error::Timeout { ms: 200, .. })), "{never:?}");
    quick.unwrap();
    let dropped = a.call(&b, "drop").await.unwrap_err();
    assert!(matches!(dropped, Error::Unreachable { .. }), "{dropped}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runtime_that_lags_makes_its_callers_see_that_it_is_busy() {
    let mut config = config();
    config.limits.inbound_queue = 4;
    let (mut a, mut b) = (peer().await, peer_of(config).await);
    a.dial(&b);
    assert_eq!(a.next().await, Heard::Up(b.id, 1));
    assert_eq!(b.next().await, Heard::Up(a.id, 1));
    a.call(&b, "warm").await.unwrap();
    let lagging = b.gate.lock().await;
    let calls = (0..8).map(|_| a.transport.call(b.id, Bytes::from_static(b"x"), Duration::from_secs(3)));
    let busy = join_all(calls).await.into_iter().filter(|answer| matches!(answer, Err(Error::Busy { .. }))).count();
    // Four wait in the queue, and one may have been taken from it.
    assert!(busy == 3 || busy == 4, "{busy}");
    // If one was taken late, there is room for one flow.
    let open = || a.transport.open(b.id, Bytes::from_static(b"echo"));
    let (first, second) = (open().await.err(), open().await.err());
    assert!(matches!(first, None | Some(Error::Busy { .. })), "{first:?}");
    assert!(matches!(second, Some(Error::Busy { .. })), "{second:?}");
    drop(lagging);
    a.call(&b, "again").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flow_carries_64_mib_both_ways_and_ends() {
    let (a, b) = pair().await;
    let flow = a.transport.open(b.id, Bytes::from_static(b"echo")).await.unwrap();
    let (mut writer, mut reader) = (flow.writer, flow.reader);
    let sending = async {
        for n in 0..64u8 {
            writer.send(Bytes::from(vec![n; FRAME_BYTES_MAX])).await.unwrap();
        }
        writer.send(Bytes::new()).await.unwrap();
        writer.finish().await.unwrap();
    };
    let receiving = async {
        for n in 0..64u8 {
            let frame = reader.next().await.unwrap().unwrap();
            assert!(frame.len() == FRAME_BYTES_MAX && frame.iter().all(|byte| *byte == n), "frame {n}");
        }
        assert_eq!(reader.next().await, Ok(Some(Bytes::new())));
        assert_eq!(reader.next().await, Ok(None));
        assert_eq!(reader.next().await, Ok(None));
    };
    timeout(PATIENCE, async { tokio::join!(sending, receiving) }).await.unwrap();
    let stats = a.transport.stats();
    assert!(stats.sent_bytes > 64 << 20 && stats.received_bytes > 64 << 20, "{stats:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dialed_side_opens_flows_too() {
    let (a, b) = pair().await;
    let flow = b.transport.open(a.id, Bytes::from_static(b"echo")).await.unwrap();
    let (mut writer, mut reader) = (flow.writer, flow.reader);
    writer.send(Bytes::from_static(b"hello")).await.unwrap();
    assert_eq!(reader.next().await, Ok(Some(Bytes::from_static(b"hello"))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_waits_for_a_receiver_that_does_not_read() {
    let (a, b) = pair().await;
    let mut flow = a.transport.open(b.id, Bytes::from_static(b"hold")).await.unwrap();
    let stuck = timeout(Duration::from_secs(1), async {
        for _ in 0..256 {
            flow.writer.send(Bytes::from(vec![0; FRAME_BYTES_MAX])).await.unwrap();
        }
    });
    assert!(stuck.await.is_err(), "256 MiB went nowhere");
    // A frame was given up halfway, so the flow cannot go on.
    assert!(flow.writer.send(Bytes::from_static(b"x")).await.is_err());
    // Meanwhile others do.
    a.call(&b, "quick").await.unwrap();
    let mut echo = a.transport.open(b.id, Bytes::from_static(b"echo")).await.unwrap();
    echo.writer.send(Bytes::from_static(b"x")).await.unwrap();
    assert_eq!(echo.reader.next().await, Ok(Some(Bytes::from_static(b"x"))));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_half_of_a_flow_ends_or_breaks_by_itself() {
    let (a, b) = pair().await;
    // The other side dropped its reader: our writer fails, our reader goes on.
    let mut deaf = a.transport.open(b.id, Bytes::from_static(b"deaf")).await.unwrap();
    assert_eq!(deaf.reader.next().await, Ok(Some(Bytes::from_static(b"still here"))));
    assert_eq!(deaf.reader.next().await, Ok(None));
    let failed = timeout(PATIENCE, async {
        loop {
            if let Err(error) = deaf.writer.send(Bytes::from(vec![0; 100_000])).await {
                return error;
            }
        }
    });
    assert!(matches!(failed.await, Ok(Error::Unreachable { .. })));
    // The other side dropped its writer before its end.
    let mut broken = a.transport.open(b.id, Bytes::from_static(b"break")).await.unwrap();
    assert_eq!(broken.reader.next().await, Ok(Some(Bytes::from_static(b"one"))));
    assert!(matches!(broken.reader.next().await, Err(Error::Unreachable { .. })));
    broken.writer.send(Bytes::from_static(b"x")).await.unwrap();
    broken.writer.finish().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_given_up_halfway_loses_nothing() {
    let (a, b) = pair().await;
    let mut flow = a.transport.open(b.id, Bytes::from_static(b"echo")).await.unwrap();
    let big = Bytes::from(vec![9; FRAME_BYTES_MAX]);
    flow.writer.send(big.clone()).await.unwrap();
    let frame = loop {
        if let Ok(frame) = timeout(Duration::from_micros(50), flow.reader.next()).await {
            break frame;
        }
    };
    assert_eq!(frame, Ok(Some(big)));
}

#[tokio::test(flavor = "multi_thread")]
async fn flows_past_the_limit_are_refused_as_busy_and_room_comes_back() {
    let mut config = config();
    config.limits.flows_per_peer = 3;
    let (mut a, b) = (peer().await, peer_of(config).await);
    a.dial(&b);
    assert_eq!(a.next().await, Heard::Up(b.id, 1));
    let open = || a.transport.open(b.id, Bytes::from_static(b"echo"));
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(open().await.unwrap());
    }
    let refused = open().await.err().unwrap();
    assert!(matches!(refused, Error::Busy { peer, .. } if peer == b.id), "{refused}");
    held.clear();
    let again = async {
        while open().await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, again).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_of_flows_is_served_whole() {
    let mut config = config();
    config.limits.flows_per_peer = 400;
    let (mut a, b) = (peer().await, peer_of(config).await);
    a.dial(&b);
    assert_eq!(a.next().await, Heard::Up(b.id, 1));
    let flows = (0..400u32).map(|n| {
        let (a, b) = (&a, &b);
        async move {
            let mut flow = a.transport.open(b.id, Bytes::from_static(b"echo")).await.unwrap();
            let frame = Bytes::copy_from_slice(&n.to_le_bytes());
            flow.writer.send(frame.clone()).await.unwrap();
            flow.writer.finish().await.unwrap();
            assert_eq!(flow.reader.next().await, Ok(Some(frame)));
            assert_eq!(flow.reader.next().await, Ok(None));
        }
    });
    timeout(PATIENCE, join_all(flows)).await.unwrap();
}
