use std::collections::{BTreeMap, BTreeSet};

use shoal_types::{Ballot, ChunkId, NameValue, ObjectName, RegisterEntry, RegisterKey, wire};

use crate::host::HostId;

/// What acceptors have on disk, by what disks have acknowledged.
#[derive(Default)]
pub(crate) struct Registers {
    /// Per host, and which of its disks.
    kept: BTreeMap<(HostId, usize), BTreeMap<RegisterKey, Kept>>,
    /// What a disk was told to forget: gone perhaps, with a horizon that says so.
    going: BTreeMap<(HostId, usize), BTreeSet<RegisterKey>>,
    /// Of each name the newest value that anybody has accepted: its ballot,
    /// and the chunks that it lists.
    newest: BTreeMap<ObjectName, (Ballot, BTreeSet<ChunkId>)>,
}

#[derive(Clone, Copy)]
struct Kept {
    promised: Ballot,
    accepted: Ballot,
    /// Of the value: the first bytes of its hash.
    value: u64,
}

impl Kept {
    fn of(entry: &RegisterEntry) -> Self {
        let hash = entry.value.as_ref().map_or([0; 32], |value| *blake3::hash(value).as_bytes());
        let mut value = [0; 8];
        value.copy_from_slice(&hash[..8]);
        Self { promised: entry.promised, accepted: entry.accepted, value: u64::from_le_bytes(value) }
    }
}

impl Registers {
    /// A disk has acknowledged an entry.
    pub(crate) fn synced(&mut self, host: HostId, disk: usize, entry: &RegisterEntry) {
        self.kept.entry((host, disk)).or_default().insert(entry.key.clone(), Kept::of(entry));
        if let Some(going) = self.going.get_mut(&(host, disk)) {
            going.remove(&entry.key);
        }
        let RegisterKey::Object(name) = &entry.key else { return };
        if self.newest.get(name).is_none_or(|(newest, _)| entry.accepted > *newest) {
            let value: Option<NameValue> = entry.value.as_ref().and_then(|value| wire::decode(value).ok());
            let listed = value.as_ref().and_then(NameValue::manifest).map(|manifest| &manifest.chunks);
            let listed = listed.into_iter().flatten().map(|chunk| chunk.id).collect();
            self.newest.insert(name.clone(), (entry.accepted, listed));
        }
    }

    /// A disk is told to forget these.
    pub(crate) fn forgets(&mut self, host: HostId, disk: usize, keys: &[RegisterKey]) {
        self.going.entry((host, disk)).or_default().extend(keys.iter().cloned());
    }

    /// It is told to forget all that is not of layouts, and what it promised of it.
    pub(crate) fn clears(&mut self, host: HostId, disk: usize) {
        if let Some(kept) = self.kept.get_mut(&(host, disk)) {
            kept.retain(|key, _| matches!(key, RegisterKey::Layout(..)));
        }
    }

    /// Of how many registers a host's disks hold a value, but for layouts.
    #[cfg(test)]
    pub(crate) fn held(&self, host: HostId) -> usize {
        let disks = self.kept.range((host, 0)..=(host, usize::MAX));
        let held = disks.flat_map(|(disk, kept)| {
            let going = self.going.get(disk);
            kept.iter().filter(move |(key, _)| going.is_none_or(|going| !going.contains(key)))
        });
        held.filter(|(key, kept)| key.placed_by().is_some() && kept.accepted > Ballot::ZERO).count()
    }

    /// How many of a host's registers hold an older value than another host's, but for layouts.
    #[cfg(test)]
    pub(crate) fn stale(&self, host: HostId) -> usize {
        let newest_of = |key| {
            let accepted = self.kept.values().filter_map(|kept| kept.get(key)).map(|kept| kept.accepted);
            accepted.max().unwrap_or(Ballot::ZERO)
        };
        let kept = self.kept.range((host, 0)..=(host, usize::MAX)).flat_map(|(_, kept)| kept);
        kept.filter(|(key, kept)| key.placed_by().is_some() && kept.accepted < newest_of(key)).count()
    }

    /// Whether the newest value of a name lists a chunk, as far as is known:
    /// what it listed before can be collected.
    pub(crate) fn lists(&self, name: &ObjectName, chunk: ChunkId) -> bool {
        self.newest.get(name).is_none_or(|(_, listed)| listed.contains(&chunk))
    }

