use std::collections::BTreeMap;

use shoal_types::PeerInfo;

use super::*;

/// A mesh in virtual time: every packet takes a millisecond.
struct World {
    now: Duration,
    peers: Vec<Swim>,
    dead: Vec<usize>,
    due: BTreeMap<(Duration, u64), (usize, Due)>,
    counter: u64,
}

enum Due {
    Packet(PeerId, Bytes),
    TellDead(PeerId, u64),
    TellOutdated(PeerId, u64),
    Timer(Timer),
}

fn identity(n: usize) -> Identity {
    Identity { peer: PeerId::from_bytes([n as u8 + 1; 32]), incarnation: 1, addresses: [format!("host:{n}")].into() }
}

fn index(peer: PeerId) -> usize {
    usize::from(peer.as_bytes()[0]) - 1
}

impl Swim {
    /// What is kept for looking up is what foca knows.
    fn check_known(&self) {
        let us = self.identity().peer;
        let theirs = self.foca.iter_membership_state().filter(|member| member.id().peer != us);
        let theirs: PeerMap<Member<Identity>> = theirs.map(|member| (member.id().peer, member.clone())).collect();
        assert_eq!(self.known, theirs);
    }
}

impl World {
    fn of(count: usize) -> Self {
        let peers = (0..count).map(|n| Swim::new(identity(n), &SwimConfig::default(), n as u64)).collect();
        let mut world = Self { now: Duration::ZERO, peers, dead: vec![], due: BTreeMap::new(), counter: 0 };
        for n in 1..count {
            let actions = world.peers[n].announce(identity(0));
            world.perform(n, actions);
        }
        world
    }

    fn perform(&mut self, from: usize, actions: Vec<Action>) {
        for action in actions {
            let (delay, to, due) = match action {
                Action::Send { to, packet } => {
                    (Duration::from_millis(1), index(to), Due::Packet(identity(from).peer, packet))
                }
                Action::TellDead { to, incarnation } => {
                    (Duration::from_millis(1), index(to), Due::TellDead(identity(from).peer, incarnation))
                }
                Action::TellOutdated { to, incarnation } => {
                    (Duration::from_millis(1), index(to), Due::TellOutdated(identity(from).peer, incarnation))
                }
                Action::After { delay, timer } => (delay, from, Due::Timer(timer)),
                Action::Up(_) | Action::Down(_) | Action::Disbelieved { .. } => continue,
            };
            self.counter += 1;
            self.due.insert((self.now + delay, self.counter), (to, due));
        }
    }

    fn run_until(&mut self, end: Duration) {
        while let Some(entry) = self.due.first_entry() {
            if entry.key().0 > end {
                break;
            }
            let ((now, _), (to, due)) = entry.remove_entry();
            self.now = now;
            if self.dead.contains(&to) {
                continue;
            }
            let actions = match due {
                Due::Packet(from, packet) => self.peers[to].packet(from, &packet),
                Due::TellDead(from, incarnation) => self.peers[to].declared_dead(incarnation, identity(index(from))),
                Due::TellOutdated(from, incarnation) => self.peers[to].outdated(incarnation, identity(index(from))),
                Due::Timer(timer) => self.peers[to].timer(timer, Duration::ZERO),
            };
            self.peers[to].check_known();
            self.perform(to, actions);
        }
        self.now = end;
    }

    fn health(&self, observer: usize, of: usize) -> Option<Health> {
        let peer = identity(of).peer;
        self.peers[observer].members().iter().find(|view| view.identity.peer == peer).map(|view| view.health)
    }
}

#[test]
fn everyone_learns_of_everyone_from_one() {
    let mut world = World::of(20);
    world.run_until(Duration::from_secs(5));
    for observer in 0..20 {
        let alive = world.peers[observer].members().iter().filter(|view| view.health == Health::Alive).count();
        assert_eq!(alive, 19, "as peer {observer} sees it");
    }
}

