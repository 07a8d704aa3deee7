//! Who is let in, and what is said to who is not.

use std::time::Duration;

use shoal_types::{Error, PeerId, SecretText, Secrets};

use super::{Heard, config, peer, peer_of};
use crate::{NetConfig, PROTOCOL, Secret, peer_id, start};

fn refusal(heard: Heard) -> String {
    match heard {
        Heard::Refused(why) => why,
        other => panic!("a refusal was to be heard, but {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_secret_is_refused_and_both_sides_know_why() {
    let mut other = config();
    other.secret = Secret::from_text("quite another secret").unwrap();
    let (mut a, mut b) = (peer_of(other).await, peer().await);
    a.dial(&b);
    for peer in [&mut a, &mut b] {
        let why = refusal(peer.next().await);
        assert!(why.contains("the secret is not this mesh's"), "{why}");
        assert_eq!(peer.transport.stats().refused, 1);
    }
    // A call to it fails and says so too.
    a.learn(&b);
    let error = a.call(&b, "x").await.unwrap_err();
    assert!(error.to_string().contains("secret"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_protocol_version_is_refused_and_both_sides_know_which() {
    let mut other = config();
    other.protocol = PROTOCOL + 1;
    let (mut a, mut b) = (peer_of(other).await, peer().await);
    a.dial(&b);
    let (old, new) = (PROTOCOL, PROTOCOL + 1);
    assert_eq!(refusal(a.next().await), format!("it speaks protocol {old}, this peer {new}"));
    assert_eq!(refusal(b.next().await), format!("it speaks protocol {new}, this peer {old}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_who_knocks_again_and_again_is_mentioned_once() {
    let mut other = config();
    other.secret = Secret::from_text("quite another secret").unwrap();
    let (mut a, mut b) = (peer_of(other).await, peer().await);
    for _ in 0..5 {
        a.dial(&b);
        refusal(a.next().await);
    }
    refusal(b.next().await);
    b.hears_nothing(Duration::from_millis(200)).await;
    assert_eq!(b.transport.stats().refused, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_dials_itself_notices() {
    let mut a = peer().await;
    a.transport.dial(a.address());
    let why = refusal(a.next().await);
    assert!(why.contains("this peer itself"), "{why}");
    // Its own address under another's name is dropped.
    let nobody = peer_id(&[77; 32]);
    a.transport.learn(nobody, &[a.address()]);
    let call = || a.transport.call(nobody, bytes::Bytes::new(), Duration::from_secs(10));
    assert!(call().await.is_err());
    tokio::time::sleep(Duration::from_millis(300)).await;
    let error = call().await.unwrap_err();
    assert!(error.to_string().contains("no address"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_where_nobody_listens_is_told_of() {
    let mut a = peer().await;
    let gone = peer().await;
    let address = gone.address();
    gone.close().await;
    a.transport.dial(address.clone());
    let why = refusal(a.next().await);
    assert!(why.contains(&address) && why.contains("refused"), "{why}");
    a.transport.dial("no port here".into());
    assert!(refusal(a.next().await).contains("HOST:PORT"));
    a.transport.dial("no-such-host.invalid:7000".into());
    assert!(refusal(a.next().await).contains("does not resolve"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_past_the_limit_is_refused_in_words() {
    let mut small = config();
    small.limits.peers = 1;
    let (mut hub, mut one, mut two) = (peer_of(small).await, peer().await, peer().await);
    one.dial(&hub);
    assert_eq!(hub.next().await, Heard::Up(one.id, 1));
    assert_eq!(one.next().await, Heard::Up(hub.id, 1));
    two.dial(&hub);
    assert_eq!(refusal(two.next().await), "it has as many links as it may have");
    assert_eq!(refusal(hub.next().await), "this peer has as many links as it may have");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_named_with_a_way_out() {
    let a = peer().await;
    let mut config = config();
    config.listen = vec![a.address().parse().unwrap()];
    let Err(error) = start(config).await else { panic!("the port is taken") };
    assert!(matches!(error, Error::Invalid { .. }));
    assert!(error.to_string().contains(&a.address()), "{error}");
    assert!(!error.hint().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_advertised_comes_first_and_must_be_an_address() {
    let mut good = config();
    good.advertise = vec!["peer-1.example.org:7000".into()];
    good.listen = vec!["0.0.0.0:0".parse().unwrap()];
    let a = peer_of(good).await;
    let addresses = a.transport.addresses();
    assert_eq!(addresses[0], "peer-1.example.org:7000");
    assert!(addresses.last().unwrap().starts_with("127.0.0.1:"), "{addresses:?}");
    assert!(!addresses.iter().any(|address| address.starts_with("0.0.0.0")), "{addresses:?}");
    let mut bad = config();
    bad.advertise = vec!["peer-1".into()];
    assert!(matches!(start(bad).await.err(), Some(Error::Invalid { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_is_its_public_key() {
    let config = config();
    let id = peer_id(&config.identity);
    assert_ne!(id, PeerId::from_bytes([0; 32]));
    assert_eq!(peer_of(config).await.id, id);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_secret_is_changed_either_admits_and_afterwards_the_old_one_does_not() {
    let text = |n: u8| SecretText::new(format!("the secret of the tests, number {n}"));
    let knowing = |n: u8| NetConfig { secret: Secret::from_text(text(n).reveal()).unwrap(), ..config() };
    let both = Secrets { generation: 1, current: text(2), previous: Some(text(1)) };
    for (dialer, listener) in [(1, 0), (0, 1), (2, 0), (0, 2)] {
        let (mut a, mut b) = (peer_of(knowing(dialer.max(1))).await, peer_of(knowing(listener.max(1))).await);
        for (peer, number) in [(&a, dialer), (&b, listener)] {
            if number == 0 {
                peer.transport.admit_by(&both).unwrap();
            }
        }
        a.dial(&b);
        assert_eq!(a.next().await, Heard::Up(b.id, 1), "{dialer} {listener}");
        assert_eq!(b.next().await, Heard::Up(a.id, 1), "{dialer} {listener}");
    }
    let (mut old, new) = (peer_of(knowing(1)).await, peer_of(knowing(1)).await);
    new.transport.admit_by(&Secrets { previous: None, ..both }).unwrap();
    old.dial(&new);
    assert!(refusal(old.next().await).contains("the secret is not this mesh's"));
    // One that is too easily guessed changes nothing.
    assert!(new.transport.admit_by(&Secrets::first(SecretText::new("short"))).is_err());
}
