//! A peer by itself, over ports that touch nothing.

#![allow(clippy::disallowed_methods, reason = "the tests run in real time")]

pub(crate) mod ports;
mod release;
mod stopping;

use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use futures::{FutureExt, StreamExt, stream};
use shoal_ports::Ports;
use shoal_types::{Format, Health, Layout, Member, MeshId, ObjectName, PeerId, PeerInfo, Query};
use tokio::sync::mpsc;

use crate::context::Context;
use crate::members::MemberEntry;
use crate::{Peer, PeerConfig, PutCondition, Stopped};
use ports::{Compute, Network, Numbers, Store, Tasks, Time, WAIT};

pub(crate) fn info(n: u8) -> PeerInfo {
    PeerInfo {
        id: PeerId::from_bytes([n; 32]),
        name: "alone".into(),
        zone: String::new(),
        weight: 100,
        addresses: vec![],
        version: "0".into(),
        incarnation: 1,
        machine: 1,
        pid: 1,
        slots: 2,
        gateway: None,
        leaves: false,
        revision: 0,
        mesh: None,
        replicas: None,
    }
}

pub(crate) fn config() -> PeerConfig {
    let mut config = PeerConfig { form: true, ..PeerConfig::new(info(7)) };
    config.timing.tick = Duration::from_millis(20);
    config
}

/// Ports to somewhere, of which the others are as they usually are.
pub(crate) fn ports(transport: Arc<Network>) -> Ports {
    Ports {
        transport,
        store: Arc::new(Store::default()),
        compute: Arc::new(Compute::default()),
        clock: Arc::new(Time::default()),
        rng: Arc::new(Numbers::default()),
        spawner: Arc::new(Tasks::default()),
        files: None,
    }
}

/// Has a peer be one of a mesh, the others of which it has links to.
pub(crate) fn mesh(context: Arc<Context>, others: &[u8]) -> Arc<Context> {
    let infos = others.iter().map(|n| info(*n)).chain([config().info]);
    let mut members: Vec<Member> = infos
        .map(|info| Member {
            id: info.id,
            name: info.name,
            zone: info.zone,
            weight: info.weight,
            revision: 0,
            since: 1,
        })
        .collect();
    members.sort_by_key(|member| member.id);
    let mesh = MeshId::from_bytes([1; 16]);
    context.publish_layout(Some(Arc::new(Layout { mesh, version: 1, members, previous: None, replicas: 2 })));
    link(&context, others);
    context
}

/// Has it have links to them.
pub(crate) fn link(context: &Context, others: &[u8]) {
    for info in others.iter().map(|n| info(*n)) {
        let entry = MemberEntry {
            addresses: [].into(),
            incarnation: 1,
            info: Some(Arc::new(info.clone())),
            health: Health::Alive,
            linked: true,
            since: Duration::ZERO,
        };
        context.members.change(|table| table.set(info.id, Some(entry)));
    }
}

/// A peer that is a mesh, has taken an object in and failed a query; and what
/// goes away with the last thing of it.
pub(crate) async fn peer() -> (Peer, Arc<Tasks>, Weak<Compute>) {
    let config = config();
    let (events, inbound) = mpsc::channel(8);
    let (tasks, compute) = (Arc::new(Tasks::default()), Arc::new(Compute::default()));
    let gone = Arc::downgrade(&compute);
    let network = Arc::new(Network::new(config.info.id, events));
    let ports = Ports { compute, spawner: tasks.clone(), ..ports(network) };
    let peer = Peer::start(config, ports, inbound).await.unwrap();
    let body = stream::iter([Ok(Bytes::from("text"))]).boxed();
    peer.put(ObjectName::new("a/b").unwrap(), Format::Bytes, PutCondition::Always, body).await.unwrap();
    let answer = peer.query(Query::new("SELECT 1")).await.unwrap();
    assert!(answer.updates.collect::<Vec<_>>().await.pop().unwrap().is_err());
    (peer, tasks, gone)
}

/// Waits until nothing is left of a peer.
async fn is_gone(what: &Weak<Compute>) -> bool {
    for _ in 0..3_000 {
        if what.strong_count() == 0 {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    false
}

#[tokio::test]
async fn a_peer_that_stopped_leaves_nothing_behind() {
    let (peer, _tasks, left) = peer().await;
    peer.stop().await;
    assert_eq!(peer.stopped().await, Stopped::Asked);
    drop(peer);
    assert!(is_gone(&left).await);
}

#[tokio::test]
async fn a_peer_that_was_killed_says_nothing_and_leaves_nothing_behind() {
    let (peer, tasks, left) = peer().await;
    // A job that will never be planned goes with it.
    let waiting = peer.query(Query::new(WAIT)).await.unwrap();
    peer.kill();
    tasks.abort_all();
    assert!(matches!(peer.stopped().await, Stopped::Failed(_)));
    drop((peer, waiting));
    assert!(is_gone(&left).await);
}

#[tokio::test]
async fn gauges_say_what_is_held_and_no_more_than_may_be() {
    let (peer, ..) = peer().await;
    let gauges = peer.gauges();
    let now = |name| gauges.iter().find(|gauge| gauge.name == name).unwrap().now;
    assert!(gauges.iter().all(|gauge| gauge.now <= gauge.bound), "{gauges:?}");
    assert_eq!((now("running jobs"), now("finished jobs")), (0, 1));
    let waiting = peer.query(Query::new(WAIT)).await.unwrap();
    assert_eq!(peer.gauges()[0].now, 1);
    drop(waiting);
    assert!(peer.layout().is_some_and(|layout| layout.involves(peer.id())));
    assert_eq!(peer.live(), []);
    peer.stop().now_or_never();
}