#[test]
fn a_killed_peer_is_declared_dead_by_all_and_nobody_else_is() {
    let mut world = World::of(5);
    world.run_until(Duration::from_secs(5));
    world.dead.push(4);
    world.run_until(Duration::from_secs(20));
    for observer in 0..4 {
        assert_eq!(world.health(observer, 4), Some(Health::Dead));
        for other in (0..4).filter(|other| *other != observer) {
            assert_eq!(world.health(observer, other), Some(Health::Alive));
        }
    }
}

#[test]
fn a_peer_that_was_only_silent_for_a_while_comes_back_as_a_later_incarnation() {
    let mut world = World::of(4);
    world.run_until(Duration::from_secs(5));
    world.dead.push(3);
    world.run_until(Duration::from_secs(25));
    assert_eq!(world.health(0, 3), Some(Health::Dead));
    world.dead.clear();
    // Its timers were lost with it; its owner announces it again.
    let actions = world.peers[3].announce(identity(0));
    world.perform(3, actions);
    world.run_until(Duration::from_secs(60));
    assert_eq!(world.health(0, 3), Some(Health::Alive));
    assert!(world.peers[3].identity().incarnation > 1);
}

#[test]
fn a_peer_that_starts_again_as_an_earlier_incarnation_becomes_a_later_one() {
    let mut world = World::of(4);
    for (n, peer) in world.peers.iter_mut().enumerate() {
        *peer = Swim::new(Identity { incarnation: 9, ..identity(n) }, &SwimConfig::default(), n as u64);
    }
    for n in 1..4 {
        let actions = world.peers[n].announce(identity(0));
        world.perform(n, actions);
    }
    world.run_until(Duration::from_secs(5));
    // Its clock was set back while it was away for a moment.
    let moved = Identity { incarnation: 3, addresses: ["elsewhere:1".to_owned()].into(), ..identity(3) };
    world.peers[3] = Swim::new(moved, &SwimConfig::default(), 7);
    world.due.retain(|_, (to, due)| *to != 3 || !matches!(due, Due::Timer(_)));
    let actions = world.peers[3].announce(identity(0));
    world.perform(3, actions);
    world.run_until(Duration::from_secs(6));
    assert_eq!(world.peers[3].identity().incarnation, 10);
    world.run_until(Duration::from_secs(8));
    for n in 0..3 {
        assert_eq!(world.health(3, n), Some(Health::Alive));
        let (seen, health) = world.peers[n].get(identity(3).peer).unwrap();
        assert_eq!((seen, health), (world.peers[3].identity(), Health::Alive));
    }
    // What it said as an earlier one, and arrives late, does not make it a later one once more.
    assert!(world.peers[3].outdated(10, identity(0)).is_empty());
}

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

#[test]
fn a_peer_that_leaves_is_down_at_once() {
    let mut world = World::of(4);
    world.run_until(Duration::from_secs(5));
    let actions = world.peers[2].leave();
    world.perform(2, actions);
    world.dead.push(2);
    world.run_until(Duration::from_secs(7));
    assert_eq!(world.health(0, 2), Some(Health::Dead));
}

#[test]
fn a_dead_member_is_forgotten_in_time_and_what_changes_is_told_once() {
    let mut world = World::of(3);
    let config = SwimConfig { forget_down_after: Duration::from_secs(30), ..SwimConfig::default() };
    for (n, peer) in world.peers.iter_mut().enumerate() {
        *peer = Swim::new(identity(n), &config, n as u64);
    }
    world.run_until(Duration::from_secs(5));
    for n in 1..3 {
        let actions = world.peers[n].announce(identity(0));
        world.perform(n, actions);
    }
    world.run_until(Duration::from_secs(10));
    assert_eq!(world.peers[0].take_changed(), BTreeSet::from([identity(1).peer, identity(2).peer]));
    world.run_until(Duration::from_secs(15));
    assert_eq!(world.peers[0].take_changed(), BTreeSet::new());
    world.dead.push(2);
    world.run_until(Duration::from_secs(30));
    assert_eq!(world.peers[0].take_changed(), BTreeSet::from([identity(2).peer]));
    assert_eq!(world.health(0, 2), Some(Health::Dead));
    assert!(!world.peers[0].is_member(identity(2).peer));
    world.run_until(Duration::from_secs(70));
    assert_eq!(world.peers[0].take_changed(), BTreeSet::from([identity(2).peer]));
    assert_eq!(world.health(0, 2), None);
}

