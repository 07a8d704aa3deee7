//! The layout: who is in the mesh, and with what share.

mod former;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::{MeshId, PeerId};

/// One member of a layout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    pub id: PeerId,
    /// What people call it; by default the host's name.
    pub name: String,
    /// Peers that may fail together (a rack, a room, a provider). Replicas
    /// go to distinct zones while there are enough.
    pub zone: String,
    /// Its share of the data relative to the others'. 0 holds none.
    pub weight: u32,
    /// Of what the member said of itself, when this was taken from it.
    pub revision: u64,
    /// The version that took it in. One that left and comes back has a later
    /// one: what it knew of registers before counts for nothing.
    pub since: u64,
}

/// A version of the mesh's membership as far as data is concerned.
///
/// Linearizable: version `v + 1` is decided by a majority of the members of
/// version `v`, of those that are being replaced while it is joint. Owners of a key
/// are a pure function of this value, so two peers with the same version
/// agree on them without asking.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    pub mesh: MeshId,
    /// Never the last of all numbers: there is a next one.
    #[serde(deserialize_with = "version")]
    pub version: u64,
    /// Sorted by id, distinct.
    #[serde(deserialize_with = "group")]
    pub members: Vec<Member>,
    /// The members that are being replaced. While they stand here the layout
    /// is *joint*: register quorums are needed among both, reads look in
    /// both, writes go to both.
    #[serde(deserialize_with = "previous")]
    pub previous: Option<Vec<Member>>,
    /// Copies of each chunk (R), capped by the number of members: 1–7. Who
    /// keeps what depends on it, so it is the founder's choice, and that of all
    /// later versions. Stays last: [`Layout::decode_kept`] counts on it.
    #[serde(deserialize_with = "replicas")]
    pub replicas: u32,
}

/// Which layout: versions of two meshes do not compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayoutId {
    pub mesh: MeshId,
    pub version: u64,
}

impl Layout {
    /// Copies of each chunk where the founder says nothing.
    pub const REPLICAS: u32 = 3;
    pub const REPLICAS_MAX: u32 = 7;

    pub fn id(&self) -> LayoutId {
        LayoutId { mesh: self.mesh, version: self.version }
    }

    /// The first version: one peer alone is a whole mesh, of so many copies of each chunk.
    pub fn first(mesh: MeshId, member: Member, replicas: u32) -> Self {
        let replicas = replicas.clamp(1, Self::REPLICAS_MAX);
        Self { mesh, version: 1, members: vec![Member { since: 1, ..member }], previous: None, replicas }
    }

    /// The next, joint version in which `members` replace the present ones.
    /// Whoever is in neither group of this one is taken in by it.
    pub fn replaced_by(&self, mut members: Vec<Member>) -> Self {
        members.sort_by_key(|member| member.id);
        members.dedup_by_key(|member| member.id);
        let version = self.version + 1;
        for member in &mut members {
            member.since = self.since(member.id).unwrap_or(version);
        }
        Self { mesh: self.mesh, version, members, previous: Some(self.members.clone()), replicas: self.replicas }
    }

    /// The next, joint version in which others replace the same members as in
    /// this one, because those who were to do so are gone.
    pub fn replaced_instead_by(&self, members: Vec<Member>) -> Self {
        let replaced = self.previous.clone().unwrap_or_else(|| self.members.clone());
        Self { previous: Some(replaced), ..self.replaced_by(members) }
    }

    /// The members that decide the next version. Whatever is agreed under a
    /// joint one is agreed among those who are being replaced too: they can
    /// decide it by themselves, should the others be gone.
    pub fn deciders(&self) -> &[Member] {
        self.previous.as_deref().unwrap_or(&self.members)
    }

    /// The next version, in which the previous members are let go.
    pub fn settled(&self) -> Self {
        Self { version: self.version + 1, previous: None, ..self.clone() }
    }

    /// Whether a replacement is under way.
    pub fn is_joint(&self) -> bool {
        self.previous.is_some()
    }

    pub fn member(&self, id: PeerId) -> Option<&Member> {
        find(&self.members, id)
    }

    /// The version that took `id` in, if it is a member of this version or of the one it replaces.
    pub fn since(&self, id: PeerId) -> Option<u64> {
        self.groups().find_map(|group| find(group, id)).map(|member| member.since)
    }

    /// Whether `id` is a member of this version, or of the one it replaces.
    pub fn involves(&self, id: PeerId) -> bool {
        self.groups().any(|group| find(group, id).is_some())
    }

    /// Peers that keep a name's register: a majority of them outlives the
    /// loss of as many peers as a chunk's replicas do (`2 R - 1`).
    pub fn register_owners(&self) -> usize {
        (2 * self.replicas.max(1) - 1) as usize
    }

    /// Peers of a group that keep any one name's register: those without
    /// weight keep none.
    pub fn register_owners_among(&self, group: &[Member]) -> usize {
        self.register_owners().min(group.iter().filter(|member| member.weight > 0).count())
    }

