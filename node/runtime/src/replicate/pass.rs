//! One look at everything here.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::{StreamExt, stream};
use shoal_types::{PeerId, RegisterKind, RegisterSpan, Result};

use super::chunks::Walk;
use crate::context::Context;
use crate::names;
use crate::placed::Placed;

/// Registers settled at once.
const REGISTERS_AT_ONCE: usize = 16;

/// Registers looked at in one step.
const PAGE: usize = 1_000;

/// Brings everything to its owners. After a pass under the same layout only
/// that which has other living owners since; those `before` were away then.
pub(super) async fn pass(
    context: &Arc<Context>,
    layout: &Placed,
    away: &BTreeSet<PeerId>,
    before: Option<&BTreeSet<PeerId>>,
) -> Result<()> {
    context.progress.begin(layout, context.ports.clock.now());
    if layout.is_joint() {
        registers(context).await?;
    }
    // First what this peer is the bringer of; then, should another have failed
    // to, everything that it holds.
    let mut refused = None;
    for mine in [true, false] {
        let refusal = Walk::new(context, layout, away, before, mine).run().await?;
        refused = refused.or(refusal);
    }
    refused.map_or(Ok(()), Err)
}

/// An identity round for every register that is known here: what was agreed
/// among the old owners is from then on known to a majority of the new.
async fn registers(context: &Arc<Context>) -> Result<()> {
    for kind in RegisterKind::ALL {
        let (span, mut after) = (RegisterSpan::all(kind), None);
        loop {
            let (store, span, from) = (context.ports.store.clone(), span.clone(), after.take());
            let page = context.blocking(move || store.register_scan(&span, from.as_ref(), PAGE)).await?;
            let Some(last) = page.last().and_then(|entry| entry.key.place()) else {
                break;
            };
            context.progress.note(|moving| moving.names_seen += page.len() as u64);
            let mut rounds = stream::iter(page)
                .map(|entry| async move { names::settle(context, &entry.key).await })
                .buffer_unordered(REGISTERS_AT_ONCE);
            while let Some(outcome) = rounds.next().await {
                outcome?;
                context.progress.note(|moving| moving.names_settled += 1);
            }
            after = Some(last);
        }
    }
    Ok(())
}
