//! One mesh out of several: who forms one, and who gives its own up.

use shoal_types::{Gossip, Result, wire};

use super::{LAYOUT_NOTE, State};
use crate::members::MemberTable;

/// For how many ticks another mesh must have been there before ours is given up.
const YIELD_TICKS: u64 = 5;

impl State {
    /// Whether to form a mesh rather than wait to be taken in: at once where
    /// nobody is, else the one with the smallest id, else after a while.
    pub(super) fn may_form(&self) -> bool {
        let looked = self.context.ports.clock.now().saturating_sub(self.started);
        let discover = self.context.config.timing.discover;
        let linked =
            |members: &MemberTable| members.entries.iter().find(|(_, entry)| entry.linked).map(|(peer, _)| *peer);
        let smallest = self.context.members.look(linked);
        match smallest {
            None => looked >= discover,
            Some(other) if self.context.me < other => looked >= discover,
            Some(_) => looked >= 5 * discover,
        }
    }

    /// Two meshes with one secret have met. A peer that is a mesh by itself
    /// and holds no data gives its own up and is taken in by the other; of two
    /// such the one with the greater id, the other a while later should
    /// nothing have come of it. Two with data stay apart, and say so.
    pub(super) async fn yield_to_strangers(&mut self) -> Result<()> {
        let before = self.foreign.len();
        if before > 0 {
            let foreign = &mut self.foreign;
            self.context.members.look(|members| {
                foreign.retain(|peer, _| members.entries.get(peer).is_some_and(|entry| entry.linked));
            });
        }
        if self.foreign.len() < before {
            self.outlook = None;
        }
        let (Some(ours), Some(smallest)) = (&self.layout, self.foreign.values().min().copied()) else {
            self.foreign_ticks = 0;
            self.context.say_stranger(None);
            return Ok(());
        };
        self.foreign_ticks += 1;
        self.context.say_stranger(Some(smallest));
        let patience = if ours.mesh > smallest { YIELD_TICKS } else { 6 * YIELD_TICKS };
        let alone = ours.members.len() == 1 && !ours.is_joint() && !self.proposing;
        if self.foreign_ticks < patience || !alone || !self.is_empty().await? {
            return Ok(());
        }
        tracing::info!(ours = %ours.mesh.short(), theirs = %smallest.short(), "gives up its own empty mesh for another");
        let store = self.context.ports.store.clone();
        self.context.blocking(move || store.note_put(LAYOUT_NOTE, &[])).await?;
        self.layout = None;
        self.involved = false;
        self.outlook = None;
        self.started = self.context.ports.clock.now();
        self.context.publish_layout(None);
        for peer in std::mem::take(&mut self.foreign).into_keys() {
            if let Ok(frame) = wire::encode(&Gossip::Homeless) {
                self.context.ports.transport.gossip(peer, frame);
            }
        }
        Ok(())
    }
}
