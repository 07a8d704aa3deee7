//! What a packet says that is not known yet.

use std::borrow::Cow;
use std::fmt;

use bytes::Buf;
use foca::{Header, Member, Message, State};
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use shoal_types::PeerId;

use crate::Identity;
use crate::belief::Disbelieved;

/// An [`Identity`] in the bytes of a packet.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Heard<'a> {
    pub(crate) peer: PeerId,
    pub(crate) incarnation: u64,
    #[serde(borrow)]
    pub(crate) addresses: Addresses<'a>,
}

/// Most peers have one address, and for that nothing is allocated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Addresses<'a> {
    first: Option<&'a str>,
    others: Vec<&'a str>,
}

impl<'a> Addresses<'a> {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &'a str> {
        self.first.into_iter().chain(self.others.iter().copied())
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Addresses<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Addresses<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("addresses")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Addresses<'de>, A::Error> {
                let first = seq.next_element()?;
                let mut others = Vec::new();
                while let Some(address) = seq.next_element()? {
                    others.push(address);
                }
                Ok(Addresses { first, others })
            }
        }

        deserializer.deserialize_seq(InOrder)
    }
}

impl Heard<'_> {
    fn is(&self, known: &Identity) -> bool {
        let addresses = || known.addresses.iter().map(String::as_str);
        self.incarnation == known.incarnation && self.peer == known.peer && addresses().eq(self.addresses.iter())
    }
}

/// What is to be thought of a member that a packet names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It may change what is known.
    New,
    /// It changes nothing.
    Known,
    /// There is no such member.
    Absurd,
}

/// What there is in a packet.
pub(crate) struct News<'a> {
    /// Who sent it, and as which incarnation; `None` where it does not decode or is absurd.
    pub(crate) sender: Option<(PeerId, u64)>,
    /// What foca is to see of it.
    pub(crate) packet: Cow<'a, [u8]>,
    /// Whether foca, once it takes part in a cluster, would do nothing about that.
    pub(crate) says_nothing: bool,
    /// The first that it names and that is absurd.
    pub(crate) disbelieved: Option<Disbelieved>,
}

impl News<'_> {
    /// A packet that nobody is to act upon.
    fn none() -> Self {
        Self { sender: None, packet: Cow::Borrowed(&[]), says_nothing: true, disbelieved: None }
    }
}

/// The packet without the members of which `judge` says that they are no news.
/// Foca looks for each member that it hears of, and for each sender, among all
/// that it knows; most of what gossip and feeds say has been said before, and in
/// a mesh of thousands that would be nearly all the work there is.
///
/// Of a packet that does not decode to its end, nothing is left.
pub(crate) fn news<'a>(packet: &'a [u8], judge: impl Fn(&Member<Heard<'a>>) -> Verdict) -> News<'a> {
    let Ok((header, members)) = postcard::take_from_bytes::<Header<Heard<'a>>>(packet) else {
        return News::none();
    };
    let (message, sender) = (header.message, Member::new(header.src, header.src_incarnation, State::Alive));
    let judged = judge(&sender);
    if judged == Verdict::Absurd {
        return News { disbelieved: Some(Disbelieved::of(sender.id())), ..News::none() };
    }
    let spoken = Some((sender.id().peer, sender.id().incarnation));
    let lists_members = !members.is_empty() && !matches!(message, Message::Announce | Message::Broadcast);
    if !lists_members {
        return News { sender: spoken, packet: Cow::Borrowed(packet), says_nothing: false, disbelieved: None };
    }
    let Some(rest) = without(packet, members, judge) else {
        return News::none();
    };
    let wants_nothing = matches!(message, Message::Gossip | Message::Feed);
    News {
        sender: spoken,
        says_nothing: wants_nothing && rest.says_nothing && judged == Verdict::Known,
        packet: rest.packet,
        disbelieved: rest.disbelieved,
    }
}

struct Rest<'a> {
    packet: Cow<'a, [u8]>,
    /// Of no member.
    says_nothing: bool,
    disbelieved: Option<Disbelieved>,
}

/// `rest` is what follows the header.
fn without<'a>(
    packet: &'a [u8],
    mut rest: &'a [u8],
    judge: impl Fn(&Member<Heard<'a>>) -> Verdict,
) -> Option<Rest<'a>> {
    let tally = packet.len() - rest.len();
    let count = rest.try_get_u16().ok()?;
    // The packet so far without what is left out, once that is less than the packet.
    let mut kept: Option<Vec<u8>> = None;
    let mut kept_count: u16 = 0;
    let mut disbelieved = None;
    for _ in 0..count {
        let from = rest;
        let member: Member<Heard<'a>>;
        (member, rest) = postcard::take_from_bytes(from).ok()?;
        let judged = judge(&member);
        if judged == Verdict::Absurd {
            disbelieved = disbelieved.or_else(|| Some(Disbelieved::of(member.id())));
        }
        if judged != Verdict::New {
            kept.get_or_insert_with(|| packet[..packet.len() - from.len()].to_vec());
        } else {
            kept_count += 1;
            if let Some(kept) = &mut kept {
                kept.extend_from_slice(&from[..from.len() - rest.len()]);
            }
        }
    }
    let says_nothing = kept_count == 0 && rest.is_empty();
    let packet = kept.map_or(Cow::Borrowed(packet), |mut kept| {
        kept[tally..tally + 2].copy_from_slice(&kept_count.to_be_bytes());
        kept.extend_from_slice(rest);
        Cow::Owned(kept)
    });
    Some(Rest { packet, says_nothing, disbelieved })
}

/// Whether `heard` changes nothing about a member that is `known`: SWIM's
/// order of preference (section 4.2 of the paper), as in foca.
pub(crate) fn is_old(known: &Member<Identity>, heard: &Member<Heard<'_>>) -> bool {
    if !heard.id().is(known.id()) {
        // As `Identity::win_addr_conflict`.
        return known.id().incarnation > heard.id().incarnation;
    }
    match (known.state(), heard.state()) {
        (State::Down, _) => true,
        (State::Alive | State::Suspect, State::Down) => false,
        (State::Alive, State::Suspect) => heard.incarnation() < known.incarnation(),
        (State::Alive | State::Suspect, State::Alive) | (State::Suspect, State::Suspect) => {
            heard.incarnation() <= known.incarnation()
        }
    }
}
