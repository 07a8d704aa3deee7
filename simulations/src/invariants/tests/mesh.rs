//! What a mesh of real peers shows when one of them is gone.

use std::sync::Arc;
use std::time::Duration;

use shoal_runtime::Planted;
use shoal_types::{Layout, Member};

use super::{broken, check, world};
use crate::executor;
use crate::host::{Death, HostId};
use crate::invariants::{Invariant, Moment, bounded, leaks, membership, same_owners, settles};
use crate::ledger::Place;
use crate::{Scenario, Simulation, Span};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_mesh_is_whole_again_when_everyone_has_noticed_and_nothing_is_left_over() {
    executor::run(async move |idle| {
        let world = world(4);
        world.form().unwrap();
        for host in world.hosts() {
            world.start(host);
        }
        world.run_until(&idle, 4 * SECOND).await;
        let mut membership = membership::MembershipConverges::default();
        let mut settles = settles::Settles::default();
        let mut same_owners = same_owners::SameOwners::default();
        let mut bounded = bounded::Bounded::default();
        let mut leaks = leaks::NoLeaks::default();
        for invariant in [&mut membership as &mut dyn Invariant, &mut settles, &mut same_owners, &mut bounded] {
            check(&world, invariant, Moment::Tick, &[]);
            assert!(invariant.is_whole(&world), "{:?}", invariant.symptom(&world));
        }

        world.crash(HostId(3), Death::Power);
        assert!(membership.symptom(&world).unwrap().contains("still counts on peer-3"));
        assert!(settles.symptom(&world).unwrap().contains("still has peer-3"));
        for second in 5..=40 {
            world.run_until(&idle, second * SECOND).await;
            check(&world, &mut membership, Moment::Tick, &[]);
            check(&world, &mut settles, Moment::Tick, &[]);
        }
        assert!(membership.is_whole(&world), "{:?}", membership.symptom(&world));
        assert!(settles.is_whole(&world), "{:?}", settles.symptom(&world));
        check(&world, &mut membership, Moment::End, &[]);

        // Something that never ends is left over.
        let incarnation = world.state().hosts[0].running.as_ref().unwrap().incarnation.clone();
        let stuck = incarnation.spawn("stuck", std::future::pending()).unwrap();
        for second in 41..44 {
            assert!(!leaks.is_whole(&world));
            world.run_until(&idle, second * SECOND).await;
        }
        let symptom = leaks.symptom(&world).unwrap();
        assert!(symptom.ends_with("1 tasks 'stuck' of peer-0"), "{symptom}");
        stuck.abort();
        world.run_until(&idle, 45 * SECOND).await;
        assert!(leaks.is_whole(&world), "{:?}", leaks.symptom(&world));
        assert_eq!(broken(&world), []);

        // Somebody is told of another layout than the others have.
        let (peer, layout) = {
            let peer = world.peers()[2].1.clone();
            let layout = peer.layout().unwrap();
            let members = layout.members.iter().skip(1).cloned().collect::<Vec<Member>>();
            (peer, Arc::new(Layout { version: layout.version + 1, members, ..(*layout).clone() }))
        };
        world.state().ledger.layouts.seen(peer.id(), Place::InForce, &layout);
        check(&world, &mut same_owners, Moment::Tick, &["is back in"]);
        world.clear();
        idle.reached().await;
    })
    .unwrap();
}

/// Which invariant a run with a planted bug breaks first.
fn caught(planted: Planted, seeds: std::ops::Range<u64>, change: impl Fn(&mut Scenario)) -> Option<String> {
    seeds.into_iter().find_map(|seed| {
        let mut scenario = Scenario { peers: 5, duration: Span(12 * SECOND), ..Scenario::default() };
        change(&mut scenario);
        let mut simulation = Simulation::new(scenario, seed);
        simulation.planted = Some(planted);
        simulation.run().unwrap().violations.first().map(|violation| violation.invariant.clone())
    })
}

#[test]
fn a_copy_too_few_at_the_acknowledgement_is_found() {
    assert_eq!(caught(Planted::AckBeforeReplicas, 1..2, |_| {}).as_deref(), Some("durable"));
}

#[test]
fn a_read_without_a_quorum_is_found() {
    let contended = |scenario: &mut Scenario| {
        scenario.workload.names = 1;
        scenario.workload.clients = 8;
        scenario.workload.think = Span(SECOND / 20);
        scenario.workload.data = crate::Bytes(0);
    };
    assert_eq!(caught(Planted::StaleRead, 1..4, contended).as_deref(), Some("linearizable"));
}

#[test]
fn what_runs_for_a_job_that_is_over_is_found() {
    let failing = include_str!("../../planted/failing-jobs.toml");
    let failing_jobs = |scenario: &mut Scenario| *scenario = Scenario::parse(failing).unwrap();
    assert_eq!(caught(Planted::ForgetsToCancel, 1..2, failing_jobs).as_deref(), Some("no-orphans"));
}
