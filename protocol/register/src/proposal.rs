//! One operation on a register, from its first message to its end.

mod asking;
mod attempt;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use shoal_types::{AcceptReply, Ballot, PeerId, PrepareReply, RegisterOp, RegisterReply};

use crate::quorum::Quorum;
use asking::{Asking, Heard};
pub use attempt::IsBuiltOn;
use attempt::{Attempt, Attempts, Standing};

/// What an operation wants of the value that it finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// The register shall hold this (`None`: nothing, as before the first write).
    Write(Option<Bytes>),
    /// It shall stay as it is: a linearizable read.
    Leave,
    /// The operation's condition does not hold: it stays as it is, and the
    /// refusal is as linearizable as a read.
    Refuse,
}

/// What the owner of a [`Proposal`] must do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Send `op` to the acceptor `to`, this peer perhaps; hand its answer to
    /// [`Proposal::on_reply`] with the same `step`, or tell
    /// [`Proposal::on_failure`] that none came.
    Send { step: u32, to: PeerId, op: RegisterOp },
    /// Call [`Proposal::on_retry`] after this time.
    Retry { after_ms: u64 },
    /// It is over, and this is what the register held at that moment.
    Done(Outcome),
    /// It is over.
    Failed(Failure),
}

/// The end of an operation that a quorum agreed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What the register holds after it.
    pub value: Option<Bytes>,
    pub ending: Ending,
}

/// How an [`Outcome`] came about: the [`Decision`] that was carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    Written,
    Left,
    Refused,
}

/// The end of an operation that no quorum agreed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Too few acceptors answered. Certainly nothing was written.
    #[error("{answered} of {needed} needed peers answered")]
    NoQuorum { answered: u32, needed: u32 },
    /// Others were faster, again and again. Certainly nothing was written.
    #[error("others were faster {rounds} times")]
    Contended { rounds: u32 },
    /// The value was sent to acceptors, and whether it was or will be written
    /// cannot be told: a later read tells.
    #[error("whether it was written is unknown")]
    Unknown,
}

/// One operation on one register.
///
/// `change` gets the current value and says what it shall become. It may be
/// called again in a later round, with another value, and must then decide
/// afresh: it has no effect of its own.
///
/// # Writing at most once
///
/// A round may end after some acceptors took the value and before a majority
/// is known to have: the write is *in doubt*, since another proposer may find
/// it and carry it on. The next round resolves that without asking `change`:
///
/// - The newest accepted value is of this proposal's own ballot: it was
///   written, and is carried to a quorum.
/// - The newest is older than every ballot in doubt: no quorum took the value,
///   and none will once this round has written. `change` decides afresh.
/// - The newest is another's, and newer: it may have been built on ours. If
///   its bytes are the ones that were to be written, that is taken as done.
///   Otherwise the value itself tells, where values remember what they were
///   built on ([`Proposal::telling`]): if it was built on ours, ours was
///   written; if it certainly was not, `change` decides afresh. Where it cannot
///   be told the end is [`Failure::Unknown`], since writing again could undo
///   what others did in between.
///
/// So a value that must be told from every other writer's carries something
/// unique (a time, a random number); a value that need not be is written
/// "once" by both. A caller that gets `Unknown` and tries again starts a new
/// operation, and its `change` may meet its own value.
///
/// What a newer value tells is final once it is chosen: a quorum holds it, as
/// was promised or asked, or this round has written it. For the values that
/// are ever chosen are a chain, each built on the one before: whoever proposes
/// above a chosen one meets it, or what was built on it, in its own quorum. So
/// below a chosen ballot only what that value was built on was ever chosen, and
/// all that is chosen later is built on it. An older attempt that it was not
/// built on can still be found at a minority, and carried on, before that, and
/// never again afterwards.
///
/// # Cost
///
/// Two round trips with one sync each. A read (or refusal) costs one when a
/// quorum reports the same newest ballot; and no sync at all when it was begun
/// with [`Proposal::asking`], else one. With a stale first ballot, one round
/// trip more: start with [`Proposal::above`] where something is known.
pub struct Proposal<C> {
    me: PeerId,
    quorum: Quorum,
    acceptors: BTreeSet<PeerId>,
    change: C,
    random: u64,
    /// The ballot of the present round.
    ballot: Ballot,
    /// The highest ballot met.
    seen: Ballot,
    /// Counts the phases: an answer to an earlier one is not taken for one to the present.
    step: u32,
    /// In which step each acceptor answered last.
    answered: BTreeMap<PeerId, u32>,
    phase: Phase,
    attempts: Attempts,
    conflicts: u32,
    losses: u32,
    /// No ballot is as high as this.
    ceiling: u64,
    /// Whether the last round was lost to others.
    was_refused: bool,
    has_turn: bool,
    asks_first: bool,
    asks_again: bool,
    is_built_on: IsBuiltOn,
    /// A planted bug: what is newer has buried an attempt before a quorum holds it.
    #[cfg(test)]
    buries_too_early: bool,
}

