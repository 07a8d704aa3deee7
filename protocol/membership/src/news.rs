//! What a packet says that is not known yet.

use std::borrow::Cow;

use bytes::Buf;
use foca::{Codec, Identity as _, Member, Message, PostcardCodec, State};

use crate::Identity;

/// Packets below this are not looked through, in bytes.
const SHORT: usize = 512;

/// The packet without the members of which `is_known` says that they are no
/// news. Foca looks for each member that it hears of among all that it knows;
/// most of what gossip and feeds say has been said before, and in a mesh of
/// thousands that would be nearly all the work there is.
pub(crate) fn news(packet: &[u8], is_known: impl Fn(&Member<Identity>) -> bool) -> Cow<'_, [u8]> {
    if packet.len() < SHORT {
        return Cow::Borrowed(packet);
    }
    without(packet, is_known).map_or(Cow::Borrowed(packet), Cow::Owned)
}

/// `None` when it is no packet that lists members.
fn without(packet: &[u8], is_known: impl Fn(&Member<Identity>) -> bool) -> Option<Vec<u8>> {
    let mut rest = packet;
    let header = Codec::<Identity>::decode_header(&mut PostcardCodec, &mut rest).ok()?;
    if matches!(header.message, Message::Announce | Message::Broadcast | Message::TurnUndead) {
        return None;
    }
    let tally = packet.len() - rest.len();
    let count = rest.try_get_u16().ok()?;
    let mut kept = packet[..tally + 2].to_vec();
    let mut kept_count: u16 = 0;
    for _ in 0..count {
        let from = rest;
        let member = PostcardCodec.decode_member(&mut rest).ok()?;
        if !is_known(&member) {
            kept_count += 1;
            kept.extend_from_slice(&from[..from.len() - rest.len()]);
        }
    }
    kept[tally..tally + 2].copy_from_slice(&kept_count.to_be_bytes());
    kept.extend_from_slice(rest);
    Some(kept)
}

/// Whether `heard` changes nothing about a member that is `known`: SWIM's
/// order of preference (section 4.2 of the paper), as in foca.
pub(crate) fn is_old(known: &Member<Identity>, heard: &Member<Identity>) -> bool {
    if known.id() != heard.id() {
        return known.id().win_addr_conflict(heard.id());
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
