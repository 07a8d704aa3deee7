//! The transport of the mesh: authenticated, encrypted, admitted links
//! between peers, over libp2p. Nothing else in Shoal knows libp2p.
//!
//! [`start`] gives a [`Transport`](shoal_ports::Transport) and a channel of
//! what comes from others. Between two peers it looks like this:
//!
//! ```text
//!        calls, gossip                    flows
//!   ----------------------        ---------------------
//!     control connection            bulk connection        both admitted by
//!       gossip  1 stream each way     2 streams per flow   the mesh's secret
//!       calls   1 stream each way
//!   ----------------------        ---------------------
//!            yamux                        yamux            streams
//!            TLS 1.3                      TLS 1.3          identity, encryption
//!            TCP                          TCP
//! ```
//!
//! One task (`driver`) owns the swarm and does nothing but listen, dial and
//! close. Each connection has a task with its `handler`, which runs
//! `admission` and then opens and accepts streams. Every stream is read and
//! written by whoever uses it. `links` decides which connection serves whom,
//! which of two is redundant, and who is to be dialed; `shared` is what all of
//! these have in common.
//!
//! Whoever dialed the control link also keeps the bulk link, so that peers
//! which can only dial out are full members. A peer is `Up` while it has a
//! control link; when the last one goes, all that waits for the peer fails at
//! once, and the bulk link goes too.
//!
//! Deliberately absent: relays and hole punching, pubsub, a DHT, `identify`,
//! `ping` (the kernel's keepalive and SWIM above do that), and any stream that
//! opens before admission.

mod address;
mod admission;
mod behaviour;
mod calls;
mod config;
mod driver;
mod flows;
mod frame;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod gossip;
mod handler;
mod identity;
mod link;
mod links;
mod mux;
mod reports;
mod secret;
mod shared;
mod socket;
mod tls;
mod transport;

#[cfg(test)]
mod tests;

pub use config::{Limits, NetConfig, PROTOCOL};
pub use identity::peer_id;
pub use secret::Secret;
pub use transport::start;
