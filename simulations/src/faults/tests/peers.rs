use shoal_runtime::Stopped;
use shoal_types::{Error, RoleChange};

use super::*;
use crate::faults::{Absence, Clock, Crash, Join, Leave, Partition, Pause, Reclaim, Role, SlowPeer, Stage};
use crate::host::{ClockConditions, Death};

#[test]
fn a_killed_peer_is_down_held_dead_and_comes_back_with_its_copies() {
    trial(|trial| async move {
        let copies = trial.copies(1);
        trial.strike(Crash::default(), &[1], Some(DEAD));
        assert!(!trial.is_up(1));
        trial.seconds(DEAD - 1).await;
        assert!(!trial.is_up(1) && !trial.holds_alive(0, 1));
        trial.seconds(10).await;
        assert!(trial.is_up(1) && trial.holds_alive(0, 1));
        assert!(copies > 0 && trial.copies(1) >= copies);
    });
}

/// Its links break with it, and whoever had one looks after it at once.
#[test]
fn a_killed_peer_is_suspected_in_little_more_than_a_second() {
    trial(|trial| async move {
        trial.strike(Crash { by: Death::Kill, within_changes: 0 }, &[1], Some(DEAD));
        trial.pass(ms(1_300)).await;
        for host in [0, 2, 3, 4] {
            assert_eq!(trial.health(host, 1).await, Some(Health::Suspected), "as {host} sees it");
        }
        trial.seconds(6).await;
        for host in [0, 2, 3, 4] {
            assert_eq!(trial.health(host, 1).await, Some(Health::Dead), "as {host} sees it");
        }
    });
}

#[test]
fn one_whose_power_goes_is_suspected_within_three_seconds_and_dead_within_ten() {
    trial(|trial| async move {
        trial.strike(Crash { by: Death::Power, within_changes: 0 }, &[1], Some(DEAD));
        trial.seconds(3).await;
        let mut suspecting = 0;
        for host in [0, 2, 3, 4] {
            suspecting += usize::from(trial.health(host, 1).await != Some(Health::Alive));
        }
        assert!(suspecting > 0);
        trial.seconds(7).await;
        for host in [0, 2, 3, 4] {
            assert_eq!(trial.health(host, 1).await, Some(Health::Dead), "as {host} sees it");
        }
    });
}

#[test]
fn one_that_comes_back_brings_no_copies_in_place_of_those_it_has_not_met_yet() {
    let mut scenario = Scenario { peers: 12, ..scenario() };
    scenario.workload.data = Nominal(4 << 30);
    // It stays a member while it is away.
    scenario.timing.repair_delay = Span(ms(600_000));
    trial_of(scenario, |trial| async move {
        let all = |trial: &Trial| (0..12).map(|host| trial.copies(host)).sum::<usize>();
        // Whom others had not met when the data came is brought its copies first.
        trial.seconds(20).await;
        let before = all(&trial);
        trial.strike(Crash { by: Death::Kill, within_changes: 0 }, &[4], Some(30));
        trial.seconds(29).await;
        // Others stood in for it.
        let without = all(&trial);
        assert!(without > before, "{without} copies, {before} before");
        // It may have been killed before it was brought all of its own.
        let others = |trial: &Trial| all(trial) - trial.copies(4);
        let (stood_in, mut most) = (others(&trial), 0);
        for _ in 0..400 {
            trial.pass(ms(100)).await;
            most = most.max(others(&trial));
        }
        assert!(trial.holds_alive(0, 4));
        // What stood in for it goes again: three of each of 256 are left.
        assert_eq!((most, all(&trial)), (stood_in, 768));
    });
}

