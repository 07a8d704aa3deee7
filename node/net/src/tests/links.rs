//! Links come and go.

use std::time::{Duration, Instant};

use bytes::Bytes;
use shoal_types::Error;
use tokio::time::{sleep, timeout};

use super::{Heard, PATIENCE, config, pair, peer, peer_of};

#[tokio::test(flavor = "multi_thread")]
async fn peers_that_dial_each_other_at_once_agree_on_one_link() {
    for _ in 0..10 {
        let (mut a, mut b) = (peer().await, peer().await);
        a.dial(&b);
        b.dial(&a);
        assert_eq!(a.next().await, Heard::Up(b.id, 1));
        assert_eq!(b.next().await, Heard::Up(a.id, 1));
        for _ in 0..20 {
            a.call(&b, "x").await.unwrap();
            b.call(&a, "y").await.unwrap();
        }
        let flow = a.transport.open(b.id, Bytes::from_static(b"echo")).await.unwrap();
        drop(flow);
        a.hears_nothing(Duration::from_millis(50)).await;
        b.hears_nothing(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_a_redundant_link_disturbs_nothing() {
    let (mut a, mut b) = (peer().await, peer().await);
    a.dial(&b);
    b.dial(&a);
    assert_eq!(a.next().await, Heard::Up(b.id, 1));
    assert_eq!(b.next().await, Heard::Up(a.id, 1));
    let mut flow = a.transport.open(b.id, Bytes::from_static(b"echo")).await.unwrap();
    // Redundant links go within a few seconds.
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(6) {
        a.call(&b, "x").await.unwrap();
        b.call(&a, "y").await.unwrap();
        flow.writer.send(Bytes::from_static(b"z")).await.unwrap();
        assert_eq!(flow.reader.next().await, Ok(Some(Bytes::from_static(b"z"))));
        sleep(Duration::from_millis(10)).await;
    }
    a.hears_nothing(Duration::from_millis(10)).await;
    b.hears_nothing(Duration::from_millis(10)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dialing_a_peer_that_is_linked_changes_nothing() {
    let (mut a, mut b) = pair().await;
    for _ in 0..3 {
        b.dial(&a);
        a.dial(&b);
    }
    a.hears_nothing(Duration::from_millis(500)).await;
    b.hears_nothing(Duration::from_millis(10)).await;
    a.call(&b, "x").await.unwrap();
    b.call(&a, "x").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_addresses_of_one_peer_make_one_link() {
    let mut both = config();
    both.listen = vec!["127.0.0.1:0".parse().unwrap(), "127.0.0.2:0".parse().unwrap()];
    let (mut a, mut b) = (peer().await, peer_of(both).await);
    for address in b.transport.addresses() {
        a.transport.dial(address);
    }
    assert_eq!(a.next().await, Heard::Up(b.id, 1));
    assert_eq!(b.next().await, Heard::Up(a.id, 1));
    a.hears_nothing(Duration::from_millis(300)).await;
    b.hears_nothing(Duration::from_millis(10)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_death_of_a_peer_fails_at_once_what_waits_for_it() {
    let (mut a, b) = pair().await;
    let mut flow = a.transport.open(b.id, Bytes::from_static(b"hold")).await.unwrap();
    let id = b.id;
    let call = tokio::spawn(a.transport.call(id, Bytes::from_static(b"never"), PATIENCE));
    sleep(Duration::from_millis(100)).await;
    let start = Instant::now();
    b.close().await;
    let failed = call.await.unwrap().unwrap_err();
    assert!(matches!(failed, Error::Unreachable { peer, .. } if peer == id), "{failed}");
    assert!(matches!(flow.reader.next().await, Err(Error::Unreachable { .. })));
    assert!(flow.writer.send(Bytes::from_static(b"x")).await.is_err());
    assert_eq!(a.next().await, Heard::Down(id));
    assert!(start.elapsed() < PATIENCE, "{:?}", start.elapsed());
    // And what comes later finds nobody, in words.
    let refused = a.transport.call(id, Bytes::new(), PATIENCE).await.unwrap_err();
    assert!(refused.to_string().contains("cannot be reached"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_peer_is_down_and_its_calls_fail_at_once() {
    let (mut a, mut b) = pair().await;
    let call = tokio::spawn(a.transport.call(b.id, Bytes::from_static(b"never"), PATIENCE));
    let flow = a.transport.open(b.id, Bytes::from_static(b"hold")).await.unwrap();
    sleep(Duration::from_millis(100)).await;
    a.transport.forget(b.id);
    let start = Instant::now();
    assert!(matches!(call.await.unwrap(), Err(Error::Unreachable { .. })));
    let mut reader = flow.reader;
    assert!(reader.next().await.is_err());
    assert!(start.elapsed() < PATIENCE, "{:?}", start.elapsed());
    assert_eq!(a.next().await, Heard::Down(b.id));
    assert_eq!(b.next().await, Heard::Down(a.id));
    let error = a.call(&b, "x").await.unwrap_err();
    assert!(error.to_string().contains("no address"), "{error}");
    // It is not banned.
    a.dial(&b);
    assert_eq!(a.next().await, Heard::Up(b.id, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_peer_is_down_and_then_up_again() {
    let mut first = config();
    let identity = first.identity;
    first.info.incarnation = 10;
    let (mut a, b) = (peer().await, peer_of(first).await);
    b.dial(&a);
    let id = b.id;
    assert_eq!(a.next().await, Heard::Up(id, 10));
    // The old process has not gone: its machine may have vanished.
    let mut second = config();
    second.identity = identity;
    second.info.incarnation = 11;
    let mut again = peer_of(second).await;
    again.dial(&a);
    // The old one is there after all, and may try at any moment. The same is
    // told once in a while only, whoever was refused.
    let mut refused = false;
    let mut next = async || loop {
        match a.next().await {
            Heard::Refused(why) if why.contains("same identity") => refused = true,
            heard => return heard,
        }
    };
    assert_eq!(next().await, Heard::Down(id));
    assert_eq!(next().await, Heard::Up(id, 11));
    assert_eq!(again.next().await, Heard::Up(a.id, 1));
    a.transport.call(id, Bytes::from_static(b"x"), PATIENCE).await.unwrap();
    // What is left of the old one is told what is wrong.
    let mut third = config();
    third.identity = identity;
    third.info.incarnation = 9;
    let mut stale = peer_of(third).await;
    stale.dial(&a);
    assert!(matches!(stale.next().await, Heard::Refused(why) if why.contains("data directory")));
    if !refused {
        assert!(matches!(a.next().await, Heard::Refused(why) if why.contains("same identity")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_came_back_is_dialed_again_when_it_is_wanted() {
    let (mut a, b) = pair().await;
    let (id, address) = (b.id, b.address());
    b.close().await;
    assert_eq!(a.next().await, Heard::Down(id));
    assert!(a.transport.call(id, Bytes::new(), PATIENCE).await.is_err());
    let mut back = config();
    back.listen = vec![address.parse().unwrap()];
    let stranger = peer_of(back).await;
    // Somebody else has the address now: nobody is mistaken for it.
    sleep(Duration::from_millis(300)).await;
    assert!(a.transport.call(id, Bytes::new(), PATIENCE).await.is_err());
    assert_ne!(stranger.id, id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_can_only_dial_out_is_a_full_member() {
    let mut inside = config();
    inside.listen.clear();
    let (mut a, mut b) = (peer_of(inside).await, peer().await);
    assert!(a.transport.addresses().is_empty());
    a.dial(&b);
    assert_eq!(b.next().await, Heard::Up(a.id, 1));
    assert_eq!(a.next().await, Heard::Up(b.id, 1));
    b.call(&a, "x").await.unwrap();
    let mut flow = b.transport.open(a.id, Bytes::from_static(b"echo")).await.unwrap();
    flow.writer.send(Bytes::from_static(b"x")).await.unwrap();
    assert_eq!(flow.reader.next().await, Ok(Some(Bytes::from_static(b"x"))));
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_frees_the_port_and_ends_what_is_under_way() {
    let (a, b) = pair().await;
    let address = b.address();
    let call = tokio::spawn(b.transport.call(a.id, Bytes::from_static(b"never"), PATIENCE));
    sleep(Duration::from_millis(50)).await;
    let transport = b.transport.clone();
    b.close().await;
    assert!(call.await.unwrap().is_err());
    let error = transport.call(a.id, Bytes::new(), PATIENCE).await.unwrap_err();
    assert!(error.to_string().contains("stopping"), "{error}");
    timeout(PATIENCE, transport.close()).await.expect("stopping twice is fine");
    std::net::TcpListener::bind(address).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn six_peers_that_all_dial_each_other_have_one_link_each() {
    let mut peers = Vec::new();
    for _ in 0..6 {
        peers.push(peer().await);
    }
    for one in &peers {
        for other in &peers {
            if one.id != other.id {
                one.dial(other);
            }
        }
    }
    for peer in &mut peers {
        let mut up = std::collections::HashSet::new();
        while up.len() < 5 {
            match peer.next().await {
                Heard::Up(other, _) => assert!(up.insert(other), "twice"),
                other => panic!("{other:?}"),
            }
        }
    }
    sleep(Duration::from_secs(4)).await;
    for peer in &mut peers {
        peer.hears_nothing(Duration::from_millis(1)).await;
    }
    for one in &peers {
        for other in &peers {
            if one.id != other.id {
                one.call(other, "x").await.unwrap();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a network that carries multicast"]
async fn peers_on_one_network_find_each_other() {
    let listening = || {
        let mut config = config();
        config.mdns = true;
        config.listen = vec!["0.0.0.0:0".parse().unwrap()];
        config
    };
    let (_one, mut found) = crate::start(listening()).await.unwrap();
    let _other = peer_of(listening()).await;
    let find = async {
        while let Some(event) = found.recv().await {
            if let shoal_ports::Inbound::Found { address } = event {
                return address;
            }
        }
        String::new()
    };
    let address = timeout(PATIENCE, find).await.unwrap();
    assert!(crate::address::is_host_port(&address), "{address}");
}

/// Told too early, the addresses were those of loopback alone, and whoever
/// heard of a peer on another machine by gossip could not reach it.
#[tokio::test(flavor = "multi_thread")]
async fn all_addresses_are_known_once_it_has_started() {
    let mut everywhere = config();
    everywhere.listen = vec!["0.0.0.0:0".parse().unwrap()];
    let peer = peer_of(everywhere).await;
    let at_once = peer.transport.addresses();
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(at_once, peer.transport.addresses());
    peer.close().await;
}
