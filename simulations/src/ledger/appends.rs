//! Objects that are appended to: what was appended, and what readers saw.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::host::HostId;

/// What clients appended, and saw of it.
#[derive(Default)]
pub(crate) struct Appended {
    logs: BTreeMap<String, Log>,
    /// Clients at work: somebody may still hear how an append ends.
    busy: u32,
    /// Reads that were judged.
    pub(crate) looks: u64,
}

/// One object.
#[derive(Default)]
struct Log {
    /// Every append that was asked for, by its number.
    appends: BTreeMap<u64, Append>,
    /// The most that somebody saw, in its order.
    longest: Vec<u64>,
    /// Reads: when each ended, and how many appends it saw.
    reads: Vec<(Duration, usize)>,
}

struct Append {
    at: HostId,
    invoked: Duration,
    /// When its client was told that it is there.
    done: Option<Duration>,
}

/// A read: from when until when, and the numbers of the appends that it saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) invoked: Duration,
    pub(crate) returned: Duration,
    pub(crate) saw: Vec<u64>,
}

impl Appended {
    pub(crate) fn begin(&mut self, log: &str, number: u64, at: HostId, invoked: Duration) {
        let append = Append { at, invoked, done: None };
        self.logs.entry(log.to_owned()).or_default().appends.insert(number, append);
    }

    pub(crate) fn done(&mut self, log: &str, number: u64, at: Duration) {
        if let Some(append) = self.logs.get_mut(log).and_then(|log| log.appends.get_mut(&number)) {
            append.done = Some(at);
        }
    }

    /// How many were asked for.
    pub(crate) fn begun(&self) -> usize {
        self.logs.values().map(|log| log.appends.len()).sum()
    }

    /// A client begins to work, or has ended.
    pub(crate) fn works(&mut self, begins: bool) {
        self.busy = if begins { self.busy + 1 } else { self.busy.saturating_sub(1) };
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.busy > 0
    }

    pub(crate) fn logs(&self) -> Vec<String> {
        self.logs.keys().cloned().collect()
    }

    /// Whether a read fits to what was appended and read before, all of it in
    /// one order: each append once and behind those that were over when it
    /// began, and all that was acknowledged or seen when the read began. Gives what does not.
    pub(crate) fn judge(&mut self, log: &str, read: &Read) -> Result<(), (Vec<HostId>, String)> {
        self.looks += 1;
        let log = self.logs.entry(log.to_owned()).or_default();
        let complaint = log.complaint(read);
        log.reads.push((read.returned, read.saw.len()));
        if log.longest.len() < read.saw.len() {
            log.longest.clone_from(&read.saw);
        }
        match complaint {
            None => Ok(()),
            Some((number, what)) => {
                let at = log.appends.get(&number).map(|append| append.at);
                Err((at.into_iter().collect(), format!("append {number:x} {what}")))
            }
        }
    }
}

impl Log {
    fn complaint(&self, read: &Read) -> Option<(u64, String)> {
        let saw: BTreeSet<u64> = read.saw.iter().copied().collect();
        // The latest beginning of those before: none may have been over by then.
        let mut latest = (Duration::ZERO, 0);
        let mut met = BTreeSet::new();
        for (number, before) in read.saw.iter().zip(self.longest.iter().map(Some).chain(std::iter::repeat(None))) {
            let Some(append) = self.appends.get(number).filter(|append| append.invoked < read.returned) else {
                return Some((*number, "was read, and nobody had asked for it".into()));
            };
            if !met.insert(*number) {
                return Some((*number, "is there twice".into()));
            }
            if before.is_some_and(|before| before != number) {
                return Some((*number, "is in a place where another one was read before".into()));
            }
            if append.done.is_some_and(|done| done < latest.0) {
                let what = format!("was over before {:x} began, and is behind it", latest.1);
                return Some((*number, what));
            }
            latest = latest.max((append.invoked, *number));
        }
        let mut acknowledged =
            self.appends.iter().filter(|(_, append)| append.done.is_some_and(|at| at < read.invoked));
        if let Some((number, _)) = acknowledged.find(|(number, _)| !saw.contains(number)) {
            return Some((*number, "was acknowledged, and is not there".into()));
        }
        let earlier = self.reads.iter().filter(|(returned, _)| *returned < read.invoked).map(|(_, seen)| *seen).max();
        let gone = earlier.filter(|seen| *seen > read.saw.len()).and_then(|_| self.longest.get(read.saw.len()));
        gone.map(|number| (*number, "was read before, and is not there any more".into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> Duration {
        Duration::from_secs(second)
    }

    /// A log with the appends 1 (over at 2), 2 (from 3 to 4), and 3 (from 3, outcome unknown).
    fn appended() -> Appended {
        let mut all = Appended::default();
        for (number, invoked) in [(1, 1), (2, 3), (3, 3)] {
            all.begin("logs/0", number, HostId(number as u32), at(invoked));
        }
        all.done("logs/0", 1, at(2));
        all.done("logs/0", 2, at(4));
        all
    }

    fn check(reads: &[(u64, u64, &[u64])], complaint: Option<&str>) {
        let mut all = appended();
        let mut judged = Vec::new();
        for (invoked, returned, saw) in reads {
            let read = Read { invoked: at(*invoked), returned: at(*returned), saw: saw.to_vec() };
            judged.push(all.judge("logs/0", &read).map_err(|(_, what)| what));
        }
        let last = judged.pop().unwrap();
        assert!(judged.iter().all(Result::is_ok), "{judged:?}");
        match complaint {
            None => assert_eq!(last, Ok(())),
            Some(words) => assert!(last.as_ref().is_err_and(|what| what.contains(words)), "{words}: {last:?}"),
        }
    }

    #[test]
    fn appends_of_unknown_outcome_may_be_there_or_not_and_those_at_one_time_in_any_order() {
        check(&[(5, 6, &[1, 2])], None);
        check(&[(5, 6, &[1, 3, 2])], None);
        check(&[(5, 6, &[1, 2, 3])], None);
        check(&[(3, 6, &[1]), (3, 6, &[1, 2]), (3, 6, &[1])], None);
    }

    #[test]
    fn an_append_that_is_twice_or_nowhere_or_moves_is_told() {
        check(&[(5, 6, &[1, 2, 1])], Some("append 1 is there twice"));
        check(&[(5, 6, &[1, 3])], Some("append 2 was acknowledged, and is not there"));
        check(&[(5, 6, &[2, 1])], Some("append 1 was over before 2 began, and is behind it"));
        check(&[(3, 6, &[1, 2]), (3, 6, &[1, 3])], Some("append 3 is in a place where another one"));
        check(&[(3, 4, &[1, 3]), (5, 6, &[1, 3, 2]), (7, 8, &[1, 3, 2, 9])], Some("append 9 was read, and nobody"));
        check(&[(3, 4, &[1, 2, 3]), (5, 6, &[1, 2])], Some("append 3 was read before, and is not there any more"));
    }
}
