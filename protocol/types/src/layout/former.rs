//! Layouts that builds before wrote: without the number of copies.

use serde::Deserialize;

use super::{Layout, Member, group, previous, version};
use crate::{Error, MeshId, wire};

/// What a layout was up to version 6 of the wire protocol, when each peer was
/// told the number of copies for itself. A [`Layout`] begins with the same bytes.
#[derive(Deserialize)]
struct FormerLayout {
    mesh: MeshId,
    #[serde(deserialize_with = "version")]
    version: u64,
    #[serde(deserialize_with = "group")]
    members: Vec<Member>,
    #[serde(deserialize_with = "previous")]
    previous: Option<Vec<Member>>,
}

impl Layout {
    /// A layout from a peer's own disk, which a build before may have written:
    /// of such a one it is known that there are `replicas` copies.
    ///
    /// Neither is taken for the other: a former one ends before the number, and
    /// in the other one that would be left over.
    pub fn decode_kept(frame: &[u8], replicas: u32) -> Result<Self, Error> {
        wire::decode(frame).or_else(|error| {
            let FormerLayout { mesh, version, members, previous } = wire::decode(frame).map_err(|_| error)?;
            Ok(Self { mesh, version, members, previous, replicas: replicas.clamp(1, Self::REPLICAS_MAX) })
        })
    }

    /// Whether a frame is a layout that has no number of copies in it.
    pub fn is_former(frame: &[u8]) -> bool {
        wire::decode::<FormerLayout>(frame).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PeerId;

    #[test]
    fn a_layout_of_a_build_before_is_read_and_is_not_taken_for_one_of_now() {
        let member = |n| Member {
            id: PeerId::from_bytes([n; 32]),
            name: "a".into(),
            zone: "b".into(),
            weight: 100,
            revision: 1,
            since: 1,
        };
        let first = Layout::first(MeshId::from_bytes([1; 16]), member(1), 2);
        for layout in [first.replaced_by(vec![member(1), member(2)]), first] {
            let frame = wire::encode(&layout).unwrap();
            // The number is the last byte.
            let former = &frame[..frame.len() - 1];
            assert_eq!(Layout::decode_kept(former, 2).unwrap(), layout);
            assert_eq!(Layout::decode_kept(&frame, 5).unwrap(), layout);
            assert_eq!([former, &frame].map(Layout::is_former), [true, false]);
            assert!(wire::decode::<Layout>(former).is_err());
            assert!(Layout::decode_kept(&former[..former.len() - 1], 2).is_err());
        }
    }
}
