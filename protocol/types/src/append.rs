//! What is remembered of appends.

use serde::{Deserialize, Serialize};

use crate::AppendId;

/// The appends that made an object what it is, since it was last put whole,
/// and the ids of requests that wrote it: appends, and puts that had one.
///
/// Each append is in here under an id of its own, so that two of the same
/// bytes are two, and one whose outcome was not heard and which is asked for
/// again is one. The latest are remembered, [`Appends::RECENT_MAX`] of them: an
/// append that is asked for again after as many others is taken for a new one.
/// Of ids that peers [drew](AppendId::drawn) there are [`Appends::DRAWN_MAX`]
/// beside them, so that they take no place from those that somebody may come
/// back with: long enough for whoever drew one to find it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Appends {
    count: u64,
    /// The oldest first.
    recent: Vec<AppendId>,
}

impl Appends {
    /// How many are remembered, at 16 bytes each in the register of the name.
    pub const RECENT_MAX: usize = 64;

    /// How many that were drawn: as many conditional changes of others may come
    /// before whoever made one has looked what became of it. 8-64.
    pub const DRAWN_MAX: usize = 16;

    /// How many there were.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// What is remembered once the object was put whole: that it was by the
    /// request with this id, or by one without, and what was done before. That
    /// counts as no append.
    #[must_use]
    pub fn put_by(&self, request: Option<AppendId>) -> Self {
        // Who was the latest is not any more.
        let hides = || self.recent.last().is_some_and(|latest| Kind::of(latest) == Kind::Asked);
        let latest = request.or_else(|| hides().then_some(AppendId::NONE));
        let recent = latest.map_or_else(|| self.recent.clone(), |id| self.recent_and(id));
        Self { count: 0, recent }
    }

    /// The same with an id that a peer drew, before that of the request.
    #[must_use]
    pub fn put_by_drawn(&self, drawn: Option<AppendId>, request: Option<AppendId>) -> Self {
        let beside = drawn.map_or_else(|| self.clone(), |id| Self { count: 0, recent: self.recent_and(id) });
        beside.put_by(request)
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.count == 0 && self.recent.is_empty()
    }

    /// Whether this one is in effect, as far as is remembered.
    pub fn contains(&self, id: AppendId) -> bool {
        self.recent.contains(&id)
    }

    /// Whether this one is in effect, and nothing was written since.
    pub fn is_latest(&self, id: AppendId) -> bool {
        self.recent.last() == Some(&id)
    }

    /// These, and one more.
    #[must_use]
    pub fn and(&self, id: AppendId) -> Self {
        Self { count: self.count.saturating_add(1), recent: self.recent_and(id) }
    }

    fn recent_and(&self, id: AppendId) -> Vec<AppendId> {
        let mut recent = self.recent.clone();
        recent.push(id);
        let kind = Kind::of(&id);
        let is_like = |other: &AppendId| Kind::of(other) == kind;
        let mut too_many = recent.iter().copied().filter(is_like).count().saturating_sub(kind.max());
        // The oldest of its kind.
        recent.retain(|other| {
            let is_over = too_many > 0 && is_like(other);
            too_many -= usize::from(is_over);
            !is_over
        });
        recent
    }

    /// The latest of a kind.
    fn latest(&self, kind: Kind) -> Option<&AppendId> {
        self.recent.iter().rfind(|id| Kind::of(id) == kind)
    }

    /// Whether an append that was tried on an object with the appends `before`
    /// would still be remembered here, were it in effect: it came after the
    /// last of those, and whatever came before is forgotten first. Ids of other
    /// kinds tell nothing of it: they have places of their own.
    pub fn would_tell_since(&self, before: &Self) -> bool {
        match before.latest(Kind::Asked) {
            Some(last) => self.contains(*last),
            // As many as are remembered stay as many, once they are.
            None => self.recent.len() < Self::RECENT_MAX && (before.recent.is_empty() || !self.recent.is_empty()),
        }
    }

    /// Whether a change that was decided on `before` and made of it `made` is in
    /// effect here, told by the last id that it drew. `None` where it drew none,
    /// or where that may have been pushed out since.
    ///
    /// It holds as long as everybody who writes carries on what is remembered. A
    /// value that a build does not know, and replaces, breaks it.
    pub fn has(&self, made: &Self, before: &Self) -> Option<bool> {
        let drew = made.recent.iter().rfind(|id| id.is_drawn() && !before.contains(**id))?;
        if self.contains(*drew) {
            return Some(true);
        }
        // As many as are remembered stay as many, once they are.
        let are_few = || self.recent.iter().filter(|id| id.is_drawn()).count() < Self::DRAWN_MAX;
        let would_tell = match (before.latest(Kind::Drawn), before.latest(Kind::Asked)) {
            (Some(last), _) => self.contains(*last),
            (None, Some(last)) => are_few() && self.contains(*last),
            (None, None) => are_few() && self.recent.len() < Self::RECENT_MAX,
        };
        would_tell.then_some(false)
    }
}

