use super::*;
use crate::faults::{Bandwidth, Cut, Direction, Duplicate, Join, Latency, Loss, Partition, Reach, Reorder};
use crate::scenario::Share;

#[test]
fn latency_makes_operations_slower_and_ends() {
    trial(|trial| async move {
        trial.put(0, "t/small", 100).await.0.unwrap();
        let (_, before) = trial.get(0, "t/small").await;
        let latency = Latency { latency: Span(ms(300)), jitter: Span(ms(1)), with: Reach::All };
        trial.strike(latency, &[0], Some(10));
        let (read, during) = trial.get(0, "t/small").await;
        assert!(read.is_ok() && before < ms(100) && during > ms(600), "{before:?} {during:?}");
        trial.seconds(10).await;
        assert!(trial.get(0, "t/small").await.1 < ms(100));
    });
}

#[test]
fn a_peer_whose_gossip_is_lost_is_held_dead_until_it_gets_through() {
    trial(|trial| async move {
        trial.strike(Loss { share: Share(0.98), with: Reach::All }, &[1], Some(DEAD));
        let mut was_missed = false;
        for _ in 0..DEAD {
            trial.seconds(1).await;
            was_missed |= [0, 2, 3, 4].iter().any(|host| !trial.holds_alive(*host, 1));
        }
        assert!(was_missed);
        trial.seconds(15).await;
        assert!((0..5).filter(|host| *host != 1).all(|host| trial.holds_alive(host, 1)));
    });
}

#[test]
fn duplicated_packets_arrive_twice() {
    trial(|trial| async move {
        let bytes = |trial: &Trial| {
            let state = trial.world.state();
            let sum =
                |of: fn(&crate::host::HostStats) -> u64| state.hosts.iter().map(|host| of(&host.stats)).sum::<u64>();
            (sum(|stats| stats.sent_bytes), sum(|stats| stats.received_bytes))
        };
        let before = bytes(&trial);
        trial.strike(Duplicate { share: Share(1.0), with: Reach::All }, &[0, 1, 2, 3, 4], None);
        trial.seconds(5).await;
        let after = bytes(&trial);
        let (sent, received) = (after.0 - before.0, after.1 - before.1);
        assert!(received > sent * 3 / 2, "{sent} sent, {received} received");
    });
}

#[test]
fn overtaken_packets_come_late() {
    trial(|trial| async move {
        trial.put(0, "t/small", 100).await.0.unwrap();
        let mut times = Vec::new();
        for _ in 0..2 {
            let mut time = Duration::ZERO;
            for _ in 0..20 {
                time += trial.get(0, "t/small").await.1;
            }
            times.push(time);
            trial.strike(Reorder { share: Share(1.0), with: Reach::All }, &[0, 1, 2, 3], None);
        }
        assert!(times[1] > times[0] * 3 / 2, "{times:?}");
    });
}

#[test]
fn chunks_take_their_time_on_a_slow_line() {
    trial(|trial| async move {
        let (_, before) = trial.put(0, "t/before", 4096).await;
        trial.strike(Bandwidth { bandwidth: Nominal(4 << 20), with: Reach::All }, &[0], Some(60));
        let (_, during) = trial.put(0, "t/during", 4097).await;
        // A chunk stands for 16 MiB.
        assert!(before < ms(1_000) && during > ms(3_900), "{before:?} {during:?}");
    });
}

#[test]
fn what_waits_for_a_slow_line_goes_at_the_new_pace_once_that_is_over() {
    trial(|trial| async move {
        // A chunk stands for 16 MiB: one would take minutes.
        trial.strike(Bandwidth { bandwidth: Nominal(100_000), with: Reach::All }, &[0], Some(2));
        let (put, during) = trial.put(0, "t/during", 3 * 4096).await;
        put.unwrap();
        assert!(during > ms(1_900) && during < ms(3_000), "{during:?}");
        // Nor is the line held by what was to be.
        let (_, after) = trial.put(0, "t/after", 4097).await;
        assert!(after < ms(1_000), "{after:?}");
    });
}

#[test]
fn what_is_on_a_line_slows_down_with_it() {
    trial(|trial| async move {
        let slow = |bandwidth| Bandwidth { bandwidth: Nominal(bandwidth), with: Reach::All };
        trial.strike(slow(16 << 20), &[0], Some(60));
        let put = trial.put(0, "t/during", 4097);
        let ((_, during), ()) = futures::join!(put, async {
            trial.pass(ms(500)).await;
            trial.strike(slow(4 << 20), &[0], Some(60));
        });
        // Half of a chunk of 16 MiB in half a second, the other half in two.
        assert!(during > ms(2_400), "{during:?}");
    });
}

#[test]
fn a_minority_cut_off_decides_nothing_and_is_held_dead() {
    trial(|trial| async move {
        trial.strike(Partition::default(), &[3, 4], Some(DEAD));
        let (inside, _) = trial.put(4, "t/inside", 100).await;
        let (outside, _) = trial.put(0, "t/outside", 100).await;
        assert!(inside.is_err() && outside.is_ok(), "{inside:?} {outside:?}");
        assert!(!trial.holds_alive(0, 3) && !trial.holds_alive(4, 0) && trial.holds_alive(4, 3));
        trial.seconds(DEAD + 15).await;
        assert!(trial.holds_alive(0, 3) && trial.holds_alive(4, 0));
        assert!(trial.put(4, "t/inside", 100).await.0.is_ok());
    });
}

