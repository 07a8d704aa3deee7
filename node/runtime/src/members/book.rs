use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use shoal_types::{PeerId, Result, wire};

/// Peers whose addresses are remembered.
const PEERS_MAX: usize = 1_000;

/// The shortest time between two writes: of many peers that come at once, few
/// notes are written.
const WRITE_EVERY: Duration = Duration::from_secs(5);

/// Where other peers were last, for the next start.
pub(super) struct AddressBook {
    peers: BTreeMap<PeerId, Arc<[String]>>,
    changed: bool,
    written: Option<Duration>,
}

impl AddressBook {
    /// From the note of the last time; one that cannot be read is none.
    pub(super) fn of(note: Option<Bytes>) -> Self {
        let peers = note.and_then(|bytes| wire::decode(&bytes).ok()).unwrap_or_default();
        Self { peers, changed: false, written: None }
    }

    pub(super) fn enter(&mut self, peer: PeerId, addresses: &Arc<[String]>) {
        let known = self.peers.get(&peer);
        let full = known.is_none() && self.peers.len() >= PEERS_MAX;
        if !addresses.is_empty() && !full && known != Some(addresses) {
            self.peers.insert(peer, addresses.clone());
            self.changed = true;
        }
    }

    pub(super) fn get(&self, peer: PeerId) -> Option<&Arc<[String]>> {
        self.peers.get(&peer)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (PeerId, &Arc<[String]>)> {
        self.peers.iter().map(|(peer, addresses)| (*peer, addresses))
    }

    /// The note to write now, if there is anything new and none was written lately.
    pub(super) fn due(&mut self, now: Duration) -> Option<Result<Bytes>> {
        let rests = self.written.is_some_and(|written| now.saturating_sub(written) < WRITE_EVERY);
        if rests { None } else { self.note(now) }
    }

    /// The note to write, if there is anything new.
    pub(super) fn note(&mut self, now: Duration) -> Option<Result<Bytes>> {
        if !std::mem::take(&mut self.changed) {
            return None;
        }
        self.written = Some(now);
        Some(wire::encode(&self.peers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_new_peers_are_one_note_and_it_is_read_again() {
        let at = |seconds| Duration::from_secs(seconds);
        let mut book = AddressBook::of(None);
        assert!(book.due(at(1)).is_none());
        for n in 0..10 {
            book.enter(PeerId::from_bytes([n; 32]), &[format!("host:{n}")].into());
        }
        let note = book.due(at(1)).unwrap().unwrap();
        assert!(book.due(at(1)).is_none());
        book.enter(PeerId::from_bytes([3; 32]), &["host:3".to_string()].into());
        assert!(book.due(at(60)).is_none(), "nothing new");
        book.enter(PeerId::from_bytes([3; 32]), &["other:3".to_string()].into());
        assert!(book.due(at(61)).is_some());
        book.enter(PeerId::from_bytes([3; 32]), &["host:3".to_string()].into());
        assert!(book.due(at(62)).is_none(), "too soon");
        assert!(book.due(at(66)).is_some());
        let again = AddressBook::of(Some(note));
        assert_eq!(again.iter().count(), 10);
        assert_eq!(again.get(PeerId::from_bytes([7; 32])).unwrap()[..], ["host:7".to_string()]);
    }
}