#[test]
fn the_power_goes_in_the_middle_of_a_write() {
    trial(|trial| async move {
        let crash = Crash { by: Death::Power, within_changes: 6 };
        trial.strike(crash, &[1, 2, 3, 4], Some(10));
        assert!((0..5).all(|host| trial.is_up(host)), "not before it writes");
        let (put, _) = trial.put(0, "t/written", 100).await;
        let down = (0..5).filter(|host| !trial.is_up(*host)).count();
        assert!(down >= 2 && put.is_err(), "{down} {put:?}");
        trial.seconds(30).await;
        assert!((0..5).all(|host| trial.is_up(host)));
        assert!(trial.put(0, "t/written", 100).await.0.is_ok());
    });
}

#[test]
fn two_faults_keep_a_peer_down_until_both_have_ended() {
    trial(|trial| async move {
        trial.strike(Crash::default(), &[1], Some(2));
        trial.strike(Crash::default(), &[1], Some(6));
        trial.seconds(4).await;
        assert!(!trial.is_up(1));
        trial.seconds(4).await;
        assert!(trial.is_up(1));
    });
}

#[test]
fn a_paused_peer_is_held_dead_and_catches_up() {
    trial(|trial| async move {
        trial.strike(Pause::default(), &[3], Some(DEAD));
        trial.seconds(DEAD - 1).await;
        assert!(!trial.holds_alive(0, 3));
        assert!(trial.holds_alive(3, 0), "it has not noticed");
        trial.seconds(15).await;
        assert!(trial.holds_alive(0, 3) && trial.holds_alive(3, 0));
    });
}

#[test]
fn a_peer_with_its_clock_set_back_starts_as_a_later_incarnation_all_the_same_and_is_listened_to() {
    trial(|trial| async move {
        let incarnation = |trial: &Trial| trial.world.state().hosts[2].running.as_ref().unwrap().info.incarnation;
        let wall = |trial: &Trial| {
            let state = trial.world.state();
            state.hosts[2].clock.wall_ms(state.heap.now())
        };
        let before = incarnation(&trial);
        let clock = Clock { behind: Span(ms(600_000)), restarts: true, ..Clock::default() };
        trial.strike(clock, &[2], Some(60));
        trial.seconds(30).await;
        assert!(wall(&trial) + 500_000 < before);
        assert_eq!(incarnation(&trial), before + 1);
        let mut others = (0..5).filter(|host| *host != 2);
        assert!(others.all(|host| trial.holds_alive(host, 2) && trial.holds_alive(2, host)));
        assert!(trial.put(2, "t/from the past", 100).await.0.is_ok());
    });
}

#[test]
fn a_clock_goes_on_from_what_it_shows() {
    let mut clock = ClockConditions::default();
    let s = Duration::from_secs;
    clock.set(s(100), -50_000, 100_000);
    assert_eq!((clock.local(s(100)), clock.local(s(110))), (s(100), s(111)));
    assert_eq!(clock.world(s(11)), s(10));
    clock.set(s(110), 0, -500_000);
    assert_eq!((clock.local(s(110)), clock.local(s(120))), (s(111), s(116)));
    clock.set(s(120), 0, 0);
    assert_eq!(clock.local(s(130)), s(126), "what it has lost it does not get back");
}

#[test]
fn a_slow_peer_is_late() {
    trial(|trial| async move {
        trial.put(0, "t/small", 100).await.0.unwrap();
        let (_, before) = trial.get(4, "t/small").await;
        trial.strike(SlowPeer { lag: Span(ms(2_000)), times: 3.0 }, &[4], Some(20));
        assert_eq!(trial.world.state().hosts[4].slowness.percent(), 300);
        let (_, during) = trial.get(4, "t/small").await;
        assert!(before < ms(100) && during > ms(500), "{before:?} {during:?}");
        trial.seconds(20).await;
        assert_eq!(trial.world.state().hosts[4].slowness.percent(), 100);
    });
}

