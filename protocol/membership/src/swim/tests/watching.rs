//! Who watches whom, and who is suspected.

use super::*;

#[test]
fn each_is_watched_by_three_others_or_by_all_of_fewer() {
    for (count, watchers) in [(2, 1), (3, 2), (4, 3), (20, 3)] {
        let mut world = World::of(count);
        world.run_until(Duration::from_secs(5));
        for n in 0..count {
            let peer = identity(n).peer;
            let watching = world.peers.iter().filter(|other| other.watch.is_watched(peer));
            assert_eq!(watching.count(), watchers, "{n} of {count}");
        }
    }
}

#[test]
fn a_lost_link_has_the_dead_suspected_within_a_second_and_the_living_not_at_all() {
    let mut world = World::of(30);
    world.run_until(Duration::from_secs(5));
    world.dead.push(4);
    for n in [9, 11] {
        for lost in [4, 20] {
            let actions = world.peers[n].link_lost(identity(lost).peer);
            world.perform(n, actions);
        }
    }
    world.run_until(Duration::from_millis(6_010));
    assert_eq!(world.health(9, 4), Some(Health::Suspected));
    world.run_until(Duration::from_secs(12));
    for observer in (0..30).filter(|n| *n != 4) {
        assert_eq!(world.health(observer, 4), Some(Health::Dead));
        assert!(observer == 20 || world.health(observer, 20) == Some(Health::Alive));
    }
    assert_eq!(world.peers[20].us.incarnation(), 0, "it had to refute nothing");
    // Nor does it matter whose link that was.
    assert!(world.peers[9].link_lost(PeerId::from_bytes([99; 32])).is_empty());
    assert!(world.peers[9].link_lost(identity(4).peer).is_empty());
}

#[test]
fn links_that_break_all_at_once_are_not_all_probed_at_once() {
    let mut world = World::of(50);
    world.run_until(Duration::from_secs(2));
    let probed = (0..49).filter(|n| !world.peers[49].link_lost(identity(*n).peer).is_empty()).count();
    assert!((20..=32).contains(&probed), "{probed}");
}

#[test]
fn whoever_is_suspected_is_told_so_and_objects() {
    let mut world = World::of(5);
    world.run_until(Duration::from_secs(5));
    let suspected = identity(3).peer;
    // Its answers do not come, for once.
    world.peers[0].link_lost(suspected);
    let actions = world.peers[0].timer(Timer::Watch, Duration::ZERO);
    let verdict = actions.into_iter().find_map(|action| match action {
        Action::After { timer: timer @ Timer::Verdict { .. }, .. } => Some(timer),
        _ => None,
    });
    let verdict = verdict.unwrap();
    // Nor do those of anybody else: it waits once more.
    let more = world.peers[0].timer(verdict.clone(), Duration::ZERO);
    assert!(matches!(&more[..], [Action::After { timer, .. }] if *timer == verdict), "{more:?}");
    let actions = world.peers[0].timer(verdict, Duration::ZERO);
    assert_eq!(world.health(0, 3), Some(Health::Suspected));
    world.perform(0, actions);
    world.run_until(Duration::from_millis(5_010));
    assert_eq!(world.health(0, 3), Some(Health::Alive));
    assert_eq!((world.peers[3].us.incarnation(), world.peers[3].identity().incarnation), (1, 1));
    world.run_until(Duration::from_secs(20));
    assert!((0..5).filter(|n| *n != 3).all(|n| world.health(n, 3) == Some(Health::Alive)));
}

#[test]
fn an_answer_of_another_incarnation_or_to_another_probe_is_none() {
    let mut world = World::of(3);
    world.run_until(Duration::from_secs(5));
    let (us, other) = (identity(0).peer, identity(1).peer);
    let Some(Action::Send { packet, .. }) = world.peers[0].link_lost(other).into_iter().next() else {
        panic!("no ping")
    };
    let Some(Packet::Ping(call)) = Packet::from_bytes(&packet) else { panic!("no ping") };
    let later = Call { incarnation: 2, ..call };
    assert!(world.peers[1].packet(us, &Packet::Ping(later).to_bytes()).is_empty());
    for pong in [later, Call { number: call.number + 1, ..call }] {
        world.peers[0].packet(other, &Packet::Pong(pong).to_bytes());
        assert!(world.peers[0].watch.is_waiting(call.number));
    }
    world.peers[0].packet(other, &Packet::Pong(call).to_bytes());
    assert!(!world.peers[0].watch.is_waiting(call.number));
}

#[test]
fn whoever_is_late_itself_gives_others_more_time_once() {
    let mut world = World::of(3);
    world.run_until(Duration::from_secs(5));
    let (late, punctual) = (Duration::from_millis(700), Duration::from_millis(1));
    let mut peer = world.peers.remove(0);
    let verdict = Timer::Verdict { number: 99 };
    assert!(peer.timer(verdict.clone(), punctual).is_empty());
    let [Action::After { delay, timer }] = &peer.timer(verdict.clone(), late)[..] else { panic!("no more time") };
    assert_eq!((*delay, timer), (late, &Timer::Again(Box::new(verdict.clone()))));
    assert!(peer.timer(timer.clone(), late).is_empty());
    // For a while it may be late again.
    assert_eq!(peer.timer(verdict.clone(), punctual).len(), 1);
    for _ in 0..100 {
        peer.timer(verdict.clone(), punctual);
    }
    assert!(peer.timer(verdict, punctual).is_empty());
}
