//! Bytes of others, and lies.

use shoal_types::PeerInfo;

use super::*;

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
