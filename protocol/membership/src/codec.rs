//! The codec of gossip, which hears of every change.

use std::sync::mpsc::Sender;

use bytes::{Buf, BufMut};
use foca::{Codec, Header, Member, PostcardCodec, State};

use crate::Identity;

/// Foca does not say when a member becomes suspected or refutes that; but it
/// encodes every member whose state has changed, to pass it on. So the codec
/// says whom it encodes: everyone that has changed, as it is now, and in
/// between some that have not. This peer too, as sender.
pub(crate) struct TellingCodec(pub(crate) Sender<Member<Identity>>);

impl Codec<Identity> for TellingCodec {
    type Error = <PostcardCodec as Codec<Identity>>::Error;

    fn encode_header(&mut self, header: &Header<Identity>, buf: impl BufMut) -> Result<(), Self::Error> {
        let _ = self.0.send(Member::new(header.src.clone(), header.src_incarnation, State::Alive));
        PostcardCodec.encode_header(header, buf)
    }

    fn decode_header(&mut self, buf: impl Buf) -> Result<Header<Identity>, Self::Error> {
        PostcardCodec.decode_header(buf)
    }

    fn encode_member(&mut self, member: &Member<Identity>, buf: impl BufMut) -> Result<(), Self::Error> {
        // Nobody listens once the detector is being dropped.
        let _ = self.0.send(member.clone());
        PostcardCodec.encode_member(member, buf)
    }

    fn decode_member(&mut self, buf: impl Buf) -> Result<Member<Identity>, Self::Error> {
        PostcardCodec.decode_member(buf)
    }
}
