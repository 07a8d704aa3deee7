//! When the old owners of a joint layout may go.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use shoal_placement::most_owners_among;
use shoal_types::{Error, Layout, LayoutId, PeerId, Request, Response, Result};

use super::away::away;
use crate::context::Context;
use crate::planted::Planted;

/// Members asked at once whether they have brought over what they hold.
const ASKED_AT_ONCE: usize = 16;

/// Whether the old owners of a joint layout may be let go: every live member
/// has brought over all that it holds, to everyone who is live now, and those
/// who are away are so few, or in so few zones, that no name was known to them alone.
///
/// Who has gone over to another mesh, and is `elsewhere`, keeps nothing of
/// this one. Who was not ready when asked last, `unready`, is asked first.
pub(crate) async fn may_settle(
    context: &Arc<Context>,
    layout: &Layout,
    elsewhere: &BTreeSet<PeerId>,
    unready: Option<PeerId>,
) -> Result<()> {
    if context.has_planted(Planted::SettleTooEarly) {
        return Ok(());
    }
    let mut away = context.members.look(|table| away(table, context.me, layout));
    away.extend(elsewhere);
    for group in layout.groups() {
        let acceptors = match context.has_planted(Planted::CountsWeightless) {
            true => layout.register_owners().min(group.len()),
            false => layout.register_owners_among(group),
        };
        let tolerated = acceptors.saturating_sub(1) / 2;
        let missing = most_owners_among(group, acceptors, |member| away.contains(&member.id));
        if missing > tolerated {
            return Err(Error::NoQuorum {
                what: format!("some names, before letting go of layout {}", layout.version),
                answered: (acceptors - missing) as u32,
                needed: (acceptors - tolerated) as u32,
            });
        }
    }
    let first = unready.filter(|peer| layout.involves(*peer));
    let others = layout.everyone().into_iter().filter(|peer| Some(*peer) != first);
    let asked: Vec<PeerId> = first.into_iter().chain(others).filter(|peer| !away.contains(peer)).collect();
    let answers = stream::iter(asked).map(|peer| has_synced(context, peer, layout.id(), &away));
    answers.buffered(ASKED_AT_ONCE).try_for_each(|()| std::future::ready(Ok(()))).await
}

/// Whether a peer has brought over all that it holds, to everyone but those who are away.
async fn has_synced(context: &Arc<Context>, peer: PeerId, layout: LayoutId, away: &BTreeSet<PeerId>) -> Result<()> {
    match context.call(peer, Request::LayoutSynced(layout)).await? {
        Response::Synced(Some(missed)) if missed.iter().all(|peer| away.contains(peer)) => Ok(()),
        Response::Synced(_) => Err(Error::NotReady { peer, why: "it is still bringing over what it holds".into() }),
        _ => Err(context.unexpected("whether it has brought everything over")),
    }
}