/// What is taken out of packets must be what foca would have ignored.
#[test]
fn only_what_changes_nothing_is_old_news() {
    let other = |incarnation, port: u16| Identity {
        peer: identity(1).peer,
        incarnation,
        addresses: [format!("host:{port}")].into(),
    };
    let mut all = Vec::new();
    for who in [other(1, 1), other(1, 2), other(2, 1)] {
        for refuted in 0..3 {
            for state in [State::Alive, State::Suspect, State::Down] {
                all.push(Member::new(who.clone(), refuted, state));
            }
        }
    }
    for known in &all {
        for heard in &all {
            let mut swim = Swim::new(identity(0), &SwimConfig::default(), 1);
            swim.act(|foca, actions| foca.apply_many(std::iter::once(known.clone()), true, actions));
            swim.take_changed();
            swim.act(|foca, actions| foca.apply_many(std::iter::once(heard.clone()), true, actions));
            swim.check_known();
            let changed = !swim.take_changed().is_empty();
            // The same once more is passed on once more, and changes nothing.
            if known != heard {
                let bytes = postcard::to_stdvec(heard).unwrap();
                let in_packet: Member<Heard<'_>> = postcard::from_bytes(&bytes).unwrap();
                assert_eq!(changed, !news::is_old(known, &in_packet), "{known:?} then {heard:?}");
            } else {
                assert!(!changed);
            }
        }
    }
}

#[test]
fn a_feed_of_those_who_are_known_is_empty_news() {
    let mut world = World::of(40);
    world.run_until(Duration::from_secs(5));
    let feed = |swim: &mut Swim, to: &Identity| {
        let actions = swim.act(|foca, actions| foca.announce(to.clone(), actions));
        let Some(Action::Send { packet, .. }) = actions.into_iter().next() else { panic!("no announcement") };
        packet
    };
    let (asking, asked) = (identity(3), identity(7));
    let announcement = feed(&mut world.peers[3], &asked);
    let answers = world.peers[7].packet(asking.peer, &announcement);
    let Some(Action::Send { packet, .. }) = answers.into_iter().next() else { panic!("no feed") };
    assert!(packet.len() > 1_000);
    let inner = |packet: &Bytes| match Packet::from_bytes(packet) {
        Some(Packet::Swim(inner)) => inner.to_vec(),
        other => panic!("{other:?}"),
    };
    let packet = inner(&packet);
    let known = &world.peers[3].known;
    let judge = |heard: &Member<Heard<'_>>| match known.get(&heard.id().peer) {
        Some(known) if news::is_old(known, heard) => Verdict::Known,
        Some(_) | None => Verdict::New,
    };
    assert!(news::news(&packet, judge).says_nothing);
    let all = news::news(&packet, |_| Verdict::New);
    assert!(!all.says_nothing && all.packet[..] == packet[..]);
    // One whose sender is not known is for foca to see.
    let from_stranger = |heard: &Member<Heard<'_>>| match heard.id().peer {
        peer if peer == asked.peer => Verdict::New,
        _ => judge(heard),
    };
    let news::News { packet: short, says_nothing, .. } = news::news(&packet, from_stranger);
    assert!(!says_nothing && short.len() < 200, "{} bytes of {}", short.len(), packet.len());
    // So is one that wants an answer.
    let probes = world.peers[7].act(|foca, actions| foca.announce(asking.clone(), actions));
    let Some(Action::Send { packet, .. }) = probes.into_iter().next() else { panic!("no announcement") };
    let packet = inner(&packet);
    let wanting = news::news(&packet, |_| Verdict::Known);
    assert!(!wanting.says_nothing && wanting.packet[..] == packet[..]);
}