enum Phase {
    Waiting,
    Asking(Asking),
    Preparing(Preparing),
    Accepting(Accepting),
    Over,
}

#[derive(Default)]
struct Preparing {
    /// Who promised, and the ballot of what it holds.
    promised: BTreeMap<PeerId, Ballot>,
    newest: Option<(Ballot, Option<Bytes>)>,
    absent: Absent,
}

struct Accepting {
    /// What it comes to once a quorum has accepted.
    outcome: Outcome,
    accepted: BTreeSet<PeerId>,
    absent: Absent,
}

/// Acceptors that will not help in this phase.
#[derive(Default)]
struct Absent {
    refused: BTreeSet<PeerId>,
    lost: BTreeSet<PeerId>,
}

impl Absent {
    fn has(&self, peer: &PeerId) -> bool {
        self.refused.contains(peer) || self.lost.contains(peer)
    }
}

impl<C: FnMut(Option<&Bytes>) -> Decision> Proposal<C> {
    /// Rounds that may be lost to other proposers before it gives up. With
    /// the backoff below that is some ten seconds of contention; less where it is short.
    pub const CONFLICTS_MAX: u32 = 16;

    /// Rounds that may be lost to missing acceptors before it gives up.
    pub const LOSSES_MAX: u32 = 2;

    /// The bound of the first backoff; each later one is twice as long.
    pub const BACKOFF_MS_MIN: u64 = 8;

    /// No backoff is longer.
    pub const BACKOFF_MS_MAX: u64 = 1000;

    /// Nor is one longer than this of whoever others are to make way for, or
    /// asks again, which is in nobody's way.
    pub const SHORT_BACKOFF_MS_MAX: u64 = 64;

    /// Nor is one longer than this of whoever asks what became of a value of its
    /// own: the longer it waits the less what others have written tells of it.
    pub const DOUBT_BACKOFF_MS_MAX: u64 = 16;

    /// So far above what it has met it begins again when others who are to make
    /// way have refused it: above what they have proposed since.
    pub const TURN_STEP: u64 = 16;

    /// How long a read waits for the rest when a quorum has answered and does
    /// not agree: as a rule a write is just passing.
    pub const DIVIDED_MS: u64 = 10;

    /// An operation proposed by `me` to the acceptors in `groups`; a quorum is
    /// a majority in each. `random` seeds the backoff: equal proposers that
    /// wait equally long would meet again.
    pub fn new(me: PeerId, groups: Vec<Vec<PeerId>>, random: u64, change: C) -> Self {
        let quorum = Quorum::new(groups);
        Self {
            me,
            acceptors: quorum.everyone(),
            quorum,
            change,
            random,
            ballot: Ballot::ZERO,
            seen: Ballot::ZERO,
            step: 0,
            answered: BTreeMap::new(),
            phase: Phase::Waiting,
            attempts: Attempts::default(),
            conflicts: 0,
            losses: 0,
            ceiling: u64::MAX,
            was_refused: false,
            has_turn: false,
            asks_first: false,
            asks_again: false,
            is_built_on: |_, _, _| None,
            #[cfg(test)]
            buries_too_early: false,
        }
    }

