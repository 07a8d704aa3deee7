//! Who is alive: SWIM as a state machine.
//!
//! [`Swim`] wraps the crate `foca` (Das et al., *SWIM: Scalable Weakly-consistent
//! Infection-style process group Membership*, 2002, with suspicion): events go
//! in, actions come out, nothing else happens. Each member probes another at
//! random every period, through others when it does not answer; a member that
//! nobody reaches is suspected, and declared dead unless it objects in time.
//!
//! What it says is a hint that drives retries and takeover. It moves no data.

mod belief;
mod codec;
mod digest;
mod identity;
mod news;
mod packet;
mod swim;

pub use belief::AHEAD_MS_MAX;
pub use identity::Identity;
pub use swim::{Action, MemberView, Swim, SwimConfig, Timer};
