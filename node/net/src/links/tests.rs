//! The rules, without a socket.

use libp2p::swarm::ConnectionId;
use shoal_types::PeerInfo;
use tokio::sync::mpsc;

use super::*;
use crate::link::Connection;

const SMALL: PeerId = PeerId::from_bytes([1; 32]);
const LARGE: PeerId = PeerId::from_bytes([9; 32]);

struct Bench {
    links: Links,
    ids: usize,
    closes: mpsc::UnboundedSender<ConnectionId>,
    closed: mpsc::UnboundedReceiver<ConnectionId>,
}

impl Bench {
    fn new(local: PeerId) -> Self {
        let (closes, closed) = mpsc::unbounded_channel();
        Self { links: Links::new(local, Limits::default()), ids: 0, closes, closed }
    }

    fn link(&mut self, peer: PeerId, role: Role, dialed: bool, incarnation: u64) -> Arc<Link> {
        self.ids += 1;
        let info = PeerInfo {
            id: peer,
            name: String::new(),
            zone: String::new(),
            weight: 1,
            addresses: vec!["10.0.0.9:7000".into()],
            version: String::new(),
            incarnation,
            machine: 0,
            pid: 0,
            slots: 1,
            gateway: None,
            leaves: false,
            revision: 0,
            mesh: None,
            replicas: None,
        };
        let connection = Connection {
            id: ConnectionId::new_unchecked(self.ids),
            peer,
            dialed,
            address: "10.0.0.9:7000".into(),
            opens: mpsc::channel(1).0,
            closes: self.closes.clone(),
        };
        Link::new(connection, role, info, &Limits::default())
    }

    /// `+` for up, `-` for down, in order.
    fn announced(&mut self) -> String {
        let mut events = String::new();
        while let Some(announcement) = self.links.announce() {
            events.push(match announcement.event {
                Inbound::Up { .. } => '+',
                Inbound::Down { .. } => '-',
                _ => '?',
            });
        }
        events
    }
}

#[test]
fn of_two_crossing_dials_both_sides_keep_the_one_of_the_smaller_id() {
    for (local, remote) in [(SMALL, LARGE), (LARGE, SMALL)] {
        for own_first in [true, false] {
            let mut bench = Bench::new(local);
            let (first, second) =
                (bench.link(remote, Role::Control, own_first, 1), bench.link(remote, Role::Control, !own_first, 1));
            assert!(bench.links.register(&first).unwrap().is_none());
            let redundant = bench.links.register(&second).unwrap();
            // Only the side that dialed the redundant one closes it.
            assert_eq!(redundant.is_some(), local == LARGE);
            assert!(redundant.is_none_or(|link| link.dialed));
            let kept = bench.links.find(remote, Role::Control).unwrap();
            assert_eq!(kept.dialed, local == SMALL);
            assert_eq!(bench.announced(), "+");
        }
    }
}

#[test]
fn a_peer_that_dials_anew_has_lost_what_it_dialed_before() {
    let mut bench = Bench::new(SMALL);
    let (old, new) = (bench.link(LARGE, Role::Control, false, 1), bench.link(LARGE, Role::Control, false, 1));
    bench.links.register(&old).unwrap();
    bench.links.register(&new).unwrap();
    assert_eq!(bench.closed.try_recv().ok(), Some(old.id));
    assert_eq!(bench.links.find(LARGE, Role::Control).unwrap().id, new.id);
    bench.links.lost(LARGE, old.id);
    assert_eq!(bench.announced(), "+");
    bench.links.lost(LARGE, new.id);
    assert_eq!(bench.announced(), "-");
}

#[test]
fn comings_and_goings_that_nobody_saw_are_told_as_what_is_left_of_them() {
    let mut bench = Bench::new(SMALL);
    let first = bench.link(LARGE, Role::Control, true, 1);
    bench.links.register(&first).unwrap();
    bench.links.lost(LARGE, first.id);
    assert_eq!(bench.announced(), "");
    let second = bench.link(LARGE, Role::Control, true, 1);
    bench.links.register(&second).unwrap();
    assert_eq!(bench.announced(), "+");
    for _ in 0..3 {
        let next = bench.link(LARGE, Role::Control, true, 1);
        let before = bench.links.find(LARGE, Role::Control).unwrap();
        bench.links.lost(LARGE, before.id);
        bench.links.register(&next).unwrap();
    }
    assert_eq!(bench.announced(), "-+");
}