    /// Begins with a question that promises nothing: for operations that
    /// mostly find what they need not change. Where a quorum agrees on what it
    /// holds, `change` gets that; unless it wants to write, it is over then.
    pub fn asking(mut self) -> Self {
        self.asks_first = true;
        self
    }

    /// Asks before each try but the first: whoever was refused by others finds
    /// as a rule that they have changed what its condition was about, and is in
    /// nobody's way then. In doubt it goes on to ask for as long as its owner
    /// lets it, short times apart, until what others have written tells.
    pub fn asking_again(mut self) -> Self {
        self.asks_again = true;
        self
    }

    /// For values that remember what they were built on: so what others have
    /// written since tells what became of an attempt in doubt.
    pub fn telling(mut self, is_built_on: IsBuiltOn) -> Self {
        self.is_built_on = is_built_on;
        self
    }

    /// Begins above `seen`, e.g. what this peer's own acceptor promised last:
    /// a hint that saves a round trip.
    ///
    /// Where acceptors are replaced it is more than a hint. One of the old may
    /// have been away while the others handed over to the new, and come back
    /// among them with a value that no majority ever took. Its ballot must be
    /// below all that the new ones have accepted: so all proposals to a set of
    /// acceptors begin above a floor that none to the sets before can reach.
    pub fn above(mut self, seen: Ballot) -> Self {
        self.seen = self.seen.max(seen);
        self
    }

    /// Has it end rather than use a ballot whose counter is `ceiling` or more:
    /// those belong to the acceptors after these. The end is
    /// [`Failure::Contended`], or unknown.
    pub fn end_below(&mut self, ceiling: u64) {
        self.ceiling = ceiling;
    }

    /// The first messages. Call it once, before anything else.
    pub fn start(&mut self) -> Vec<Action> {
        if self.asks_first { self.ask() } else { self.prepare() }
    }

    /// The answer of `from` to what was sent in `step`. Answers that come late
    /// or twice do no harm.
    pub fn on_reply(&mut self, step: u32, from: PeerId, reply: RegisterReply) -> Vec<Action> {
        if let RegisterReply::Prepare(PrepareReply::Conflict { seen })
        | RegisterReply::Accept(AcceptReply::Conflict { seen, .. }) = &reply
        {
            self.seen = self.seen.max(*seen);
        }
        if let RegisterReply::Accept(AcceptReply::Conflict { accepted, .. }) = &reply {
            self.attempts.refused(step, from, *accepted);
        }
        if !self.awaits(step, from) {
            return Vec::new();
        }
        self.answered.insert(from, step);
        match (&mut self.phase, reply) {
            (Phase::Asking(phase), RegisterReply::Read { accepted, value }) => {
                phase.holds(from, accepted, value);
                return self.unless_divided();
            }
            (Phase::Asking(phase), _) => {
                phase.lost(from);
                return self.unless_divided();
            }
            (Phase::Preparing(phase), RegisterReply::Prepare(PrepareReply::Promised { accepted, value }))
                if accepted < self.ballot =>
            {
                phase.promised.insert(from, accepted);
                if phase.newest.as_ref().is_none_or(|(newest, _)| accepted > *newest) {
                    phase.newest = Some((accepted, value));
                }
                if self.quorum.reached(|peer| phase.promised.contains_key(peer)) {
                    return self.decide();
                }
            }
            (Phase::Accepting(phase), RegisterReply::Accept(AcceptReply::Accepted)) => {
                phase.accepted.insert(from);
                if self.quorum.reached(|peer| phase.accepted.contains(peer)) {
                    let outcome = phase.outcome.clone();
                    return self.over(Action::Done(outcome));
                }
            }
            (Phase::Preparing(Preparing { absent, .. }), RegisterReply::Prepare(PrepareReply::Conflict { .. }))
            | (Phase::Accepting(Accepting { absent, .. }), RegisterReply::Accept(AcceptReply::Conflict { .. })) => {
                absent.refused.insert(from);
            }
            // An answer that no acceptor gives: as good as none.
            (Phase::Preparing(Preparing { absent, .. }) | Phase::Accepting(Accepting { absent, .. }), _) => {
                absent.lost.insert(from);
            }
            (Phase::Waiting | Phase::Over, _) => {}
        }
        self.unless_hopeless()
    }