/// Each has places of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Of whoever may come back with it.
    Asked,
    Drawn,
    /// [`AppendId::NONE`].
    None,
}

impl Kind {
    fn of(id: &AppendId) -> Self {
        match *id {
            AppendId::NONE => Self::None,
            id if id.is_drawn() => Self::Drawn,
            _ => Self::Asked,
        }
    }

    const fn max(self) -> usize {
        match self {
            Self::Asked => Appends::RECENT_MAX,
            Self::Drawn => Appends::DRAWN_MAX,
            Self::None => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u64) -> AppendId {
        AppendId::from_bytes(u128::from(n).to_le_bytes())
    }

    fn after(appends: &Appends, ids: std::ops::Range<u64>) -> Appends {
        ids.fold(appends.clone(), |appends, n| appends.and(id(n)))
    }

    #[test]
    fn the_latest_are_remembered_and_no_more() {
        let max = Appends::RECENT_MAX as u64;
        let appends = after(&Appends::default(), 0..2 * max);
        assert_eq!((appends.count(), appends.recent.len()), (2 * max, Appends::RECENT_MAX));
        assert!(appends.contains(id(max)) && appends.contains(id(2 * max - 1)) && !appends.contains(id(max - 1)));
    }

    #[test]
    fn a_put_is_remembered_beside_what_was_done_before_and_is_no_append() {
        let none = Appends::default();
        assert!(none.put_by(None).is_empty());
        let put = after(&none, 0..3).put_by(Some(id(7)));
        assert!(put.count() == 0 && put.contains(id(2)) && put.contains(id(7)));
        let max = Appends::RECENT_MAX as u64;
        let later = after(&put, 100..100 + max - 1);
        assert_eq!((later.count(), later.contains(id(7)), later.contains(id(2))), (max - 1, true, false));
        assert!(later.would_tell_since(&put) && !later.would_tell_since(&none));
    }

    #[test]
    fn a_request_is_the_latest_until_anything_else_is_written() {
        let put = after(&Appends::default(), 0..3).put_by(Some(id(7)));
        assert!(put.is_latest(id(7)) && !put.is_latest(id(2)));
        let drawn = Some(AppendId::drawn(8));
        for since in [put.and(id(8)), put.put_by(Some(id(8))), put.put_by_drawn(drawn, None), put.put_by(None)] {
            assert!(since.contains(id(7)) && !since.is_latest(id(7)), "{since:?}");
        }
        // Puts without an id take one place together.
        let many = (0..100).fold(put.clone(), |appends, _| appends.put_by(None));
        assert!(many == put.put_by(None) && many.would_tell_since(&put));
        let others = put.put_by(None).and(id(9)).put_by(None);
        assert!(others.contains(id(9)) && !others.is_latest(id(9)) && others.recent.len() == put.recent.len() + 2);
        // Nor does the id that a peer drew for it come after it.
        assert!(put.put_by_drawn(drawn, Some(id(9))).is_latest(id(9)));
    }

    /// A put counts as no append, and its id takes the place of one all the
    /// same: as many of them as are remembered, and the append that they had
    /// pushed out was told not to have been made.
    #[test]
    fn of_an_append_that_puts_have_pushed_out_nothing_is_told() {
        let max = Appends::RECENT_MAX as u64;
        for before in [Appends::default(), after(&Appends::default(), 0..1), after(&Appends::default(), 0..100)] {
            let made = before.and(id(1_000));
            let pushed_out = (0..max).fold(made.clone(), |appends, n| appends.put_by(Some(id(2_000 + n))));
            assert!(!pushed_out.contains(id(1_000)) && !pushed_out.would_tell_since(&before));
            assert!(made.put_by(Some(id(2_000))).would_tell_since(&before));
        }
    }

    /// Each took a place for good: 64 conditional puts without an id, and a
    /// client that came back with its own was not known any more.
    #[test]
    fn ids_that_were_drawn_have_places_of_their_own() {
        let max = Appends::RECENT_MAX as u64;
        let drawn = |n| AppendId::drawn(n);
        assert!(drawn(1).is_drawn() && drawn(1) != drawn(2) && !id(1).is_drawn());
        let made = after(&Appends::default(), 0..max);
        let puts = (0..2 * max).fold(made.clone(), |appends, n| appends.put_by(Some(drawn(n))));
        let (all, few) = (Appends::RECENT_MAX + Appends::DRAWN_MAX, Appends::DRAWN_MAX as u64);
        assert_eq!((puts.count(), puts.recent.len()), (0, all));
        assert!((0..2 * max).all(|n| puts.contains(drawn(n)) == (n >= 2 * max - few)));
        assert!((0..max).all(|n| puts.contains(id(n))));
        // Also where they come by turns.
        let by_turns = (0..max - 1).fold(made, |appends, n| appends.put_by(Some(drawn(n))).and(id(1_000 + n)));
        assert!((0..max - 1).all(|n| by_turns.contains(id(1_000 + n))));
        assert_eq!(by_turns.recent.len(), all);
    }

    /// The next one took the place of the last: of two peers' conditional puts
    /// nobody could tell whether the second was built on the first.
    #[test]
    fn a_change_that_drew_an_id_is_told_by_it_until_it_may_have_been_pushed_out() {
        let (none, few) = (Appends::default(), Appends::DRAWN_MAX as u64);
        let drawn = |appends: &Appends, n| appends.put_by(Some(AppendId::drawn(n)));
        let (one, many) = (drawn(&after(&none, 0..1), 1), drawn(&after(&none, 0..100), 1));
        for before in [none.clone(), after(&none, 0..1), after(&none, 0..100), one, many] {
            let made = drawn(&before, 7);
            for n in 0..2 * few {
                let since = |from: &Appends| (0..n).fold(from.clone(), |later, n| drawn(&later, 100 + n));
                let (on_it, beside) = (since(&made).has(&made, &before), since(&before).has(&made, &before));
                assert_eq!(on_it, if n < few { Some(true) } else { None }, "{n} later");
                assert!(beside != Some(true) && (beside == Some(false) || n >= few - 1), "{n} later: {beside:?}");
                // Of what comes between them nothing is taken for it.
                let others = after(&since(&made), 1_000..1_000 + 2 * n).put_by(None);
                assert!(others.has(&made, &before) != Some(false), "{n} later");
            }
            assert_eq!(before.has(&before, &before), None, "it drew none");
            // What stands for any write stays for ever, and tells nothing.
            let (unnamed, made) = (before.put_by(None), drawn(&before.put_by(None), 7));
            let mut later = made.clone();
            for n in 0..2 * few {
                later = drawn(&after(&later, 5_000 + n..5_001 + n).put_by(None), 100 + n);
                assert!(later.has(&made, &unnamed) != Some(false), "{n} later");
            }
        }
    }

    #[test]
    fn a_drawn_id_that_another_took_the_place_of_hides_no_append() {
        let max = Appends::RECENT_MAX as u64;
        let drawn = |appends: &Appends, n| appends.put_by(Some(AppendId::drawn(n)));
        let none = Appends::default();
        for before in [drawn(&none, 1), drawn(&after(&none, 0..1), 1), drawn(&after(&none, 0..100), 1)] {
            let since = drawn(&before, 2);
            assert!(since.would_tell_since(&before) && drawn(&since, 3).would_tell_since(&before));
            // One that was made and is forgotten again is not told not to have been made.
            for n in 0..2 * max {
                let later = after(&drawn(&before.and(id(5_000)), 2), 1_000..1_000 + n);
                let later = drawn(&later, 3);
                assert!(later.contains(id(5_000)) || !later.would_tell_since(&before), "{n} later");
            }
            assert!(!none.would_tell_since(&before), "it was removed since, and the removal is forgotten");
        }
    }

    #[test]
    fn it_is_known_when_an_append_may_have_been_forgotten() {
        let max = Appends::RECENT_MAX as u64;
        let none = Appends::default();
        assert!(none.would_tell_since(&none));
        assert!(after(&none, 0..max - 1).would_tell_since(&none));
        assert!(!after(&none, 0..max).would_tell_since(&none), "one more may have been there");
        let before = after(&none, 0..100);
        assert!(before.would_tell_since(&before));
        assert!(after(&before, 100..100 + max - 1).would_tell_since(&before));
        assert!(!after(&before, 100..100 + max).would_tell_since(&before));
        assert!(!none.would_tell_since(&before), "it was removed since, and the removal is forgotten");
    }
}