#[test]
fn a_restart_closes_every_link_to_the_process_before_and_its_ghost_is_refused() {
    let mut bench = Bench::new(SMALL);
    let (control, bulk) = (bench.link(LARGE, Role::Control, true, 1), bench.link(LARGE, Role::Bulk, true, 1));
    bench.links.register(&control).unwrap();
    bench.links.register(&bulk).unwrap();
    assert_eq!(bench.announced(), "+");
    let restarted = bench.link(LARGE, Role::Control, false, 2);
    bench.links.register(&restarted).unwrap();
    assert!(control.closed.is_cancelled() && bulk.closed.is_cancelled());
    assert_eq!(bench.announced(), "-+");
    let ghost = bench.link(LARGE, Role::Control, false, 1);
    assert_eq!(bench.links.register(&ghost).err(), Some(Refusal::Stale));
}

#[test]
fn a_bulk_link_needs_a_control_link_and_goes_with_it() {
    let mut bench = Bench::new(SMALL);
    let early = bench.link(LARGE, Role::Bulk, false, 1);
    assert_eq!(bench.links.register(&early).err(), Some(Refusal::NoControl));
    let (control, bulk) = (bench.link(LARGE, Role::Control, true, 1), bench.link(LARGE, Role::Bulk, true, 1));
    bench.links.register(&control).unwrap();
    bench.links.register(&bulk).unwrap();
    bench.links.lost(LARGE, control.id);
    assert!(bulk.closed.is_cancelled());
    assert!(bench.links.find(LARGE, Role::Bulk).is_none());
}

#[test]
fn a_peer_that_cannot_be_dialed_is_left_alone_for_longer_and_longer() {
    let mut bench = Bench::new(SMALL);
    let mut now = Instant::now();
    assert!(matches!(bench.links.want(LARGE, Role::Control, now), Want::No(why) if why.contains("no address")));
    bench.links.learn(LARGE, &["10.0.0.9:7000".to_string(), "not an address".to_string()]);
    let mut rests = Vec::new();
    for _ in 0..8 {
        assert!(matches!(bench.links.want(LARGE, Role::Control, now), Want::Wait(_)));
        let due = bench.links.due(now);
        assert_eq!(due.len(), 1);
        assert_eq!(due[0].addresses, ["10.0.0.9:7000"]);
        assert!(bench.links.due(now).is_empty(), "it is being dialed");
        bench.links.dialed(LARGE, Role::Control, Err("nobody there".into()), now);
        let failed = now;
        while let Want::No(why) = bench.links.want(LARGE, Role::Control, now) {
            assert_eq!(why, "nobody there");
            now += Duration::from_millis(10);
        }
        rests.push(now - failed);
    }
    assert_eq!(rests[0], Limits::default().backoff_min);
    assert!(rests.is_sorted() && rests[7] == Limits::default().backoff_max, "{rests:?}");
}

#[test]
fn whoever_dialed_the_control_link_keeps_a_bulk_link_beside_it() {
    let now = Instant::now();
    let mut bench = Bench::new(SMALL);
    let control = bench.link(LARGE, Role::Control, true, 1);
    bench.links.register(&control).unwrap();
    let due = bench.links.due(now);
    assert!(due.len() == 1 && due[0].role == Role::Bulk);
    let mut bench = Bench::new(SMALL);
    let control = bench.link(LARGE, Role::Control, false, 1);
    bench.links.register(&control).unwrap();
    assert!(matches!(bench.links.want(LARGE, Role::Bulk, now), Want::Wait(_)));
    assert!(bench.links.due(now).is_empty());
}

#[test]
fn addresses_are_bounded_and_the_one_that_worked_stays_first() {
    let mut bench = Bench::new(SMALL);
    let control = bench.link(LARGE, Role::Control, true, 1);
    bench.links.register(&control).unwrap();
    for port in 1..200 {
        bench.links.learn(LARGE, &[format!("10.0.0.1:{port}")]);
    }
    bench.links.lost(LARGE, control.id);
    assert!(matches!(bench.links.want(LARGE, Role::Control, Instant::now()), Want::Wait(_)));
    let due = bench.links.due(Instant::now());
    assert_eq!(due[0].addresses.len(), Limits::default().addresses_per_peer);
    assert_eq!(due[0].addresses[0], "10.0.0.9:7000");
    assert_eq!(due[0].addresses.last().unwrap(), "10.0.0.1:199");
}