    /// No answer of `from` to what was sent in `step` will come: it cannot be
    /// reached, refused the layout, or took too long.
    pub fn on_failure(&mut self, step: u32, from: PeerId) -> Vec<Action> {
        if !self.awaits(step, from) {
            return Vec::new();
        }
        match &mut self.phase {
            Phase::Asking(phase) => {
                phase.lost(from);
                self.unless_divided()
            }
            Phase::Preparing(Preparing { absent, .. }) | Phase::Accepting(Accepting { absent, .. }) => {
                absent.lost.insert(from);
                self.unless_hopeless()
            }
            Phase::Waiting | Phase::Over => Vec::new(),
        }
    }

    /// The time of an [`Action::Retry`] has passed.
    pub fn on_retry(&mut self) -> Vec<Action> {
        match self.phase {
            Phase::Waiting if self.asks_again => self.ask(),
            Phase::Waiting | Phase::Asking(_) => self.prepare(),
            Phase::Preparing(_) | Phase::Accepting(_) | Phase::Over => Vec::new(),
        }
    }

    /// Goes on among other acceptors: those that it had serve another version
    /// of the layout by now. What it sent to the old ones stays in doubt, and
    /// is resolved as in any later round: a new proposal would not know of it,
    /// and could write a second time what others have built on.
    ///
    /// `floor` is above every ballot of the acceptors before, as in [`Proposal::above`].
    pub fn regroup(&mut self, groups: Vec<Vec<PeerId>>, floor: Ballot) -> Vec<Action> {
        self.seen = self.seen.max(floor);
        self.quorum = Quorum::new(groups);
        self.acceptors = self.quorum.everyone();
        self.conflicts = 0;
        self.losses = 0;
        self.prepare()
    }

    /// Forgets what it sent. For whoever tests that checkers notice.
    #[doc(hidden)]
    pub fn forget(&mut self) {
        self.attempts = Attempts::default();
    }

    /// Whether a value of this operation was sent to acceptors and may be, or
    /// become, the register's: what a caller asks who gives up waiting.
    pub fn in_doubt(&self) -> bool {
        !self.attempts.is_empty()
    }

    /// Whether it made way for others the last time that it had to wait: neither
    /// were acceptors missing, nor was its first ballot only too low.
    pub fn was_refused(&self) -> bool {
        self.was_refused
    }

    /// Others make way for it from now on, as far as they know of it: those who
    /// do not are to learn of it by being refused. So it waits for short times only.
    pub fn begin_turn(&mut self) {
        self.has_turn = true;
        self.conflicts = 0;
    }

    /// It makes way like any other from now on.
    pub fn end_turn(&mut self) {
        self.has_turn = false;
    }

    /// The highest ballot that it has met at acceptors, was begun above, or has
    /// used itself.
    pub fn met(&self) -> Ballot {
        self.seen.max(self.ballot)
    }

    /// How it ends for a caller who gives up waiting, if too few acceptors have
    /// answered lately, in the present phase and the one before: silent ones
    /// take all the time there is, where dead ones end a round at once.
    pub fn lacks_quorum(&self) -> Option<Failure> {
        let has_answered = |peer: &PeerId| self.answered.get(peer).is_some_and(|step| step + 1 >= self.step);
        if self.in_doubt() || self.quorum.reached(has_answered) {
            return None;
        }
        let (answered, needed) = self.quorum.shortest(has_answered);
        Some(Failure::NoQuorum { answered, needed })
    }

    fn ask(&mut self) -> Vec<Action> {
        self.phase = Phase::Asking(Asking::default());
        let sends = self.send(&RegisterOp::Read);
        if sends.is_empty() { self.prepare() } else { sends }
    }

    /// Ends the question if a quorum agrees, or if none will in time.
    fn unless_divided(&mut self) -> Vec<Action> {
        let Phase::Asking(phase) = &mut self.phase else { return Vec::new() };
        match phase.heard(&self.quorum) {
            Heard::Agreed(newest, value) => self.agreed(newest, value),
            Heard::Divided if phase.begins_to_wait() => vec![Action::Retry { after_ms: Self::DIVIDED_MS }],
            Heard::Divided | Heard::TooFew => Vec::new(),
            Heard::Hopeless => self.prepare(),
        }
    }

