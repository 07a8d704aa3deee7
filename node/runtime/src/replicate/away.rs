//! Members to whom nothing can be brought.

use std::collections::BTreeSet;
use std::sync::Arc;

use shoal_types::{Layout, PeerId};

use crate::context::Context;
use crate::members::{MemberEntry, MemberTable};
use crate::placed::Placed;

/// Members to whom nothing can be brought.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Absent {
    /// All of them.
    pub(super) peers: BTreeSet<PeerId>,
    /// Those of them for whom others stand in: dead, or stopped. Of two who
    /// have no link to each other, as both are behind a router, each is alive
    /// for all others, who bring it what it lacks.
    pub(super) gone: BTreeSet<PeerId>,
}

impl Absent {
    fn set(&mut self, peer: PeerId, entry: Option<&MemberEntry>) {
        let set = |peers: &mut BTreeSet<PeerId>, is_in| if is_in { peers.insert(peer) } else { peers.remove(&peer) };
        set(&mut self.peers, !entry.is_some_and(MemberEntry::is_live));
        set(&mut self.gone, entry.is_none_or(MemberEntry::is_gone));
    }

    pub(super) fn is_nobody(&self) -> bool {
        self.peers.is_empty()
    }
}

/// Who is absent, kept up to date.
pub(super) struct Away {
    layout: Arc<Placed>,
    /// Changes of the table of members that are in it.
    seen: u64,
    pub(super) absent: Absent,
}

impl Away {
    /// Who is away now, given who was `before`: in a large mesh nearly
    /// everyone is as before.
    pub(super) fn after(before: Option<Self>, context: &Context, layout: &Arc<Placed>) -> Self {
        context.members.look(|table| {
            let seen = table.changes.count();
            if let Some(before) = before.filter(|before| Arc::ptr_eq(&before.layout, layout))
                && let Some(changed) = table.changes.since(before.seen)
            {
                let mut away = Self { seen, ..before };
                for peer in changed.filter(|peer| layout.involves(*peer) && *peer != context.me) {
                    away.absent.set(peer, table.entries.get(&peer));
                }
                return away;
            }
            let mut absent = Absent::default();
            let known = layout.groups().flat_map(|group| table.beside(group));
            for (member, entry) in known.filter(|(member, _)| member.id != context.me) {
                absent.set(member.id, entry);
            }
            Self { layout: layout.clone(), seen, absent }
        })
    }
}

/// Members to whom nothing can be brought now.
pub(crate) fn away(table: &MemberTable, me: PeerId, layout: &Layout) -> BTreeSet<PeerId> {
    let known = layout.groups().flat_map(|group| table.beside(group));
    let away = known.filter(|(member, entry)| member.id != me && !entry.is_some_and(MemberEntry::is_live));
    away.map(|(member, _)| member.id).collect()
}