/// A chunk that host 0 has no copy of, and its owners.
async fn a_chunk_elsewhere(trial: &Trial, sizes: std::ops::Range<usize>) -> (String, Vec<u32>) {
    for bytes in sizes {
        let name = format!("t/{bytes}");
        trial.put(0, &name, bytes).await.0.unwrap();
        let (peer, stat) = (trial.peer(0), ObjectName::new(name.clone()).unwrap());
        let asked = peer.clone();
        let (manifest, _) = trial.ask(async move { asked.stat(stat).await }).await;
        let owners = peer.owners_of_chunk(manifest.unwrap().chunks[0].id);
        let owners: Vec<u32> = owners.iter().filter_map(|id| (0..5).find(|host| trial.id(*host) == *id)).collect();
        if !owners.contains(&0) {
            return (name, owners);
        }
    }
    panic!("host 0 owns everything");
}

#[test]
fn a_holder_that_is_slow_does_not_slow_a_read_that_another_can_serve() {
    trial(|trial| async move {
        let slow = SlowPeer { lag: Span(ms(8_000)), times: 1.0 };
        let (name, owners) = a_chunk_elsewhere(&trial, 4_000..4_020).await;
        trial.strike(slow.clone(), &owners[..1], Some(5));
        let (read, one) = trial.get(0, &name).await;
        read.unwrap();
        trial.seconds(60).await;
        let (name, owners) = a_chunk_elsewhere(&trial, 4_020..4_040).await;
        trial.strike(slow, &owners, Some(5));
        let (read, all) = trial.get(0, &name).await;
        read.unwrap();
        assert!(one < ms(2_000) && one * 2 < all, "{one:?} where one is slow, {all:?} where all are");
    });
}

#[test]
fn a_reclaimed_host_is_gone_for_good_and_its_copies_are_made_again() {
    trial(|trial| async move {
        let total: usize = (0..5).map(|host| trial.copies(host)).sum();
        trial.strike(Reclaim::default(), &[4], None);
        trial.seconds(1).await;
        assert_eq!((trial.is_up(4), trial.copies(4)), (false, 0));
        trial.world.start(HostId(4));
        trial.seconds(30).await;
        assert!(!trial.is_up(4) && !trial.members(0).contains(&trial.id(4)));
        assert_eq!((0..5).map(|host| trial.copies(host)).sum::<usize>(), total);
    });
}

#[test]
fn one_that_comes_in_a_reclaimed_ones_place_is_a_new_peer() {
    trial(|trial| async move {
        let before = trial.id(0);
        // The first one too, which once formed the mesh.
        trial.strike(Reclaim::default(), &[0], Some(5));
        trial.seconds(45).await;
        assert!(trial.is_up(0) && trial.id(0) != before);
        let members = trial.members(1);
        assert!(members.contains(&trial.id(0)) && !members.contains(&before), "{members:?}");
        assert!(trial.copies(0) > 0);
    });
}

#[test]
fn latecomers_join_a_mesh_that_is_there() {
    let late = Scenario { peers: 8, latecomers: 3, ..scenario() };
    trial_of(late, |trial| async move {
        assert_eq!(trial.members(0).len(), 5);
        assert!((5..8).all(|host| !trial.is_up(host)));
        trial.strike(Join { within: Span(ms(500)) }, &[5, 6, 7], None);
        trial.seconds(20).await;
        assert!((0..8).all(|host| trial.members(host).len() == 8));
        assert!((5..8).map(|host| trial.copies(host)).sum::<usize>() > 0);
    });
}

#[test]
fn newcomers_that_are_gone_before_they_have_taken_over_leave_the_mesh_as_it_was() {
    let late = Scenario { peers: 8, latecomers: 5, ..scenario() };
    trial_of(late, |trial| async move {
        trial.strike(Join { within: Span(ms(100)) }, &[3, 4, 5, 6, 7], None);
        while trial.members(0).len() < 8 {
            trial.pass(ms(10)).await;
        }
        assert!(trial.peer(0).layout().unwrap().is_joint());
        // Most of the new owners: of some names, all but one.
        trial.strike(Crash { by: Death::Power, ..Crash::default() }, &[3, 4, 5, 6, 7], None);
        trial.seconds(60).await;
        for host in 0..3 {
            assert_eq!(trial.members(host).len(), 3);
            assert!(!trial.peer(host).layout().unwrap().is_joint());
        }
        trial.put(1, "t/after", 1000).await.0.unwrap();
        assert_eq!(trial.get(2, "t/after").await.0.unwrap().len(), 1000);
    });
}

