//! One compare-and-set register per key, without a leader.
//!
//! A register is changed by *any* peer, with the agreement of a majority of
//! the key's owners: CASPaxos (D. Rystsov, "CASPaxos: Replicated State
//! Machines without logs", 2018). There is no log and no leader: an operation
//! reads the value from a majority and writes the changed one to a majority,
//! each time under a [`Ballot`](shoal_types::Ballot) that is higher than all
//! it met.
//!
//! ```text
//!   proposer                      acceptors 1..n
//!      |--- Prepare(ballot) ---------->|    promise, durably
//!      |<-- Promised(accepted, value) -|    majority in each group?
//!      |    change(value) -> new       |
//!      |--- Accept(ballot, new) ------>|    accept, durably
//!      |<-- Accepted ------------------|    majority in each group: done
//! ```
//!
//! A read asks first ([`Proposal::asking`]): where a quorum holds one newest
//! value, that is the answer, and nobody promises or syncs anything.
//!
//! - [`Acceptor`]: what an owner of the key does with an operation.
//! - [`Proposal`]: drives one operation to its end; it never does anything
//!   itself, it returns [`Action`]s.
//! - [`sums`]: what two acceptors compare, to find what one of them has missed.
//! - [`linearizability`]: whether a history is one that a register could have
//!   shown; for tests and simulations.
//!
//! While the layout is joint there are two groups of acceptors, and a quorum
//! is a majority in *each*; so a register outlives the replacement of all its
//! owners, given that every key sees one operation (an identity round,
//! [`Decision::Leave`]) through the joint quorum before the old group goes,
//! and that acceptors refuse operations of layouts older than their own.
//!
//! # Forgetting
//!
//! A register that stands for nothing, as a removed name does, need not be
//! remembered, if nothing can bring an older value back. An acceptor drops it
//! ([`RegisterOp::Forget`](shoal_types::RegisterOp)) once *all* acceptors, not
//! a majority, have accepted the same removal at one ballot `t`, and nobody
//! else holds anything of it. Why that is safe:
//!
//! - Nobody holds an older value, and nobody will: whoever has dropped the
//!   register refuses all ballots up to its *horizon*, which is one for all
//!   registers of an acceptor, and not below any ballot that one it dropped
//!   had promised. So what is late changes nothing.
//! - A proposal above `t` was promised by a quorum each of which had accepted
//!   `t`, or had not yet and then would have refused it: so each reported the
//!   removal, something later, or that it has dropped it, which says as much.
//! - What is newer than `t` is not dropped: each acceptor looks again whether
//!   `t` is what it has accepted last, in the moment in which it drops it.
//! - A proposal that has a value in doubt from before `t` would take "nothing"
//!   for "not written". So it must be over: its owner lets it live shorter than
//!   acceptors wait before they forget. A refusal by whoever has accepted
//!   nothing says so, too: it owns up to everything below the horizon.
//!
//! An acceptor that was let go of, and one that is taken in again, must drop
//! what it holds in the same way before it counts.
//!
//! Operations on one register are linearizable. Nothing is promised across
//! registers.

mod acceptor;
pub mod linearizability;
mod proposal;
mod quorum;
#[cfg(test)]
mod simulation;
pub mod sums;

pub use acceptor::{Acceptor, Change};
pub use proposal::{Action, Decision, Ending, Failure, IsBuiltOn, Outcome, Proposal};
