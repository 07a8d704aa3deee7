//! Who was not admitted, or not found, and why.

use std::collections::BTreeMap;

/// Refusals that are remembered. Of more the oldest are forgotten.
pub(crate) const REFUSALS_MAX: usize = 16;

/// For how many ticks one is told: five minutes. While somebody still knocks,
/// or is still looked for, it is told anew long before.
const TOLD_TICKS: u64 = 1_500;

/// Who was not admitted: by address, when last, and why.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    by_address: BTreeMap<String, Refusal>,
    is_changed: bool,
}

#[derive(Debug)]
struct Refusal {
    tick: u64,
    why: String,
}

impl Refusals {
    pub(super) fn note(&mut self, tick: u64, address: String, why: String) {
        if self.by_address.len() >= REFUSALS_MAX && !self.by_address.contains_key(&address) {
            let oldest = self.by_address.iter().min_by_key(|(_, refusal)| refusal.tick);
            if let Some(oldest) = oldest.map(|(address, _)| address.clone()) {
                self.by_address.remove(&oldest);
            }
        }
        let before = self.by_address.insert(address, Refusal { tick, why: why.clone() });
        self.is_changed |= before.is_none_or(|before| before.why != why);
    }

    /// There is a link to who has these addresses.
    pub(super) fn linked(&mut self, addresses: &[String]) {
        self.forget(|address, _| addresses.iter().any(|linked| linked == address));
    }

    /// Lets go of those that nobody has repeated for long.
    pub(super) fn at(&mut self, tick: u64) {
        self.forget(|_, refusal| tick.saturating_sub(refusal.tick) > TOLD_TICKS);
    }

    fn forget(&mut self, is_over: impl Fn(&str, &Refusal) -> bool) {
        let before = self.by_address.len();
        self.by_address.retain(|address, refusal| !is_over(address, refusal));
        self.is_changed |= self.by_address.len() != before;
    }

    pub(super) fn len(&self) -> usize {
        self.by_address.len()
    }

    /// All of them, if they are not those of the last time.
    pub(super) fn take_changed(&mut self) -> Option<Vec<(String, String)>> {
        let told = |(address, refusal): (&String, &Refusal)| (address.clone(), refusal.why.clone());
        std::mem::take(&mut self.is_changed).then(|| self.by_address.iter().map(told).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(refusals: &mut Refusals, tick: u64, address: &str) {
        refusals.note(tick, address.into(), "connection refused".into());
    }

    #[test]
    fn who_is_there_again_or_has_not_been_looked_for_lately_is_not_told() {
        let mut refusals = Refusals::default();
        for address in ["a:1", "b:1", "c:1"] {
            note(&mut refusals, 1, address);
        }
        assert_eq!(refusals.take_changed().map(|told| told.len()), Some(3));
        assert_eq!(refusals.take_changed(), None);
        refusals.linked(&["z:1".into(), "b:1".into()]);
        assert_eq!(refusals.take_changed().map(|told| told.len()), Some(2));
        note(&mut refusals, TOLD_TICKS, "c:1");
        refusals.at(TOLD_TICKS + 1);
        assert_eq!(refusals.take_changed(), None, "one that is the same again is no news");
        refusals.at(TOLD_TICKS + 2);
        assert_eq!(refusals.take_changed(), Some(vec![("c:1".into(), "connection refused".into())]));
    }

    #[test]
    fn of_more_than_are_remembered_the_oldest_go() {
        let mut refusals = Refusals::default();
        for n in 0..REFUSALS_MAX as u64 {
            note(&mut refusals, n, &format!("a:{n}"));
        }
        note(&mut refusals, 99, "a:0");
        note(&mut refusals, 99, "z:1");
        let told = refusals.take_changed().unwrap();
        assert_eq!((told.len(), refusals.len()), (REFUSALS_MAX, REFUSALS_MAX));
        assert!(told.iter().all(|(address, _)| address != "a:1") && told.iter().any(|(address, _)| address == "a:0"));
    }
}
