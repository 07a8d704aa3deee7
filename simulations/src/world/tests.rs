mod asking;
mod collecting;
mod copies;
mod crowd;
mod history;
mod leaving;
mod links;
mod listing;
mod meeting;
mod registers;
mod repair;
mod replicas;
mod requests;
mod scrubbing;
mod weightless;

use std::time::Duration;

use shoal_types::Health;

use super::*;
use crate::executor;
use crate::network::NetworkConfig;

fn config() -> WorldConfig {
    WorldConfig {
        replicas: 3,
        timing: shoal_runtime::Timing::default(),
        bounds: shoal_runtime::Bounds { put_batch_bytes: 4096, ..shoal_runtime::Bounds::default() },
        planted: None,
        mixes_attempts: false,
        chunk_bytes: 4096,
        bytes_scale: 1,
        inbound_max: 4096,
    }
}

fn specs(count: usize) -> Vec<HostSpec> {
    let spec =
        HostSpec { zone: "a".into(), weight: 100, slots: 2, disk: crate::disk::DiskConfig::default(), is_late: false };
    vec![spec; count]
}

fn run(count: usize, formed: bool, seconds: u64, seed: u64) -> (String, u64, usize, usize) {
    executor::run(async move |idle| {
        let world = World::build(seed, config(), NetworkConfig::default(), specs(count));
        if formed {
            world.form().unwrap();
        }
        for host in world.hosts() {
            world.start(host);
        }
        world.run_until(&idle, Duration::from_secs(seconds)).await;
        let mut alive = usize::MAX;
        let mut members = usize::MAX;
        for host in world.hosts() {
            let peer = world.state().hosts[host.index()].running.as_ref().unwrap().peer.clone().unwrap();
            let (done, status) = tokio::sync::oneshot::channel();
            tokio::spawn(async move { done.send(peer.status().await.unwrap()).ok() });
            let end = world.now() + Duration::from_millis(10);
            world.run_until(&idle, end).await;
            let status = status.await.unwrap();
            alive = alive.min(status.members.iter().filter(|m| m.health == Health::Alive).count());
            members = members.min(status.layout.map_or(0, |layout| layout.members.len()));
        }
        let state = world.state();
        (state.trace.digest(), state.trace.events(), alive, members)
    })
    .unwrap()
}

#[test]
fn five_peers_find_each_other_and_the_same_seed_is_the_same_world() {
    let (trace, events, alive, members) = run(5, false, 20, 1);
    assert_eq!((alive, members), (5, 5), "{events} events");
    assert_eq!(run(5, false, 20, 1).0, trace);
    assert_ne!(run(5, false, 20, 2).0, trace);
}

#[test]
fn a_panic_that_a_task_catches_is_a_violation_all_the_same() {
    let _listening = crate::panics::listen();
    let broken = executor::run(async move |idle| {
        let world = World::build(1, config(), NetworkConfig::default(), specs(1));
        world.after(Duration::from_secs(1), "test", |_| drop(tokio::spawn(async { panic!("too bad") })));
        world.run_until(&idle, Duration::from_secs(5)).await;
        let state = world.state();
        state.broken.iter().map(|(broken, _)| (broken.invariant, broken.at, broken.what.clone())).collect::<Vec<_>>()
    });
    let [(invariant, at, what)] = &broken.unwrap()[..] else { panic!("not one violation") };
    assert_eq!((*invariant, *at), ("no-panics", Duration::from_secs(1)));
    assert!(what.starts_with("too bad, at ") && what.contains("world/tests.rs"), "{what}");
}