#[test]
fn how_much_moves_is_told_of_all_who_say_so_within_a_second_though_one_hangs() {
    let late = Scenario { peers: 6, latecomers: 1, ..scenario() };
    trial_of(late, |trial| async move {
        let told = async |host| {
            let peer = trial.peer(host);
            let asked = async move {
                let here = peer.status().await?.moving;
                peer.moving(here).await
            };
            let (told, took) = trial.ask(asked).await;
            (told.unwrap(), took)
        };
        let (settled, took) = told(0).await;
        assert!(settled.is_none() && took < ms(100), "{settled:?} {took:?}");
        trial.strike(Join { within: Span(ms(1)) }, &[5], None);
        while !trial.peer(0).layout().unwrap().is_joint() {
            trial.pass(ms(1)).await;
        }
        trial.strike(Pause::default(), &[3], Some(2));
        let (moving, took) = told(0).await;
        let moving = moving.unwrap();
        assert!(moving.peers > 0 && moving.silent > 0, "{moving:?}");
        assert!((ms(1_000)..ms(1_100)).contains(&took), "{took:?}");
        trial.seconds(30).await;
        assert_eq!(told(0).await.0, None);
        assert!(trial.members(0).contains(&trial.id(5)) && trial.copies(5) > 0);
    });
}

#[test]
fn copies_that_stood_in_for_one_that_was_away_go_once_it_is_back() {
    trial(|trial| async move {
        let all = |trial: &Trial| -> usize { (0..5).map(|host| trial.copies(host)).sum() };
        assert_eq!(all(&trial), 48, "three of each of 16 chunks");
        trial.strike(Crash::default(), &[1], Some(DEAD));
        trial.seconds(DEAD - 1).await;
        assert!(all(&trial) > 48, "others have stood in for it");
        trial.seconds(40).await;
        assert!(trial.is_up(1) && trial.copies(1) > 0);
        assert_eq!(all(&trial), 48);
    });
}

#[test]
fn one_that_leaves_hands_its_data_over_first_and_comes_back_as_a_newcomer() {
    trial(|trial| async move {
        let (id, peer) = (trial.id(3), trial.peer(3));
        trial.strike(Role { leaves: true, ..Role::default() }, &[3], None);
        while trial.members(0).contains(&id) || trial.peer(0).layout().unwrap().is_joint() {
            trial.pass(ms(10)).await;
        }
        // Three copies of each of 16 chunks, and none of them on it.
        let staying: usize = [0, 1, 2, 4].into_iter().map(|host| trial.copies(host)).sum();
        assert!(staying >= 48, "{staying}");
        let (stopped, _) = trial.ask(async move { peer.stopped().await }).await;
        assert_eq!(stopped, Stopped::Left);
        trial.seconds(10).await;
        assert!(trial.is_up(3) && trial.holds_alive(0, 3) && trial.members(0).contains(&id));
        assert!(!trial.peer(3).layout().unwrap().is_joint());
    });
}

#[test]
fn one_that_has_left_for_good_is_followed_by_another_with_an_empty_disk() {
    trial(|trial| async move {
        let before = trial.id(3);
        trial.strike(Role { leaves: true, wiped: true, ..Role::default() }, &[3], None);
        trial.seconds(40).await;
        let after = trial.id(3);
        assert!(trial.is_up(3) && after != before);
        assert!(trial.members(0).contains(&after) && !trial.members(0).contains(&before));
        let all: usize = (0..5).map(|host| trial.copies(host)).sum();
        assert!(all >= 48, "three of each of 16 chunks are there without what it kept: {all}");
    });
}

