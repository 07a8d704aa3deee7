//! What a packet says that is not known yet.

use std::borrow::Cow;
use std::fmt;

use bytes::Buf;
use foca::{Header, Member, Message, State};
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use shoal_types::PeerId;

use crate::Identity;

/// An [`Identity`] in the bytes of a packet.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Heard<'a> {
    pub(crate) peer: PeerId,
    pub(crate) incarnation: u64,
    #[serde(borrow)]
    addresses: Addresses<'a>,
}

/// Most peers have one address, and for that nothing is allocated.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Addresses<'a> {
    first: Option<&'a str>,
    others: Vec<&'a str>,
}

impl<'a> Addresses<'a> {
    fn iter(&self) -> impl Iterator<Item = &'a str> {
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

/// What there is in a packet.
pub(crate) struct News<'a> {
    /// Who sent it, and as which incarnation; `None` where it does not decode.
    pub(crate) sender: Option<(PeerId, u64)>,
    /// What foca is to see of it, if anything.
    pub(crate) packet: Option<Cow<'a, [u8]>>,
}

/// The packet without the members of which `is_known` says that they are no
/// news, or nothing if nothing is left that foca would act upon. Foca looks for
/// each member that it hears of, and for each sender, among all that it knows;
/// most of what gossip and feeds say has been said before, and in a mesh of
/// thousands that would be nearly all the work there is.
pub(crate) fn news<'a>(packet: &'a [u8], is_known: impl Fn(&Member<Heard<'a>>) -> bool) -> News<'a> {
    let Ok((header, members)) = postcard::take_from_bytes::<Header<Heard<'a>>>(packet) else {
        return News { sender: None, packet: Some(Cow::Borrowed(packet)) };
    };
    let sender = Some((header.src.peer, header.src.incarnation));
    let packet = match without(packet, header, members, is_known) {
        Some(Rest { says_nothing: true, .. }) => None,
        Some(Rest { packet, .. }) => Some(packet),
        // No packet that lists members.
        None => Some(Cow::Borrowed(packet)),
    };
    News { sender, packet }
}

struct Rest<'a> {
    packet: Cow<'a, [u8]>,
    /// Neither of a member, nor of its sender, nor does it want an answer.
    says_nothing: bool,
}

/// `rest` is what follows the header.
fn without<'a>(
    packet: &'a [u8],
    header: Header<Heard<'a>>,
    mut rest: &'a [u8],
    is_known: impl Fn(&Member<Heard<'a>>) -> bool,
) -> Option<Rest<'a>> {
    if matches!(header.message, Message::Announce | Message::Broadcast | Message::TurnUndead) {
        return None;
    }
    let tally = packet.len() - rest.len();
    let count = rest.try_get_u16().ok()?;
    // The packet so far without what is known, once that is less than the packet.
    let mut kept: Option<Vec<u8>> = None;
    let mut kept_count: u16 = 0;
    for _ in 0..count {
        let from = rest;
        let member: Member<Heard<'a>>;
        (member, rest) = postcard::take_from_bytes(from).ok()?;
        if is_known(&member) {
            kept.get_or_insert_with(|| packet[..packet.len() - from.len()].to_vec());
        } else {
            kept_count += 1;
            if let Some(kept) = &mut kept {
                kept.extend_from_slice(&from[..from.len() - rest.len()]);
            }
        }
    }
    let wants_nothing = matches!(header.message, Message::Gossip | Message::Feed);
    let sender = Member::new(header.src, header.src_incarnation, State::Alive);
    let says_nothing = wants_nothing && kept_count == 0 && rest.is_empty() && is_known(&sender);
    let packet = kept.map_or(Cow::Borrowed(packet), |mut kept| {
        kept[tally..tally + 2].copy_from_slice(&kept_count.to_be_bytes());
        kept.extend_from_slice(rest);
        Cow::Owned(kept)
    });
    Some(Rest { packet, says_nothing })
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
