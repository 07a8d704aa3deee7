//! What got lost is found by comparing.

use super::*;

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
