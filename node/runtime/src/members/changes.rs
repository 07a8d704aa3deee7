use std::collections::VecDeque;

use shoal_types::PeerId;

/// Changes that are remembered.
const KEPT: usize = 128;

/// Which peers something has changed about lately: whoever has looked at all
/// of a table need not do so again.
#[derive(Debug, Clone, Default)]
pub(crate) struct Changes {
    /// How many there have been.
    count: u64,
    last: VecDeque<PeerId>,
}

impl Changes {
    pub(super) fn note(&mut self, peer: PeerId) {
        self.count += 1;
        if self.last.len() >= KEPT {
            self.last.pop_front();
        }
        self.last.push_back(peer);
    }

    /// How many there have been: what [`Changes::since`] wants to be told later.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Whom those were about that came after `seen`, some of them more than
    /// once; `None` when that were too many.
    pub(crate) fn since(&self, seen: u64) -> Option<impl Iterator<Item = PeerId>> {
        let new = usize::try_from(self.count.checked_sub(seen)?).ok()?;
        let known = self.last.len().checked_sub(new)?;
        Some(self.last.iter().skip(known).copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_changed_since_is_told_unless_it_is_too_much() {
        let peer = |n| PeerId::from_bytes([n; 32]);
        let mut changes = Changes::default();
        let since = |changes: &Changes, seen| changes.since(seen).map(Iterator::collect::<Vec<_>>);
        assert_eq!(since(&changes, 0), Some(vec![]));
        for n in [3, 1, 3] {
            changes.note(peer(n));
        }
        assert_eq!(changes.count(), 3);
        assert_eq!(since(&changes, 1), Some(vec![peer(1), peer(3)]));
        assert_eq!(since(&changes, 3), Some(vec![]));
        assert_eq!(since(&changes, 4), None);
        for n in 0..KEPT as u8 {
            changes.note(peer(n));
        }
        assert_eq!(since(&changes, 2), None);
        assert_eq!(since(&changes, 3).map(|peers| peers.len()), Some(KEPT));
    }
}