/// Has `one` compare with `other`; the packets that it takes.
fn compare(one: &mut Swim, other: &mut Swim) -> Vec<Bytes> {
    let (us, them) = (one.identity().peer, other.identity().peer);
    let digest = one.digest.with(one.identity()).to_bytes();
    let mut sent = vec![Packet::Digest(&digest).to_bytes()];
    for n in 0.. {
        assert!(n < 10, "it does not end");
        let Some(packet) = sent.get(n).cloned() else { break };
        let actions = if n % 2 == 0 { other.packet(us, &packet) } else { one.packet(them, &packet) };
        sent.extend(actions.into_iter().filter_map(|action| match action {
            Action::Send { packet, .. } if !matches!(Packet::from_bytes(&packet), Some(Packet::Swim(_))) => {
                Some(packet)
            }
            _ => None,
        }));
        one.check_known();
        other.check_known();
    }
    sent
}

#[test]
fn two_who_compare_know_the_same_afterwards_and_say_no_more_than_is_new() {
    for (n, seen_by) in [(1usize, 0), (2, 0), (3, 1)].into_iter().flat_map(|case| [(case.0, case.1), (case.0, 1)]) {
        let mut pair = World::of(2);
        pair.run_until(Duration::from_secs(5));
        let [one, other] = &mut pair.peers[..] else { panic!("two") };
        let both = |one: &mut Swim, other: &mut Swim, member: &Member<Identity>| {
            for swim in [one, other] {
                swim.act(|foca, actions| foca.apply_many(std::iter::once(member.clone()), true, actions));
            }
        };
        for n in 10..60 {
            both(one, other, &Member::alive(identity(n)));
        }
        assert_eq!(compare(one, other).len(), 1, "they know the same");
        let third = identity(70);
        let later = Identity { incarnation: 2, ..third.clone() };
        let news = match n {
            // One has never heard of it, or not of its return, or not of its death.
            1 => Member::alive(third.clone()),
            2 => {
                both(one, other, &Member::alive(third.clone()));
                Member::alive(later)
            }
            _ => {
                both(one, other, &Member::alive(third.clone()));
                Member::down(third.clone())
            }
        };
        let knows = if seen_by == 0 { &mut *one } else { &mut *other };
        knows.act(|foca, actions| foca.apply_many(std::iter::once(news.clone()), true, actions));
        let packets = compare(one, other);
        assert!(packets.len() > 1 && packets[1..].iter().all(|packet| packet.len() < 400), "{packets:?}");
        for swim in [&*one, &*other] {
            let known = swim.known.get(&third.peer).unwrap();
            assert_eq!((known.id(), known.state()), (news.id(), news.state()), "{n} {seen_by}");
        }
        assert_eq!(compare(one, other).len(), 1);
    }
}

#[test]
fn what_does_not_fit_into_a_packet_has_its_turn_another_time() {
    let mut pair = World::of(2);
    let config = SwimConfig { packet_bytes_max: 2_000, ..SwimConfig::default() };
    for (n, peer) in pair.peers.iter_mut().enumerate() {
        *peer = Swim::new(identity(n), &config, n as u64);
    }
    let actions = pair.peers[1].announce(identity(0));
    pair.perform(1, actions);
    pair.run_until(Duration::from_secs(1));
    let [one, other] = &mut pair.peers[..] else { panic!("two") };
    let many = (10..250).map(|n| Member::alive(identity(n)));
    one.act(|foca, actions| foca.apply_many(many, true, actions));
    let mut rounds = 0;
    while compare(one, other).len() > 1 {
        rounds += 1;
        assert!(rounds < 200);
    }
    assert_eq!(one.members().len(), 241);
    assert_eq!(other.members().len(), 241);
    assert!(rounds > 5);
}

