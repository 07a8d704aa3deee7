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
//! - [`linearizability`]: whether a history is one that a register could have
//!   shown; for tests and simulations.
//!
//! While the layout is joint there are two groups of acceptors, and a quorum
//! is a majority in *each*; so a register outlives the replacement of all its
//! owners, given that every key sees one operation (an identity round,
//! [`Decision::Leave`]) through the joint quorum before the old group goes,
//! and that acceptors refuse operations of layouts older than their own.
//!
//! Operations on one register are linearizable. Nothing is promised across
//! registers.

mod acceptor;
pub mod linearizability;
mod proposal;
mod quorum;
#[cfg(test)]
mod simulation;

pub use acceptor::Acceptor;
pub use proposal::{Action, Decision, Ending, Failure, Outcome, Proposal};
