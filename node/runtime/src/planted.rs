//! Bugs put in on purpose.
//!
//! A test-only switch: the simulator must find each of them, or it would not
//! find their like. They are compiled in only with the cargo feature
//! `planted`, and then at most one is switched on in a peer, by
//! `PeerConfig::planted`. Without the feature every check is a constant `false`.

use std::fmt;
use std::str::FromStr;

use crate::context::Context;

macro_rules! planted {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// A bug that a hurried author might have written.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Planted {
            $($(#[$doc])* $name,)*
        }

        impl Planted {
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Whether peers of this build can have any.
            pub const POSSIBLE: bool = cfg!(feature = "planted");

            /// Its name on a command line or in a file.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

planted! {
    /// An acceptor answers a batch first and writes it 30–100 ms later: a
    /// crash in between makes it forget promises and acceptances.
    PromiseNotSynced = "promise-not-synced",
    /// Of each group of acceptors only the first that seems alive is asked.
    QuorumOfOne = "quorum-of-one",
    /// A put returns when the first copy of a chunk is made; no other is.
    AckBeforeReplicas = "ack-before-replicas",
    /// Who has left goes at once, whether or not anybody who stays knows that
    /// the layout has settled.
    GoesUntold = "goes-untold",
    /// The old owners of a joint layout are let go whoever has not brought
    /// over what it holds.
    SettleTooEarly = "settle-too-early",
    /// Acceptors carry out operations of any layout version.
    NoFence = "no-fence",
    /// A peer says that it has every chunk that it owns in a settled layout,
    /// without a look at its disk, and a broken copy is not mended when it is
    /// read: what has rotted or was never brought is never brought again.
    RepairTrusts = "repair-trusts",
    /// After the first pass of repair, all later ones do nothing and say that
    /// they are done.
    SkipsRepair = "skips-repair",
    /// Tasks that are not wanted any more run on, and a job that is over does not
    /// say so to those who keep its outputs.
    ForgetsToCancel = "forgets-to-cancel",
    /// An answer that was lost in the middle begins again with another
    /// attempt: its reader has the first frames of both.
    AnswerMixesAttempts = "answer-mixes-attempts",
    /// A peer that others declared dead does not come back as a later
    /// incarnation when they tell it.
    DeafToDeath = "deaf-to-death",
    /// A name is read from this peer's own acceptor where it has a value.
    StaleRead = "stale-read",
    /// Tasks wait in any number.
    UnboundedQueue = "unbounded-queue",
    /// A task that comes after its job was released is run all the same; what
    /// it puts out is kept for ever.
    RunsReleasedTasks = "runs-released-tasks",
    /// A layout is in force here before it is on disk, and never comes there:
    /// after a restart an older one is taken up.
    LayoutNotKept = "layout-not-kept",
    /// An owner that did not take its copy of a chunk counts as having it.
    FailedCopyCounts = "failed-copy-counts",
    /// A copy that is somebody else's to keep is deleted without asking
    /// whether they do, also while it is on its way to them.
    ShedsUnasked = "sheds-unasked",
    /// A chunk that nothing refers to is deleted as soon as that is found out,
    /// also one that is about to be listed.
    CollectsAtOnce = "collects-at-once",
    /// Of all members only this one is asked which chunks are referred to.
    CollectsUnasked = "collects-unasked",
    /// A removed name is forgotten by all acceptors that hold the removal
    /// without asking whether there are others.
    ForgetsUnasked = "forgets-unasked",
    /// A peer that is taken in again keeps what it knew of registers before.
    KeepsOldRegisters = "keeps-old-registers",
    /// A write that finds its own value, left by its own attempt of unknown
    /// outcome, takes it for another's and says that it failed.
    ForgetsOwnWrite = "forgets-own-write",
    /// What a name stood for is put into the history after it stands for
    /// something else.
    KeepsHistoryLate = "keeps-history-late",
    /// Appends are not remembered by their ids: one that is asked for again is
    /// made again.
    AppendsTwice = "appends-twice",
    /// Whatever sums over chunks another peer tells, they are taken to be the
    /// same as those here: what it lacks is never asked for.
    SumsAgree = "sums-agree",
    /// What collection once found nothing to refer to is brought to nobody: a
    /// peer that leaves takes along what was put a moment ago.
    PassesOverUnlisted = "passes-over-unlisted",
    /// Who has left does not look under the layout without it whether others
    /// have all that it holds.
    GoesWithoutLook = "goes-without-look",
    /// Members without weight count among those who keep names: a layout
    /// settles while too many of these are away.
    CountsWeightless = "counts-weightless",
    /// An owner that was away when more copies of a chunk were wanted is not
    /// told of it.
    KeepsOldNumber = "keeps-old-number",
}

impl fmt::Display for Planted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Planted {
    type Err = UnknownBug;

    fn from_str(text: &str) -> Result<Self, UnknownBug> {
        Self::ALL.iter().copied().find(|bug| bug.as_str() == text).ok_or_else(|| UnknownBug(text.into()))
    }
}

/// There is no planted bug of that name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no planted bug '{0}'")]
pub struct UnknownBug(String);

impl Context {
    /// Whether this peer has the bug.
    #[cfg(feature = "planted")]
    pub(crate) fn has_planted(&self, bug: Planted) -> bool {
        self.config.planted == Some(bug)
    }

    /// Whether this peer has the bug: no.
    #[cfg(not(feature = "planted"))]
    pub(crate) const fn has_planted(&self, _: Planted) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bug_is_found_by_its_name() {
        for bug in Planted::ALL {
            assert_eq!(bug.as_str().parse(), Ok(*bug));
        }
        assert!("no-such-bug".parse::<Planted>().is_err());
    }
}
