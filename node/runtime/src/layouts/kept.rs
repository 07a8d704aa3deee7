//! The layout that a peer keeps on its disk.

use shoal_ports::Store;
use shoal_types::{Error, Layout, PeerId, Result, wire};

use super::strangers::keeps_nothing;

/// The note in which it is kept; empty where a mesh was given up.
const NOTE: &str = "layout";

pub(super) fn read(store: &dyn Store) -> Result<Option<Layout>> {
    let note = store.note_get(NOTE)?.filter(|note| !note.is_empty());
    note.map(|note| wire::decode(&note)).transpose()
}

pub(super) fn write(store: &dyn Store, layout: &Layout) -> Result<()> {
    store.note_put(NOTE, &wire::encode(layout)?)
}

pub(super) fn forget(store: &dyn Store) -> Result<()> {
    store.note_put(NOTE, &[])
}

/// Readies what a peer remembers of its mesh for a start with so many copies
/// `wanted`, if any are. A layout that a build before has written, which did
/// not have their number in it, becomes one of `former` copies. A mesh of this
/// peer alone that keeps nothing may have another number: it is forgotten, for
/// a new one. Waits for the disk.
///
/// # Errors
/// Those of the store, and [`Error::OtherReplicas`] where the mesh has another number.
pub fn ready_layout(store: &dyn Store, me: PeerId, former: u32, wanted: Option<u32>) -> Result<()> {
    let Some(note) = store.note_get(NOTE)?.filter(|note| !note.is_empty()) else {
        return Ok(());
    };
    let layout = Layout::decode_kept(&note, former)?;
    if Layout::is_former(&note) {
        write(store, &layout)?;
    }
    match wanted.filter(|wanted| *wanted != layout.replicas) {
        None => Ok(()),
        Some(_) if layout.everyone() == [me] && keeps_nothing(store)? => forget(store),
        Some(wanted) => Err(Error::OtherReplicas { mesh: layout.mesh, theirs: layout.replicas, wanted }),
    }
}

#[cfg(test)]
mod tests {
    use shoal_types::{ChunkId, MeshId};

    use super::*;
    use crate::role::member_of;
    use crate::tests::info;
    use crate::tests::ports::Store as Kept;

    fn layout() -> Layout {
        Layout::first(MeshId::from_bytes([1; 16]), member_of(&info(1)), 2)
    }

    #[test]
    fn a_layout_of_a_build_before_becomes_one_of_the_number_that_was_kept_beside_it() {
        let (store, me) = (Kept::default(), info(1).id);
        ready_layout(&store, me, 2, Some(5)).unwrap();
        assert_eq!(read(&store).unwrap(), None);
        let frame = wire::encode(&layout()).unwrap();
        store.note_put(NOTE, &frame[..frame.len() - 1]).unwrap();
        assert!(read(&store).is_err());
        ready_layout(&store, me, 2, None).unwrap();
        assert_eq!(read(&store).unwrap(), Some(layout()));
        // From then on it is in there.
        ready_layout(&store, me, 3, Some(2)).unwrap();
        assert_eq!(read(&store).unwrap(), Some(layout()));
    }

    #[test]
    fn a_mesh_has_another_number_only_where_it_is_one_peer_that_keeps_nothing() {
        let (store, me) = (Kept::default(), info(1).id);
        let other = Err(Error::OtherReplicas { mesh: layout().mesh, theirs: 2, wanted: 3 });
        let two = layout().replaced_by(vec![member_of(&info(1)), member_of(&info(2))]);
        write(&store, &two.settled()).unwrap();
        assert_eq!(ready_layout(&store, me, 2, Some(3)), other);
        write(&store, &layout()).unwrap();
        store.chunk_put(ChunkId::of(b"x"), b"x").unwrap();
        assert_eq!(ready_layout(&store, me, 2, Some(3)), other);
        assert_eq!(read(&store).unwrap(), Some(layout()));
        store.chunk_delete(ChunkId::of(b"x")).unwrap();
        ready_layout(&store, me, 2, Some(3)).unwrap();
        assert_eq!(read(&store).unwrap(), None);
    }
}
