//! Members to whom nothing can be brought.

use std::collections::BTreeSet;
use std::sync::Arc;

use shoal_types::{Layout, PeerId};

use crate::context::Context;
use crate::members::{MemberEntry, MemberTable};
use crate::placed::Placed;

/// Members to whom nothing can be brought, kept up to date.
pub(super) struct Away {
    layout: Arc<Placed>,
    /// Changes of the table of members that are in it.
    seen: u64,
    pub(super) peers: BTreeSet<PeerId>,
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
                    if table.is_live(peer) {
                        away.peers.remove(&peer);
                    } else {
                        away.peers.insert(peer);
                    }
                }
                return away;
            }
            Self { layout: layout.clone(), seen, peers: away(table, context.me, layout) }
        })
    }
}

/// Members to whom nothing can be brought now.
pub(crate) fn away(table: &MemberTable, me: PeerId, layout: &Layout) -> BTreeSet<PeerId> {
    let known = layout.groups().flat_map(|group| table.beside(group));
    let away = known.filter(|(member, entry)| member.id != me && !entry.is_some_and(MemberEntry::is_live));
    away.map(|(member, _)| member.id).collect()
}
