//! Who is alive: SWIM as a state machine.
//!
//! [`Swim`] wraps the crate `foca` (Das et al., *SWIM: Scalable Weakly-consistent
//! Infection-style process group Membership*, 2002, with suspicion): events go
//! in, actions come out, nothing else happens. Each member is probed by three
//! others all the time and by one at random now and then, through others when
//! it does not answer; a member that nobody reaches is suspected, told so, and
//! declared dead unless it objects in time. Whoever is slow itself gives others
//! more time (Dadgar et al., *Lifeguard: Local Health Awareness for More
//! Accurate Failure Detection*, 2018).
//!
//! With the timing of [`SwimConfig::default`] a death is suspected by somebody
//! within 3 s and known to all within 10 s, in a mesh of any size and whether
//! or not anything but silence tells of it.
//!
//! What it says is a hint that drives retries and takeover. It moves no data.

mod belief;
mod codec;
mod digest;
mod identity;
mod news;
mod packet;
pub mod secrets;
mod swim;

pub use belief::AHEAD_MS_MAX;
pub use identity::Identity;
pub use swim::{Action, MemberView, Swim, SwimConfig, Timer};
