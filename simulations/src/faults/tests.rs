//! Each fault bites: what a mesh shows of it.

mod disks;
mod network;
mod peers;
mod planned;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::{FutureExt, TryStreamExt, stream};
use shoal_runtime::{Peer, PutCondition};
use shoal_types::{Format, Health, ObjectName, PeerId, Result};

use super::{FaultKind, Strike};
use crate::Simulation;
use crate::executor::{self, Idle};
use crate::host::HostId;
use crate::scenario::{Bytes as Nominal, Scenario, Span};
use crate::workload;
use crate::world::World;

/// Longer than the failure detector's patience.
const DEAD: u64 = 12;

/// A small mesh to try a fault on.
struct Trial {
    world: World,
    idle: Arc<Idle>,
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn scenario() -> Scenario {
    let mut scenario = Scenario { peers: 5, ..Scenario::default() };
    scenario.timing.repair_delay = Span(ms(5_000));
    scenario.timing.repair_interval = Span(ms(5_000));
    scenario.workload.data = Nominal(256 << 20);
    scenario.workload.object = Nominal(64 << 20);
    scenario
}

/// Runs a test on five peers with four objects of four chunks.
fn trial<F: Future<Output = ()>>(test: impl FnOnce(Trial) -> F) {
    trial_of(scenario(), test);
}

fn trial_of<F: Future<Output = ()>>(scenario: Scenario, test: impl FnOnce(Trial) -> F) {
    executor::run(async move |idle| {
        let world = Simulation::new(scenario.clone(), 7).world().unwrap();
        let trial = Trial { world: world.clone(), idle };
        for host in world.hosts() {
            world.start(host);
        }
        let (data, putting) = (workload::data_objects(&scenario.workload), world.clone());
        trial
            .ask(async move {
                putting.until_formed().await;
                putting.put_data(data).await;
            })
            .await;
        trial.seconds(2).await;
        let idle = trial.idle.clone();
        test(trial).await;
        world.clear();
        idle.reached().await;
    })
    .unwrap();
}

impl Trial {
    async fn seconds(&self, seconds: u64) {
        self.pass(Duration::from_secs(seconds)).await;
    }

    async fn pass(&self, time: Duration) {
        self.world.run_until(&self.idle, self.world.now() + time).await;
        assert!(self.world.state().broken.is_empty(), "{:?}", self.world.state().broken[0].0);
    }

    /// Lets the world go on until something is done; and how long that took.
    async fn ask<T: Send + 'static>(&self, task: impl Future<Output = T> + Send + 'static) -> (T, Duration) {
        let began = self.world.now();
        let (done, mut answer) = futures::channel::oneshot::channel();
        tokio::spawn(task.map(|result| done.send(result)));
        while self.world.now() < began + Duration::from_secs(100) {
            self.pass(ms(1)).await;
            if let Ok(Some(result)) = answer.try_recv() {
                return (result, self.world.now() - began);
            }
        }
        panic!("it takes more than 100 s");
    }

    /// Strikes now, with an end after `lasts` if that is given.
    fn strike(&self, kind: impl Into<FaultKind>, victims: &[u32], lasts: Option<u64>) {
        let victims = victims.iter().copied().map(HostId).collect();
        let lasts = lasts.map(Duration::from_secs);
        Strike { number: 0, at: Duration::ZERO, lasts, victims, kind: kind.into() }.happen(&self.world);
    }

    fn peer(&self, host: u32) -> Peer {
        let state = self.world.state();
        state.hosts[host as usize].running.as_ref().unwrap().peer.clone().unwrap()
    }

    fn id(&self, host: u32) -> PeerId {
        self.world.state().hosts[host as usize].id
    }

    fn is_up(&self, host: u32) -> bool {
        self.world.state().hosts[host as usize].is_up()
    }

    /// Whether `host` holds `other` to be alive.
    fn holds_alive(&self, host: u32, other: u32) -> bool {
        self.peer(host).live().contains(&self.id(other))
    }

    /// How `host` sees `other`, with a link or without.
    async fn health(&self, host: u32, other: u32) -> Option<Health> {
        let (peer, other) = (self.peer(host), self.id(other));
        let (status, _) = self.ask(async move { peer.status().await }).await;
        status.unwrap().members.iter().find(|member| member.id == other).map(|member| member.health)
    }

    fn members(&self, host: u32) -> Vec<PeerId> {
        self.peer(host).layout().unwrap().members.iter().map(|member| member.id).collect()
    }

    fn links(&self, host: u32) -> usize {
        self.world.state().network.links.of(HostId(host)).len()
    }

    /// Copies that a host's disk has acknowledged.
    fn copies(&self, host: u32) -> usize {
        self.world.state().ledger.copies.on(HostId(host))
    }

    async fn put(&self, at: u32, name: &str, bytes: usize) -> (Result<()>, Duration) {
        let (peer, name) = (self.peer(at), ObjectName::new(name).unwrap());
        let body = Bytes::from(vec![bytes as u8; bytes]);
        self.ask(async move {
            let body = Box::pin(stream::once(std::future::ready(Ok(body))));
            peer.put(name, Format::Bytes, PutCondition::Always, body).await.map(drop)
        })
        .await
    }

    async fn get(&self, at: u32, name: &str) -> (Result<Bytes>, Duration) {
        let (peer, name) = (self.peer(at), ObjectName::new(name).unwrap());
        self.ask(async move {
            let (_, body) = peer.get(name, None).await?;
            let whole: BytesMut = body.try_collect().await?;
            Ok(whole.freeze())
        })
        .await
    }
}
