//! How a peer that has left goes: not before those who stay have all that it
//! holds, and know that it has left.
//!
//! The first they made sure of before they let go of it, unless it was away
//! then. So it looks for itself, under the layout without it.
//!
//! A joint layout is decided upon by those who are being replaced. If too many
//! of these went as soon as they had heard that it is settled, whoever had not
//! heard would never: nobody would be there to tell, and the register that has
//! the decision would have lost its majority.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use futures::StreamExt;
use shoal_types::{LayoutId, PeerId, Request, Result, wire};

use super::State;
use super::spread::told;
use crate::context::{Context, lock};
use crate::planted::Planted;
use crate::role;
use crate::supervisor::SupervisorMsg;

impl State {
    /// Stops this peer once all is handed over, and most of those who stay know the layout without it.
    pub(super) fn say_farewell(&self) {
        if self.going.swap(true, Relaxed) {
            return;
        }
        let (context, going) = (self.context.clone(), self.going.clone());
        self.context.spawn("farewell", async move {
            if let Err(error) = farewell(&context).await {
                tracing::warn!(%error, "it has left, and cannot go");
            }
            going.store(false, Relaxed);
        });
    }
}

/// Tells them again every tick, for as long as that takes: whoever must go
/// sooner is stopped. Returns early if it is to stay after all, or is taken in again.
async fn farewell(context: &Arc<Context>) -> Result<()> {
    let mut knowing: BTreeSet<PeerId> = BTreeSet::new();
    loop {
        let layout = context.require_layout()?;
        if !context.info().leaves || layout.involves(context.me) {
            return Ok(());
        }
        // When it had just started it had no link to anybody.
        let is_handed_over = |(of, missed): &(LayoutId, Vec<PeerId>)| {
            *of == layout.id() && missed.iter().all(|peer| !context.is_live(*peer))
        };
        let has_handed_over = lock(&context.synced).as_ref().is_some_and(is_handed_over);
        let is_hasty = context.has_planted(Planted::GoesUntold) || context.has_planted(Planted::GoesWithoutLook);
        if !has_handed_over && !is_hasty {
            // It was away when the others let go of it, or something came to it late.
            context.ports.clock.sleep(context.config.timing.tick).await;
            continue;
        }
        let staying = layout.deciders();
        let remaining = staying.iter().map(|member| member.id).filter(|peer| !knowing.contains(peer));
        let remaining: Vec<PeerId> = remaining.filter(|peer| context.is_live(*peer)).collect();
        let frame = wire::encode(&Request::LayoutLearn(layout.layout().as_ref().clone()))?;
        knowing.extend(told(context, &frame, remaining).collect::<Vec<_>>().await);
        let known = staying.iter().filter(|member| knowing.contains(&member.id)).count();
        if known > staying.len() / 2 || context.has_planted(Planted::GoesUntold) {
            break;
        }
        context.ports.clock.sleep(context.config.timing.tick).await;
    }
    tracing::info!("others keep its data now, it goes");
    role::left(context).await?;
    let _ = context.actors()?.supervisor.send_message(SupervisorMsg::Left);
    Ok(())
}
