use serde::{Deserialize, Serialize};
use shoal_types::{Error, PeerId, ScrubProgress};

use super::ErrorView;

/// How far the scrub of a member is, or what it came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MemberScrubView {
    pub id: String,
    pub name: String,
    /// Copies read, of those held.
    pub copies: u64,
    pub copies_held: u64,
    pub bytes: u64,
    pub bytes_held: u64,
    pub bytes_per_second: u64,
    /// Copies that were not what their names say or could not be read; those
    /// of them that are whole again.
    pub bad: u64,
    pub mended: u64,
    pub seconds: f64,
    /// Whether all of its copies were read.
    pub done: bool,
    /// Why it went no further.
    pub error: Option<ErrorView>,
}

impl MemberScrubView {
    pub(crate) fn of(peer: PeerId, name: String, outcome: Result<&ScrubProgress, &Error>) -> Self {
        let progress = outcome.copied().unwrap_or_default();
        Self {
            id: peer.to_string(),
            name,
            copies: progress.copies,
            copies_held: progress.copies_held,
            bytes: progress.bytes,
            bytes_held: progress.bytes_held,
            bytes_per_second: progress.bytes_per_second(),
            bad: progress.bad,
            mended: progress.mended,
            seconds: progress.since_ms as f64 / 1e3,
            done: progress.is_done,
            error: outcome.err().map(ErrorView::from),
        }
    }
}

/// What a scrub of one or many members came to.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ScrubView {
    pub copies: u64,
    pub bytes: u64,
    pub bad: u64,
    pub mended: u64,
    /// Each as it was heard of last, by name.
    pub members: Vec<MemberScrubView>,
}

impl ScrubView {
    /// Takes in what a member said: all that it had found before is in it, or
    /// else it says why it stopped.
    pub fn note(&mut self, said: &MemberScrubView) {
        match self.members.iter_mut().find(|member| member.id == said.id) {
            Some(member) if said.error.is_some() => member.error.clone_from(&said.error),
            Some(member) => member.clone_from(said),
            None => self.members.push(said.clone()),
        }
        self.members.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        let sum = |of: fn(&MemberScrubView) -> u64| self.members.iter().map(of).fold(0, u64::saturating_add);
        let sums = [sum(|it| it.copies), sum(|it| it.bytes), sum(|it| it.bad), sum(|it| it.mended)];
        [self.copies, self.bytes, self.bad, self.mended] = sums;
    }

    /// Whether every copy was read, and is whole now.
    pub fn is_clean(&self) -> bool {
        self.bad == self.mended && self.members.iter().all(|member| member.done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_sums_up_what_was_heard_last_of_each_and_keeps_what_one_found_before_it_failed() {
        let said = |n, copies, outcome: Result<(), Error>| {
            let progress = ScrubProgress { copies, bytes: 10 * copies, bad: 1, ..ScrubProgress::default() };
            let outcome = outcome.map(|()| progress);
            MemberScrubView::of(PeerId::from_bytes([n; 32]), format!("peer-{n}"), outcome.as_ref())
        };
        let mut report = ScrubView::default();
        for said in [said(2, 1, Ok(())), said(1, 3, Ok(())), said(2, 5, Ok(())), said(2, 0, Err(Error::Cancelled))] {
            report.note(&said);
        }
        assert_eq!((report.copies, report.bytes, report.bad, report.mended), (8, 80, 2, 0));
        assert_eq!(report.members.iter().map(|member| member.error.is_some()).collect::<Vec<_>>(), [false, true]);
        assert!(!report.is_clean());
    }
}