#[test]
fn members_that_are_made_up_to_be_in_one_bucket_make_no_packet_too_long() {
    let config = SwimConfig { packet_bytes_max: 2_000, ..SwimConfig::default() };
    let mut swim = Swim::new(identity(0), &config, 1);
    let made_up = |n: u8| {
        let mut peer = [9; 32];
        peer[31] = n;
        Member::alive(Identity { peer: PeerId::from_bytes(peer), ..identity(9) })
    };
    swim.act(|foca, actions| foca.apply_many((0..200).map(made_up), true, actions));
    let digest = Digest::new().to_bytes();
    let actions = swim.packet(made_up(0).id().peer, &Packet::Digest(&digest).to_bytes());
    let lengths = actions.iter().filter_map(|action| match action {
        Action::Send { packet, .. } => Some(packet.len()),
        _ => None,
    });
    assert!(lengths.max().is_some_and(|longest| (1_000..2_200).contains(&longest)));
}

#[test]
fn garbage_changes_nothing() {
    let mut swim = Swim::new(identity(0), &SwimConfig::default(), 1);
    for length in 0..200usize {
        let garbage: Vec<u8> = (0..length).map(|n| (n * 37 + length) as u8).collect();
        swim.packet(identity(1).peer, &garbage);
    }
    assert!(swim.members().is_empty());
}

/// A packet of `from` to `to` that says these things about members.
fn gossip(from: &Identity, to: &Swim, members: &[Member<Identity>]) -> Bytes {
    let message = foca::Message::Gossip;
    let header = foca::Header { src: from.clone(), src_incarnation: 0, dst: to.identity().clone(), message };
    let mut packet = postcard::to_stdvec(&header).unwrap();
    packet.extend_from_slice(&u16::try_from(members.len()).unwrap().to_be_bytes());
    for member in members {
        packet = postcard::to_extend(member, packet).unwrap();
    }
    Packet::Swim(&packet).to_bytes()
}

/// The same, said as what was found by comparing.
fn list(members: &[Member<Identity>]) -> Bytes {
    let members: Vec<u8> = members.iter().flat_map(|member| postcard::to_stdvec(member).unwrap()).collect();
    Packet::Members { buckets: &[0], members: &members, asks: true }.to_bytes()
}

fn disbelieved(actions: &[Action]) -> Vec<(PeerId, u64)> {
    let disbelieved = actions.iter().filter_map(|action| match action {
        Action::Disbelieved { member, incarnation, .. } => Some((*member, *incarnation)),
        _ => None,
    });
    disbelieved.collect()
}

/// Once it was enough to say of a peer, to itself or to others, that the last
/// of all incarnations of it were dead: it became that one, wrote it down for
/// its next start, and could not become a later one ever again.
#[test]
fn a_peer_of_which_absurd_things_are_said_is_not_locked_out() {
    for absurd in [u64::MAX, u64::MAX - 1, 2 + crate::AHEAD_MS_MAX] {
        let mut world = World::of(4);
        world.run_until(Duration::from_secs(5));
        let mad = Identity { incarnation: absurd, ..identity(3) };
        assert_eq!(disbelieved(&world.peers[3].declared_dead(absurd, identity(0))), [(mad.peer, absurd)]);
        assert_eq!(disbelieved(&world.peers[3].outdated(absurd, identity(0))), [(mad.peer, absurd)]);
        assert_eq!(world.peers[3].identity(), &identity(3));
        for to in [0, 1, 3] {
            for state in [State::Alive, State::Suspect, State::Down] {
                let member = Member::new(mad.clone(), 0, state);
                let packet = gossip(&identity(2), &world.peers[to], std::slice::from_ref(&member));
                for packet in [packet, list(&[member])] {
                    let actions = world.peers[to].packet(identity(2).peer, &packet);
                    assert_eq!(disbelieved(&actions), [(mad.peer, absurd)]);
                    world.perform(to, actions);
                    world.peers[to].check_known();
                }
            }
            // Nor does it help to speak as what one cannot be.
            let packet = gossip(&mad, &world.peers[to], &[Member::alive(identity(70))]);
            assert_eq!(disbelieved(&world.peers[to].packet(mad.peer, &packet)), [(mad.peer, absurd)]);
            assert_eq!(world.health(to, 70), None);
        }
        world.run_until(Duration::from_secs(20));
        for observer in 0..3 {
            assert_eq!(world.health(observer, 3), Some(Health::Alive));
        }
    }
}

