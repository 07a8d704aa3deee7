use std::collections::BTreeMap;
use std::sync::Arc;

use shoal_types::{Layout, MeshId, PeerId};

/// Every layout that was seen anywhere.
#[derive(Default)]
pub(crate) struct Layouts {
    values: BTreeMap<(MeshId, u64), Arc<Layout>>,
    /// What each peer had in force when it was looked at last, and on disk.
    last: BTreeMap<(PeerId, Place), Arc<Layout>>,
    seen: u64,
}

/// Where a peer has a layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    InForce,
    OnDisk,
}

impl Layouts {
    /// A peer has this one there; what is wrong with that, if anything is.
    pub(crate) fn seen(&mut self, peer: PeerId, place: Place, layout: &Arc<Layout>) -> Option<String> {
        self.seen += 1;
        let last = self.last.get(&(peer, place));
        if last.is_some_and(|last| Arc::ptr_eq(last, layout)) {
            return None;
        }
        let back = last.filter(|last| last.mesh == layout.mesh && last.version > layout.version);
        let back = back.map(|last| format!("it was in layout {} and is back in {}", last.version, layout.version));
        self.last.insert((peer, place), layout.clone());
        let known = self.values.entry((layout.mesh, layout.version)).or_insert_with(|| layout.clone());
        let differs = (known != layout).then(|| {
            let (version, mesh) = (layout.version, layout.mesh.short());
            format!(
                "its layout {version} of mesh {mesh} is not the one that others have: {} instead of {}",
                words(layout),
                words(known)
            )
        });
        differs.or(back)
    }

    /// It has none any more, on purpose.
    pub(crate) fn left(&mut self, peer: PeerId) {
        self.last.remove(&(peer, Place::OnDisk));
        self.last.remove(&(peer, Place::InForce));
    }

    /// The value that everyone has of a version.
    pub(crate) fn value(&self, mesh: MeshId, version: u64) -> Option<&Arc<Layout>> {
        self.values.get(&(mesh, version))
    }

    /// The latest version that any peer has had in force: of the largest mesh,
    /// should there be several.
    pub(crate) fn newest(&self) -> Option<&Arc<Layout>> {
        self.values.values().max_by_key(|layout| (layout.members.len().min(2), layout.version))
    }

    /// How often one was looked at.
    pub(crate) fn looks(&self) -> u64 {
        self.seen
    }
}

fn words(layout: &Layout) -> String {
    let names: Vec<&str> = layout.members.iter().take(8).map(|member| member.name.as_str()).collect();
    let joint = if layout.is_joint() { ", joint" } else { "" };
    format!(
        "{} members ({}{}{joint})",
        layout.members.len(),
        names.join(", "),
        if layout.members.len() > 8 { ", …" } else { "" }
    )
}

#[cfg(test)]
mod tests {
    use shoal_types::Member;

    use super::*;

    fn layout(version: u64, members: &[u8]) -> Arc<Layout> {
        let member = |n: &u8| Member {
            id: PeerId::from_bytes([*n; 32]),
            name: format!("peer-{n}"),
            zone: String::new(),
            weight: 1,
            revision: 0,
            since: 0,
        };
        let members = members.iter().map(member).collect();
        Arc::new(Layout { mesh: MeshId::from_bytes([1; 16]), version, members, previous: None, replicas: 3 })
    }

    #[test]
    fn one_version_is_one_value_and_no_peer_goes_back() {
        let mut layouts = Layouts::default();
        let [one, other] = [1, 2].map(|n| PeerId::from_bytes([n; 32]));
        assert_eq!(layouts.seen(one, Place::InForce, &layout(1, &[1, 2])), None);
        assert_eq!(layouts.seen(other, Place::InForce, &layout(2, &[1])), None);
        assert_eq!(layouts.seen(one, Place::InForce, &layout(2, &[1])), None);
        let wrong = layouts.seen(other, Place::OnDisk, &layout(1, &[1])).unwrap();
        assert!(wrong.contains("not the one that others have: 1 members (peer-1) instead of 2"), "{wrong}");
        let wrong = layouts.seen(one, Place::InForce, &layout(1, &[1, 2])).unwrap();
        assert!(wrong.contains("was in layout 2 and is back in 1"), "{wrong}");
        layouts.left(other);
        assert_eq!(layouts.seen(other, Place::InForce, &layout(1, &[1, 2])), None);
        assert_eq!(layouts.newest().unwrap().version, 1, "one alone is no mesh");
    }
}
