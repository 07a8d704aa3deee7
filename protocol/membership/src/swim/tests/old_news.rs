//! What changes nothing is not handed to foca.

use super::*;

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