#[test]
fn what_is_said_at_the_very_line_hides_a_peer_for_no_longer_than_clocks_differ() {
    // Peer 2 has its clock two hours ahead, and somebody says of peer 3 the last that it believes.
    let (wall_ms, ahead_ms) = (1_800_000_000_000, 2 * 3_600_000);
    let mut world = World::of(4);
    let tell_time = |world: &mut World, now_ms: u64| {
        for (n, peer) in world.peers.iter_mut().enumerate() {
            peer.believe_at(now_ms + if n == 2 { ahead_ms } else { 0 });
        }
    };
    tell_time(&mut world, wall_ms);
    world.run_until(Duration::from_secs(5));
    let last = wall_ms + ahead_ms + crate::AHEAD_MS_MAX;
    let dead = Member::down(Identity { incarnation: last, ..identity(3) });
    let packet = gossip(&identity(1), &world.peers[2], &[dead]);
    let actions = world.peers[2].packet(identity(1).peer, &packet);
    world.perform(2, actions);
    world.run_until(Duration::from_secs(60));
    assert_eq!(world.health(2, 3), Some(Health::Dead));
    assert_eq!(world.health(0, 3), Some(Health::Alive), "whose clock is right hears nothing of it");
    tell_time(&mut world, wall_ms + ahead_ms + 1_000);
    let actions = world.peers[3].announce(identity(2));
    world.perform(3, actions);
    world.run_until(Duration::from_secs(120));
    assert_eq!(world.peers[3].identity().incarnation, last + 1);
    for observer in 0..3 {
        assert_eq!(world.health(observer, 3), Some(Health::Alive));
    }
}

#[test]
fn a_peer_whose_clock_begins_in_1970_hears_of_those_whose_clocks_are_right() {
    let mut late = Swim::new(identity(0), &SwimConfig::default(), 1);
    late.believe_at(0);
    let right = Identity { incarnation: 1_900_000_000_000, ..identity(1) };
    let packet = gossip(&right, &late, &[]);
    late.packet(right.peer, &packet);
    assert!(late.is_member(right.peer));
}

#[test]
fn there_is_room_for_so_many_members_and_for_so_many_addresses() {
    let config = SwimConfig { members_max: 10, ..SwimConfig::default() };
    let mut swim = Swim::new(identity(0), &config, 1);
    let at = |addresses: Vec<String>| Member::alive(Identity { addresses: addresses.into(), ..identity(1) });
    for addresses in [vec!["a:1".into(); PeerInfo::ADDRESSES_MAX + 1], vec!["x".repeat(1_000)]] {
        let packet = gossip(&identity(2), &swim, &[at(addresses)]);
        assert_eq!(disbelieved(&swim.packet(identity(2).peer, &packet)), [(identity(1).peer, 1)]);
    }
    for n in 1..100 {
        let packet = gossip(&identity(2), &swim, &[Member::alive(identity(n))]);
        swim.packet(identity(2).peer, &packet);
        swim.packet(identity(2).peer, &list(&[Member::down(identity(n + 100))]));
    }
    assert_eq!(swim.members().len(), 10);
    swim.check_known();
    // Of those who are known it goes on to hear.
    let packet = gossip(&identity(2), &swim, &[Member::down(identity(3))]);
    swim.packet(identity(2).peer, &packet);
    assert!(!swim.is_member(identity(3).peer));
}
