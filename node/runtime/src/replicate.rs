//! Bringing what this peer holds to those who own it.
//!
//! One pass looks at every register and every chunk here, and makes sure that
//! its owners have it. It runs when the layout is joint, before the old owners
//! are let go; when a peer comes or goes; and every so often, so that nothing
//! stays short of copies.

mod away;
mod bringer;
mod chunks;
mod moved;
mod pass;
mod settle;
pub(crate) mod yielding;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::future::select;
use shoal_types::{Error, LayoutId, PeerId};

use crate::context::{Context, lock};
use crate::planted::Planted;
use away::Away;
pub(crate) use away::away;
use pass::pass;
pub(crate) use settle::may_settle;

/// Ticks between two looks under a settled layout: where many come or go at
/// once, one pass is for several of them.
const LOOK_TICKS: u32 = 5;

/// How long to wait with what a disk refused, at most: it is as full or as
/// broken a moment later.
const REFUSED_WAIT: Duration = Duration::from_secs(10);

/// What a pass that succeeded looked at.
struct Done {
    layout: LayoutId,
    /// Members to whom nothing could be brought.
    away: BTreeSet<PeerId>,
}

/// Runs passes for as long as the peer lives: it looks whether one is needed
/// whenever members or layout have changed, and when one is due.
pub(crate) async fn run(context: Arc<Context>) {
    let (clock, timing) = (context.ports.clock.clone(), context.config.timing.clone());
    let mut done: Option<Done> = None;
    let mut due = Duration::ZERO;
    let mut kept = None;
    loop {
        let seen = (context.members.version(), context.layout.version());
        let (mut next, mut is_over) = (due, true);
        if let Some(layout) = context.layout().filter(|layout| layout.involves(context.me)) {
            let present = Away::after(kept.take(), &context, &layout);
            let away = &kept.insert(present).peers;
            let is_due = clock.now() >= due;
            let fits = done.as_ref().filter(|done| done.layout == layout.id() && !is_due);
            if fits.is_none_or(|done| done.away != *away) {
                let skips = done.is_some() && context.has_planted(Planted::SkipsRepair);
                let before = fits.map(|done| &done.away);
                match if skips { Ok(()) } else { pass(&context, &layout, away, before).await } {
                    Ok(()) => {
                        *lock(&context.synced) = Some((layout.id(), away.iter().copied().collect()));
                        if fits.is_none() {
                            due = clock.now() + timing.repair_interval;
                        }
                        done = Some(Done { layout: layout.id(), away: away.clone() });
                        next = due;
                    }
                    Err(error) => {
                        tracing::info!(%error, "not everything is where it belongs yet");
                        let wait = match is_of_a_disk(&error) {
                            true => timing.repair_interval.min(REFUSED_WAIT),
                            false => Duration::ZERO,
                        };
                        (next, is_over) = (clock.now() + wait, false);
                    }
                }
            }
        } else {
            next = clock.now() + timing.repair_interval;
        }
        if is_over {
            context.progress.end();
        }
        // Many changes come at once; only a joint layout waits for this peer.
        clock.sleep(timing.tick).await;
        if context.layout.version() == seen.1 && context.layout().is_some_and(|layout| !layout.is_joint()) {
            let layout = std::pin::pin!(context.layout.after(seen.1));
            select(layout, clock.sleep(timing.tick * (LOOK_TICKS - 1))).await;
        }
        let changed = std::pin::pin!(async {
            let members = std::pin::pin!(context.members.after(seen.0));
            let layout = std::pin::pin!(context.layout.after(seen.1));
            select(members, layout).await;
        });
        let wait = next.saturating_sub(clock.now());
        if !wait.is_zero() {
            select(changed, clock.sleep(wait)).await;
        }
    }
}

/// Whether one disk is at fault, and others may go on.
fn is_of_a_disk(error: &Error) -> bool {
    matches!(error, Error::DiskFull { .. } | Error::DiskFailed { .. })
}
