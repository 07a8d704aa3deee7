//! What is done again and again while nothing changes: the layout is settled,
//! and all of its members are there.

use std::fmt::Display;
use std::sync::Arc;

use shoal_types::Result;

use crate::context::Context;
use crate::placed::Placed;
use crate::planted::Planted;
use crate::replicate;

/// Rounds in a grace period.
pub(crate) const ROUNDS: u32 = 4;

/// The layout, if it is settled and all of its members are there.
pub(crate) fn layout(context: &Context) -> Option<Arc<Placed>> {
    let layout = context.layout().filter(|layout| layout.involves(context.me))?;
    if context.has_planted(Planted::ShedsUnasked) {
        return Some(layout);
    }
    let nobody_is_away = context.members.look(|table| replicate::away(table, context.me, &layout).is_empty());
    (nobody_is_away && !layout.is_joint()).then_some(layout)
}

/// Waits for the next round, and gives the layout under which it is.
pub(crate) async fn next_round(context: &Context) -> Arc<Placed> {
    loop {
        context.ports.clock.sleep(context.config.timing.grace / ROUNDS).await;
        if let Some(layout) = layout(context) {
            return layout;
        }
    }
}

/// Logs how many of something a round has `done`, or that not all of it is.
pub(crate) fn log(round: Result<usize>, done: impl Display, not_done: impl Display) {
    match round {
        Ok(0) => {}
        Ok(count) => tracing::info!(count, "{done}"),
        Err(error) => tracing::info!(%error, "{not_done}"),
    }
}