#[test]
fn one_that_is_away_while_it_leaves_goes_once_it_is_back_and_another_comes() {
    for (by, when) in [(Absence::Kill, Stage::Joint), (Absence::Cut, Stage::Told), (Absence::Pause, Stage::Settled)] {
        trial(|trial| async move {
            let before = trial.id(3);
            let leave = Leave { wiped: true, by, when, ..Leave::default() };
            trial.strike(leave, &[3], Some(20));
            trial.seconds(5).await;
            assert_eq!(trial.id(3), before, "{by:?}: it is away");
            trial.seconds(40).await;
            assert_ne!(trial.id(3), before, "{by:?}");
            assert!(trial.members(0).contains(&trial.id(3)) && trial.members(0).len() == 5);
        });
    }
}

#[test]
fn one_that_is_to_leave_and_is_then_to_stay_stays() {
    trial(|trial| async move {
        trial.strike(Partition::default(), &[0, 1, 2], Some(8));
        // Nobody can decide that it goes.
        trial.strike(Role { leaves: true, ..Role::default() }, &[3], Some(4));
        trial.seconds(30).await;
        assert!((0..5).all(|host| trial.is_up(host) && trial.members(host).contains(&trial.id(3))));
    });
}

#[test]
fn the_last_one_cannot_leave() {
    trial_of(Scenario { peers: 1, ..scenario() }, |trial| async move {
        let peer = trial.peer(0);
        let leave = RoleChange { leaves: Some(true), ..RoleChange::default() };
        let (refused, _) = trial.ask(async move { peer.change_role(peer.id(), leave).await }).await;
        assert!(matches!(refused, Err(Error::Invalid { .. })), "{refused:?}");
        trial.seconds(10).await;
        assert!(trial.is_up(0));
    });
}

#[test]
fn a_changed_weight_is_in_the_layout_of_all_and_outlives_a_restart() {
    trial(|trial| async move {
        let weights = |trial: &Trial| -> Vec<u32> {
            let of = |host| trial.peer(host).layout().unwrap().member(trial.id(4)).unwrap().weight;
            (0..5).map(of).collect()
        };
        trial.strike(Role { weight: Some(300), ..Role::default() }, &[4], None);
        trial.seconds(5).await;
        assert_eq!(weights(&trial), [300; 5]);
        trial.strike(Crash::default(), &[4], Some(1));
        trial.seconds(10).await;
        assert_eq!(weights(&trial), [300; 5]);
        trial.strike(Role { weight: Some(0), ..Role::default() }, &[4], Some(5));
        trial.seconds(4).await;
        assert_eq!(weights(&trial), [0; 5]);
        trial.seconds(5).await;
        assert_eq!(weights(&trial), [100; 5]);
    });
}

#[test]
fn the_secret_changes_while_one_is_away_who_learns_of_it_when_it_is_back() {
    let mut scenario = scenario();
    // It stays a member while it is away.
    scenario.timing.repair_delay = Span(ms(600_000));
    trial_of(scenario, |trial| async move {
        trial.strike(Crash::default(), &[3], Some(40));
        trial.strike(Partition::default(), &[4], Some(20));
        let before = trial.peer(0).secrets().1;
        let peer = trial.peer(0);
        trial.ask(async move { peer.rotate_secret().await }).await.0.unwrap();
        trial.seconds(30).await;
        let both = trial.peer(0).secrets().1;
        assert_eq!((both.generation, both.previous.as_ref()), (1, Some(&before.current)));
        assert!([1, 2, 4].into_iter().all(|host| trial.peer(host).secrets().1 == both));
        let again = trial.peer(1);
        assert!(trial.ask(async move { again.rotate_secret().await }).await.0.is_err());
        trial.seconds(60).await;
        for host in 0..5 {
            let after = trial.peer(host).secrets().1;
            assert_eq!((after.current, after.previous), (both.current.clone(), None), "{host}");
        }
        // It is what admits from then on, and is remembered.
        trial.strike(Crash::default(), &[0, 1, 2, 3, 4], Some(5));
        trial.seconds(60).await;
        assert!((0..5).all(|host| trial.links(host) == 4 && trial.peer(host).secrets().1.generation == 1));
    });
}
