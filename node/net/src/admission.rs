//! Who may talk: the first and only thing that an unadmitted connection does.
//!
//! TLS has said who is at the other end; admission proves that both ends know
//! the mesh's secret, then swaps what each says of itself:
//!
//! ```text
//!   dialer                                             listener
//!     | hello: version, role, nonce  ---------------------> |
//!     | <--------------------- hello: version, role, nonce  |
//!     | proof  --------------------------------------------> |  checks it
//!     | <------------------------------- proof, what I am   |
//!     |  checks it, accepts streams                          |
//!     | what I am  ----------------------------------------> |  accepts and opens streams
//!     | <------------------------------------------- done   |
//!     |  opens streams                                       |
//! ```
//!
//! While the mesh's secret is being changed two admit: the dialer proves both
//! that it knows, and the listener answers by the one that it knows too.
//!
//! A proof is a BLAKE3 MAC, keyed by the secret, over both identities, both
//! nonces, the role and the direction. So it cannot be replayed (nonces),
//! relayed (identities are what TLS proved), or reflected (direction). The
//! listener proves nothing before the dialer has. Whoever does not know the
//! secret learns no more than a MAC over random bytes, from which a secret of
//! 80 bits or more cannot be guessed.
//!
//! Hello's shape never changes, so that peers of different versions can tell
//! each other so.

#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod handshake;
mod messages;
mod refusal;

pub(crate) use handshake::{Rejected, Terms, dial, listen};
pub(crate) use messages::PROOFS;
pub(crate) use refusal::{Refusal, Refused};