    /// A quorum holds this, the newest there is.
    fn agreed(&mut self, newest: Ballot, value: Option<Bytes>) -> Vec<Action> {
        // One that is newer may yet be carried on.
        if !self.attempts.are_up_to(newest) {
            return self.prepare();
        }
        match self.attempts.standing(newest, value.as_ref(), self.is_built_on) {
            Standing::Written(value) => return self.over(Action::Done(Outcome { value, ending: Ending::Written })),
            Standing::Unknown => return self.over(Action::Failed(Failure::Unknown)),
            Standing::NotYet => self.attempts = Attempts::default(),
        }
        let ending = match (self.change)(value.as_ref()) {
            // What it writes is built on what a prepared quorum holds.
            Decision::Write(_) => return self.prepare(),
            Decision::Leave => Ending::Left,
            Decision::Refuse => Ending::Refused,
        };
        self.over(Action::Done(Outcome { value, ending }))
    }

    fn prepare(&mut self) -> Vec<Action> {
        let step = if self.has_turn && self.conflicts > 0 { Self::TURN_STEP } else { 1 };
        let counter = self.seen.counter.max(self.ballot.counter).saturating_add(step);
        if counter >= self.ceiling {
            let failure = Failure::Contended { rounds: self.conflicts };
            let failure = if self.in_doubt() { Failure::Unknown } else { failure };
            return self.over(Action::Failed(failure));
        }
        self.ballot = Ballot { counter, proposer: self.me };
        self.phase = Phase::Preparing(Preparing::default());
        let sends = self.send(&RegisterOp::Prepare { ballot: self.ballot });
        if sends.is_empty() { self.unless_hopeless() } else { sends }
    }

    /// Writes what `change` has made of `before`.
    fn write(&mut self, before: Option<Bytes>, value: Option<Bytes>) -> Vec<Action> {
        let sends = self.accept(value.clone(), Outcome { value: value.clone(), ending: Ending::Written });
        let (step, ballot, open) = (self.step, self.ballot, self.acceptors.clone());
        self.attempts.begin(Attempt { step, ballot, before, value, open });
        sends
    }

    fn accept(&mut self, value: Option<Bytes>, outcome: Outcome) -> Vec<Action> {
        let sends = self.send(&RegisterOp::Accept { ballot: self.ballot, value });
        self.phase = Phase::Accepting(Accepting { outcome, accepted: BTreeSet::new(), absent: Absent::default() });
        sends
    }

    fn send(&mut self, op: &RegisterOp) -> Vec<Action> {
        self.step += 1;
        self.acceptors.iter().map(|to| Action::Send { step: self.step, to: *to, op: op.clone() }).collect()
    }

    /// A quorum has promised: what is to be written?
    fn decide(&mut self) -> Vec<Action> {
        let Phase::Preparing(phase) = &mut self.phase else { return Vec::new() };
        let (newest, value) = phase.newest.take().unwrap_or((Ballot::ZERO, None));
        // When a quorum holds the newest value, it is committed: a later
        // proposal meets it in its own quorum, so that nothing older can be
        // read again; and a write that was complete before this one began
        // would have been met here. Then a read need not write it back. The
        // same holds when a quorum has accepted nothing at all.
        let committed = self.quorum.reached(|peer| phase.promised.get(peer) == Some(&newest));
        #[cfg(test)]
        let committed = committed || self.buries_too_early && !self.attempts.is_empty();
        let outcome = match self.attempts.standing(newest, value.as_ref(), self.is_built_on) {
            Standing::Written(value) => Outcome { value, ending: Ending::Written },
            Standing::Unknown => return self.over(Action::Failed(Failure::Unknown)),
            Standing::NotYet => {
                if committed && self.attempts.are_up_to(newest) {
                    self.attempts = Attempts::default();
                }
                let ending = match (self.change)(value.as_ref()) {
                    Decision::Write(new) => return self.write(value, new),
                    Decision::Leave => Ending::Left,
                    Decision::Refuse => Ending::Refused,
                };
                Outcome { value: value.clone(), ending }
            }
        };
        // An attempt in doubt is buried only by something newer, accepted by
        // a quorum: then even a read has to write.
        if committed && self.attempts.are_up_to(newest) {
            self.over(Action::Done(outcome))
        } else {
            self.accept(value, outcome)
        }
    }

