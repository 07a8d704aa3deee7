//! One look at everything here.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::{StreamExt, stream};
use shoal_types::{PeerId, RegisterKind, RegisterSpan, Result};

use super::away::Absent;
use super::chunks::{Walk, Which};
use super::differing::{self, Differing};
use super::passed_over::PassedOver;
use crate::context::Context;
use crate::names;
use crate::placed::Placed;

/// Registers settled at once.
const REGISTERS_AT_ONCE: usize = 16;

/// Registers looked at in one step.
const PAGE: usize = 1_000;

/// What a pass looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope<'a> {
    /// Everything; its owners are asked for it by its id.
    Everything,
    /// What has other living owners than when those were away, in the same way.
    Since(&'a Absent),
    /// What differs from what its owners have, by sums; some may have just
    /// come back.
    Differing { back: &'a BTreeSet<PeerId> },
}

/// Brings what is looked at to its owners, but for those who are `absent`.
/// `is_new`: none has succeeded under this layout with the same members gone.
/// `may_end`: it ends when somebody goes meanwhile.
pub(super) async fn pass(
    context: &Arc<Context>,
    layout: &Placed,
    absent: &Absent,
    scope: Scope<'_>,
    is_new: bool,
    may_end: bool,
) -> Result<()> {
    let is_at_rest = absent.is_nobody() && !layout.is_joint();
    if !is_at_rest {
        differing::forget(context);
    }
    context.progress.begin(layout, context.ports.clock.now());
    if layout.is_joint() {
        registers(context).await?;
    }
    let differing = match scope {
        Scope::Differing { back } => Some(differing::differing(context, layout, back).await?),
        Scope::Everything | Scope::Since(_) => None,
    };
    if differing.as_ref().is_some_and(Differing::is_nothing) {
        return Ok(());
    }
    // First what this peer is the bringer of; then, should another have failed
    // to, everything that it holds.
    let passed_over = PassedOver::default();
    for mine in [true, false] {
        let which = Which { mine, is_new, may_end };
        Walk::new(context, layout, absent, scope, differing.as_ref(), &passed_over, which).run().await?;
    }
    if scope == Scope::Everything && is_at_rest {
        // So that the next pass of each finds something to compare with.
        differing::publish(context, layout).await?;
    }
    passed_over.into_result()
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
