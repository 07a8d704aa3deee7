use shoal_types::{Error, LayoutId, PeerId, RegisterKey, Result};

/// The layout under which the acceptors here carry out operations; none while
/// this peer is of no mesh.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Fence(Option<LayoutId>);

impl Fence {
    pub(crate) fn of(layout: LayoutId) -> Self {
        Self(Some(layout))
    }

    /// Nothing of that layout's mesh is carried out any more.
    pub(crate) fn closed(layout: LayoutId) -> Self {
        Self(Some(LayoutId { version: u64::MAX, ..layout }))
    }

    /// Whether an operation under the layout `theirs` is carried out at `me`.
    pub(crate) fn admits(self, me: PeerId, key: &RegisterKey, theirs: LayoutId) -> Result<()> {
        if self.0.is_some_and(|ours| ours.mesh != theirs.mesh) {
            // Versions of two meshes do not compare. There is none here to wait for.
            return Err(Error::NotReady { peer: me, why: "it is a member of another mesh".into() });
        }
        let ours = self.0.map_or(0, |ours| ours.version);
        let fits = match key {
            RegisterKey::Object(_) | RegisterKey::Version(..) | RegisterKey::Bucket(_) => theirs.version == ours,
            // Decided by the members of the version before, also by one that has
            // not heard of it yet; but what is decided is not asked again.
            RegisterKey::Layout(_, decided) => *decided > ours,
        };
        if fits { Ok(()) } else { Err(Error::StaleLayout { theirs: theirs.version, ours }) }
    }
}

#[cfg(test)]
mod tests {
    use shoal_types::MeshId;

    use super::*;

    const ME: PeerId = PeerId::from_bytes([1; 32]);
    const THEIRS: MeshId = MeshId::from_bytes([2; 16]);

    fn ours(version: u64) -> LayoutId {
        LayoutId { mesh: MeshId::from_bytes([1; 16]), version }
    }

    #[test]
    fn names_are_changed_under_the_version_in_force_only() {
        let key = RegisterKey::Object("b/k".parse().unwrap());
        let fence = Fence::of(ours(7));
        assert!(fence.admits(ME, &key, ours(7)).is_ok());
        for other in [6, 8] {
            let refused = fence.admits(ME, &key, ours(other)).unwrap_err();
            assert_eq!(refused, Error::StaleLayout { theirs: other, ours: 7 });
        }
        assert!(Fence::closed(ours(7)).admits(ME, &key, ours(7)).is_err());
        assert!(Fence::default().admits(ME, &key, ours(7)).is_err());
    }

    #[test]
    fn the_same_version_of_another_mesh_is_another() {
        let fence = Fence::of(ours(7));
        for key in [RegisterKey::Object("b/k".parse().unwrap()), RegisterKey::Layout(THEIRS, 8)] {
            let refused = fence.admits(ME, &key, LayoutId { mesh: THEIRS, version: 7 }).unwrap_err();
            assert!(matches!(refused, Error::NotReady { .. }), "{refused}");
        }
    }

    #[test]
    fn the_next_layout_is_decided_also_by_who_has_not_heard_of_the_last() {
        let next = RegisterKey::Layout(ours(7).mesh, 8);
        for fence in [Fence::of(ours(6)), Fence::of(ours(7)), Fence::default()] {
            assert!(fence.admits(ME, &next, ours(7)).is_ok());
        }
        assert!(Fence::of(ours(8)).admits(ME, &next, ours(7)).is_err());
    }
}