    /// Ends the round if too few acceptors are left for a quorum.
    fn unless_hopeless(&mut self) -> Vec<Action> {
        let (absent, preparing) = match &self.phase {
            Phase::Preparing(phase) => (&phase.absent, true),
            Phase::Accepting(phase) => (&phase.absent, false),
            Phase::Waiting | Phase::Asking(_) | Phase::Over => return Vec::new(),
        };
        if self.quorum.reached(|peer| !absent.has(peer)) {
            return Vec::new();
        }
        let (answered, needed) = self.quorum.shortest(|peer| !absent.lost.contains(peer));
        let is_refused = !absent.refused.is_empty();
        let failure = if absent.refused.is_empty() {
            self.losses += 1;
            (self.losses > Self::LOSSES_MAX).then_some(Failure::NoQuorum { answered, needed })
        } else {
            self.conflicts += 1;
            (self.conflicts > Self::CONFLICTS_MAX).then_some(Failure::Contended { rounds: self.conflicts })
        };
        match failure {
            // What others write tells what became of it: its owner bounds how long that may take.
            Some(Failure::Contended { .. }) if self.in_doubt() && self.asks_again && self.may_be_told() => {
                self.wait(is_refused)
            }
            Some(_) if self.in_doubt() => self.over(Action::Failed(Failure::Unknown)),
            Some(failure) => self.over(Action::Failed(failure)),
            // The first ballot is a guess; a refusal of it says what is above it, not that somebody is in the way.
            None if preparing && self.conflicts == 1 && self.losses == 0 => self.prepare(),
            None => self.wait(is_refused),
        }
    }

    fn may_be_told(&self) -> bool {
        self.attempts.may_be_told(Self::CONFLICTS_MAX as usize, self.is_built_on)
    }

    fn wait(&mut self, was_refused: bool) -> Vec<Action> {
        self.was_refused = was_refused;
        self.phase = Phase::Waiting;
        vec![Action::Retry { after_ms: self.backoff_ms() }]
    }

    fn over(&mut self, last: Action) -> Vec<Action> {
        self.phase = Phase::Over;
        vec![last]
    }

    fn awaits(&self, step: u32, from: PeerId) -> bool {
        let fresh = match &self.phase {
            Phase::Asking(phase) => phase.awaits(&from),
            Phase::Preparing(phase) => !phase.promised.contains_key(&from) && !phase.absent.has(&from),
            Phase::Accepting(phase) => !phase.accepted.contains(&from) && !phase.absent.has(&from),
            Phase::Waiting | Phase::Over => false,
        };
        fresh && step == self.step && self.acceptors.contains(&from)
    }

    /// A random time up to a bound that doubles from round to round.
    fn backoff_ms(&mut self) -> u64 {
        // SplitMix64 (Steele, Lea and Flood 2014): one step per backoff.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        let most = match self.asks_again {
            true if self.in_doubt() => Self::DOUBT_BACKOFF_MS_MAX,
            false if !self.has_turn => Self::BACKOFF_MS_MAX,
            true | false => Self::SHORT_BACKOFF_MS_MAX,
        };
        let rounds = (self.conflicts + self.losses).min(16);
        let bound = (Self::BACKOFF_MS_MIN << rounds).min(most);
        1 + mixed % bound
    }

    #[cfg(test)]
    pub(crate) fn with_quorums_of_one(mut self) -> Self {
        self.quorum.of_one = true;
        self
    }

    #[cfg(test)]
    pub(crate) fn that_buries_too_early(mut self) -> Self {
        self.buries_too_early = true;
        self
    }

    #[cfg(test)]
    pub(crate) fn that_reads_the_newest_answer(mut self) -> Self {
        self.quorum.of_answers = true;
        self
    }
}

#[cfg(test)]
mod tests;