    /// What is wrong with an entry that was `found` or is about to be written:
    /// it may be later than what was acknowledged, and not earlier. It may be
    /// gone if it was to be forgotten, and the `horizon` there covers it.
    pub(crate) fn judge(
        &self,
        host: HostId,
        disk: usize,
        key: &RegisterKey,
        found: Option<&RegisterEntry>,
        horizon: Ballot,
    ) -> Option<String> {
        let kept = self.kept.get(&(host, disk))?.get(key)?;
        let may_be_gone = self.going.get(&(host, disk)).is_some_and(|going| going.contains(key));
        let ballot = |ballot: Ballot| format!("{} of {}", ballot.counter, ballot.proposer.short());
        let is_begun_anew =
            |found: &Kept| may_be_gone && found.accepted == Ballot::ZERO && found.promised > kept.promised;
        let Some(found) = found.map(Kept::of).filter(|found| !is_begun_anew(found)) else {
            return match may_be_gone {
                true if horizon >= kept.promised => None,
                true => Some(format!(
                    "the register '{key}' had promised ballot {} here, is forgotten, and the horizon is {}",
                    ballot(kept.promised),
                    ballot(horizon)
                )),
                false => Some(format!("the register '{key}' was synced here and is gone")),
            };
        };
        if found.promised < kept.promised {
            let (was, is) = (ballot(kept.promised), ballot(found.promised));
            return Some(format!("the register '{key}' had promised ballot {was} here and now holds {is}"));
        }
        if found.accepted < kept.accepted {
            let (was, is) = (ballot(kept.accepted), ballot(found.accepted));
            return Some(format!("the register '{key}' had accepted ballot {was} here and now holds {is}"));
        }
        let changed = found.accepted == kept.accepted && found.value != kept.value;
        changed.then(|| format!("the register '{key}' holds another value of ballot {}", ballot(kept.accepted)))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use shoal_types::PeerId;

    use super::*;

    fn entry(promised: u64, accepted: u64, value: &'static str) -> RegisterEntry {
        let ballot = |counter| Ballot { counter, proposer: PeerId::from_bytes([1; 32]) };
        RegisterEntry {
            key: RegisterKey::Object("b/x".parse().unwrap()),
            promised: ballot(promised),
            accepted: ballot(accepted),
            value: Some(Bytes::from_static(value.as_bytes())),
        }
    }

    #[test]
    fn what_was_acknowledged_may_grow_and_never_shrink() {
        let mut registers = Registers::default();
        registers.synced(HostId(1), 0, &entry(5, 3, "a"));
        let check = |disk, found: Option<RegisterEntry>, wrong: Option<&str>| {
            let key = RegisterKey::Object("b/x".parse().unwrap());
            let judged = registers.judge(HostId(1), disk, &key, found.as_ref(), Ballot::ZERO);
            match wrong {
                None => assert_eq!(judged, None),
                Some(wrong) => assert!(judged.clone().unwrap().contains(wrong), "{judged:?}"),
            }
        };
        check(0, Some(entry(5, 3, "a")), None);
        check(0, Some(entry(6, 6, "b")), None);
        check(0, None, Some("is gone"));
        check(0, Some(entry(4, 3, "a")), Some("had promised ballot 5"));
        check(0, Some(entry(5, 2, "a")), Some("had accepted ballot 3"));
        check(0, Some(entry(5, 3, "b")), Some("another value"));
        check(1, None, None);
    }

    #[test]
    fn what_was_to_be_forgotten_may_be_gone_below_a_horizon() {
        let mut registers = Registers::default();
        let key = entry(5, 3, "a").key;
        registers.synced(HostId(1), 0, &entry(5, 3, "a"));
        registers.forgets(HostId(1), 0, std::slice::from_ref(&key));
        let judge = |registers: &Registers, found: Option<RegisterEntry>, horizon| {
            let horizon = Ballot { counter: horizon, proposer: PeerId::from_bytes([1; 32]) };
            registers.judge(HostId(1), 0, &key, found.as_ref(), horizon)
        };
        assert_eq!(judge(&registers, None, 5), None);
        assert_eq!(judge(&registers, Some(entry(5, 3, "a")), 0), None, "or be there still");
        assert!(judge(&registers, None, 4).unwrap().contains("the horizon is 4"));
        // What comes after that is kept as ever.
        registers.synced(HostId(1), 0, &entry(7, 6, "b"));
        assert!(judge(&registers, None, 9).unwrap().contains("is gone"));
    }
}
