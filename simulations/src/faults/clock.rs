use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Blow, Fault, Undo};
use crate::host::Death;
use crate::random::Random;
use crate::scenario::Span;
use crate::world::World;

/// The clocks of the victims are wrong, until it ends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Clock {
    /// The wall clock is set back by this.
    pub behind: Span,
    /// The wall clock is set forward by this.
    pub ahead: Span,
    /// The monotonic clock gains so many millionths (loses, if negative),
    /// −500,000 to 500,000. Good clocks stay below 100.
    pub drift_ppm: i64,
    /// The peer is killed and starts again at once: what it takes from the
    /// wall clock at its start, its incarnation, is wrong too.
    pub restarts: bool,
}

impl Default for Clock {
    fn default() -> Self {
        Self { behind: Span(Duration::from_secs(300)), ahead: Span(Duration::ZERO), drift_ppm: 0, restarts: false }
    }
}

impl Clock {
    pub(crate) const DRIFT_PPM_MAX: i64 = 500_000;
}

impl Fault for Clock {
    fn strike(&self, world: &World, blow: &Blow<'_>, _: &mut Random) -> Option<Undo> {
        let ms = |span: Span| i64::try_from(span.0.as_millis()).unwrap_or(i64::MAX);
        let drift_ppm = self.drift_ppm.clamp(-Self::DRIFT_PPM_MAX, Self::DRIFT_PPM_MAX);
        for host in blow.victims {
            world.set_clock(*host, ms(self.ahead).saturating_sub(ms(self.behind)), drift_ppm);
            if self.restarts {
                world.crash(*host, Death::Kill);
                world.start(*host);
            }
        }
        let victims = blow.victims.to_vec();
        Some(Box::new(move |world| victims.into_iter().for_each(|host| world.set_clock(host, 0, 0))))
    }
}