#[test]
fn one_way_is_enough_to_be_missed() {
    for direction in [Direction::In, Direction::Out] {
        trial(move |trial| async move {
            trial.strike(Partition { direction, links: Share(1.0) }, &[2], Some(DEAD));
            let blocked = |from, to| trial.world.state().network.is_blocked(HostId(from), HostId(to));
            assert_eq!((blocked(2, 0), blocked(0, 2)), (direction == Direction::Out, direction == Direction::In));
            trial.seconds(DEAD - 1).await;
            assert!(!trial.holds_alive(0, 2), "{direction:?}");
        });
    }
}

#[test]
fn a_part_of_the_links_can_be_cut() {
    trial(|trial| async move {
        trial.strike(Partition { direction: Direction::Both, links: Share(0.5) }, &[0], None);
        let blocked = (1..5).filter(|other| trial.world.state().network.is_blocked(HostId(0), HostId(*other)));
        assert!((1..=3).contains(&blocked.count()));
        // Those who see it vouch for it.
        trial.seconds(DEAD).await;
        assert!((1..5).all(|other| trial.holds_alive(other, 0)));
    });
}

#[test]
fn cut_connections_break_at_once_and_are_made_again() {
    trial(|trial| async move {
        assert_eq!(trial.links(2), 4);
        trial.strike(Cut { links: Share(1.0), again: Span(ms(1_000)) }, &[2], Some(3));
        assert_eq!((trial.links(2), trial.links(0)), (0, 3));
        let mut breaks = 0;
        let mut before = 0;
        for _ in 0..60 {
            trial.pass(ms(50)).await;
            let now = trial.links(2);
            breaks += usize::from(now == 0 && before > 0);
            before = now;
        }
        assert!(breaks >= 1, "it broke again");
        trial.seconds(5).await;
        assert_eq!(trial.links(2), 4);
        assert!(trial.get(2, "data/part-00000").await.0.is_ok());
    });
}

/// They break again every second, and a peer without any is suspected: but not
/// for longer than it takes to make one, and nobody declares it dead.
#[test]
fn one_whose_links_all_break_lives_on() {
    trial(|trial| async move {
        trial.strike(Cut { links: Share(1.0), again: Span(ms(1_000)) }, &[2], Some(20));
        let mut suspected = 0;
        for _ in 0..100 {
            trial.pass(ms(250)).await;
            for host in [0, 1, 3, 4] {
                let health = trial.health(host, 2).await;
                assert!(matches!(health, Some(Health::Alive | Health::Suspected)), "{health:?}");
                suspected += usize::from(health == Some(Health::Suspected));
            }
        }
        assert!(suspected <= 40, "{suspected} times of 400");
        assert_eq!(trial.links(2), 4);
    });
}

#[test]
fn a_flood_of_garbage_from_a_member_stops_nobody() {
    const FRAMES: usize = 20_000;
    trial(|trial| async move {
        let mut random = trial.world.random(&[1]);
        for n in 0..FRAMES {
            let bytes = (0..n % 300).map(|_| random.below(256) as u8).collect::<Vec<u8>>();
            // Every other one begins as a frame of this version does.
            let frame: Bytes = if n % 2 == 0 { bytes } else { [&[1], &bytes[..]].concat() }.into();
            trial.world.gossip(HostId(1), HostId(0), frame.clone());
            if n % 10 == 0 {
                let (world, to) = (trial.world.clone(), trial.id(0));
                tokio::spawn(async move { world.call(HostId(1), HostId(0), to, frame).await.map(drop) });
            }
            if n % 100 == 0 {
                trial.pass(ms(10)).await;
            }
        }
        let (put, took) = trial.put(0, "t/during", 1000).await;
        assert!(put.is_ok() && took < ms(2_000), "{put:?} after {took:?}");
        trial.seconds(10).await;
        let layout = trial.peer(0).layout().unwrap();
        for host in 0..5 {
            assert!((0..5).all(|other| host == other || trial.holds_alive(host, other)), "as {host} sees it");
            assert_eq!(trial.peer(host).layout().unwrap(), layout);
            assert_eq!(trial.get(host, "t/during").await.0.unwrap().len(), 1000);
        }
    });
}

/// Once what a newcomer was brought took the room of what was put there, and
/// those who had waited long for their turn went on without one.
#[test]
fn puts_wait_little_for_what_a_newcomer_behind_a_slow_line_is_brought() {
    const PEERS: u32 = 13;
    let mut late = Scenario { peers: PEERS, latecomers: 1, ..scenario() };
    late.workload.data = Nominal(8 << 30);
    trial_of(late, |trial| async move {
        let newcomer = PEERS - 1;
        trial.strike(Bandwidth { bandwidth: Nominal(30_000_000), with: Reach::All }, &[newcomer], None);
        trial.strike(Join { within: Span(ms(1)) }, &[newcomer], None);
        let slowest = async |from: usize| {
            let mut times = Vec::new();
            for n in from..from + 60 {
                let (put, time) = trial.put(n as u32 % (PEERS - 1), &format!("t/{n}"), 4000 + n).await;
                assert_eq!(put, Ok(()));
                times.push(time);
            }
            times.sort();
            (times[30], times[58])
        };
        trial.seconds(5).await;
        assert!(trial.peer(0).layout().unwrap().is_joint());
        let during = slowest(0).await;
        trial.seconds(300).await;
        let layout = trial.peer(0).layout().unwrap();
        assert!(!layout.is_joint() && layout.member(trial.id(newcomer)).is_some());
        let after = slowest(100).await;
        assert!(during.1 < after.1 * 2, "{during:?} {after:?}");
    });
}