    /// The member sets among which a quorum is needed: the present one, and
    /// while joint the previous one.
    pub fn groups(&self) -> impl Iterator<Item = &[Member]> {
        std::iter::once(self.members.as_slice()).chain(self.previous.as_deref())
    }

    /// Everyone in any group, once, by id.
    pub fn everyone(&self) -> Vec<PeerId> {
        let mut ids: Vec<PeerId> = self.groups().flatten().map(|member| member.id).collect();
        ids.sort();
        ids.dedup();
        ids
    }
}

/// A member of a group, which is sorted by id.
fn find(group: &[Member], id: PeerId) -> Option<&Member> {
    group.binary_search_by_key(&id, |member| member.id).ok().map(|at| &group[at])
}

// What a layout from elsewhere is held to: members are found in it by halving.

fn version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let version = u64::deserialize(deserializer)?;
    if version == u64::MAX { Err(D::Error::custom("a layout version that none can follow")) } else { Ok(version) }
}

fn replicas<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let replicas = u32::deserialize(deserializer)?;
    let is_sane = (1..=Layout::REPLICAS_MAX).contains(&replicas);
    if is_sane { Ok(replicas) } else { Err(D::Error::custom("a number of copies out of range")) }
}

fn group<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Member>, D::Error> {
    sorted(Vec::deserialize(deserializer)?)
}

fn previous<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Member>>, D::Error> {
    Option::<Vec<Member>>::deserialize(deserializer)?.map(sorted).transpose()
}

fn sorted<E: serde::de::Error>(members: Vec<Member>) -> Result<Vec<Member>, E> {
    let is_sorted = members.is_sorted_by(|one, other| one.id < other.id);
    if is_sorted { Ok(members) } else { Err(E::custom("the members of a layout out of order, or twice")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire;

    fn member(n: u8) -> Member {
        let id = PeerId::from_bytes([n; 32]);
        Member { id, name: String::new(), zone: String::new(), weight: 1, revision: 0, since: 0 }
    }

    fn members(ids: &[u8]) -> Vec<Member> {
        ids.iter().map(|n| member(*n)).collect()
    }

    #[test]
    fn who_stays_was_taken_in_when_it_was_and_who_comes_back_anew() {
        let since = |layout: &Layout| layout.members.iter().map(|member| member.since).collect::<Vec<_>>();
        let first = Layout::first(MeshId::from_bytes([1; 16]), member(1), 3);
        let two = first.replaced_by(members(&[1, 2]));
        assert_eq!((since(&first), since(&two), since(&two.settled())), (vec![1], vec![1, 2], vec![1, 2]));
        // It is being let go of, and has not gone: what it holds is the truth still.
        let without = two.settled().replaced_by(members(&[1]));
        let instead = without.replaced_instead_by(members(&[1, 2, 3]));
        assert_eq!(since(&instead), [1, 2, 5]);
        let back = without.settled().replaced_by(members(&[1, 2]));
        assert_eq!((back.version, since(&back)), (6, vec![1, 6]));
    }

    #[test]
    fn every_later_version_has_as_many_copies_as_the_first() {
        let first = Layout::first(MeshId::from_bytes([1; 16]), member(1), 2);
        let joint = first.replaced_by(members(&[1, 2]));
        let later = [&joint.replaced_instead_by(members(&[1, 3])), &joint.settled(), &joint];
        assert!(later.iter().all(|layout| layout.replicas == 2));
        assert_eq!(joint.register_owners(), 3);
        assert_eq!(joint.groups().map(|group| joint.register_owners_among(group)).collect::<Vec<_>>(), [2, 1]);
        let of = |replicas| Layout::first(MeshId::from_bytes([1; 16]), member(1), replicas).replicas;
        assert_eq!([0, 1, 7, 8].map(of), [1, 1, 7, 7]);
    }

    #[test]
    fn a_layout_out_of_order_without_a_next_version_or_of_absurd_many_copies_is_not_read() {
        let layout = |version, present: &[u8], previous: Option<&[u8]>| Layout {
            mesh: MeshId::from_bytes([1; 16]),
            version,
            members: members(present),
            previous: previous.map(members),
            replicas: 3,
        };
        let good = layout(u64::MAX - 1, &[1, 2], Some(&[2, 3]));
        assert_eq!(wire::decode::<Layout>(&wire::encode(&good).unwrap()).unwrap(), good);
        for bad in [
            layout(u64::MAX, &[1], None),
            layout(1, &[2, 1], None),
            layout(1, &[1, 1], None),
            layout(1, &[1], Some(&[3, 2])),
            Layout { replicas: 0, ..good.clone() },
            Layout { replicas: 8, ..good.clone() },
            Layout { replicas: u32::MAX, ..good.clone() },
        ] {
            assert!(wire::decode::<Layout>(&wire::encode(&bad).unwrap()).is_err(), "{bad:?}");
        }
    }
}
