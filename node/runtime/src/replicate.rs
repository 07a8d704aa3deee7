//! Bringing what this peer holds to those who own it.
//!
//! One pass looks at every register and every chunk here, and makes sure that
//! its owners have it. It runs when the layout is joint, before the old owners
//! are let go; when a peer comes or goes; and every so often, so that nothing
//! stays short of copies. While all is at rest that costs little: what nobody
//! lacks is not asked for ([`differing`]).

mod away;
mod bringer;
mod chunks;
mod differing;
mod moved;
mod pass;
mod passed_over;
mod settle;
pub(crate) mod yielding;

use std::sync::Arc;
use std::time::Duration;

use futures::future::select;
use shoal_types::{Error, Layout, LayoutId, PeerId};

use crate::context::{Context, lock};
use crate::planted::Planted;
pub(crate) use away::away;
use away::{Absent, Away};
use pass::{Scope, pass};
pub(crate) use settle::may_settle;

/// Ticks between two looks under a settled layout: where many come or go at
/// once, one pass is for several of them.
const LOOK_TICKS: u32 = 5;

/// How long to wait with what a disk refused, at most: it is as full or as
/// broken a moment later.
const REFUSED_WAIT: Duration = Duration::from_secs(10);

/// How long to wait after a pass that failed for another reason, in ticks,
/// before the second next try; twice that each time after it, up to
/// [`REFUSED_WAIT`]. Who does not answer is asked again and again.
const FAILED_WAIT_TICKS: u32 = 5;

/// What a pass that succeeded looked at.
struct Done {
    layout: LayoutId,
    /// Members to whom nothing could be brought.
    absent: Absent,
}

/// Runs passes for as long as the peer lives: it looks whether one is needed
/// whenever members or layout have changed, and when one is due.
pub(crate) async fn run(context: Arc<Context>) {
    let (clock, timing) = (context.ports.clock.clone(), context.config.timing.clone());
    let mut done: Option<Done> = None;
    let mut due = Duration::ZERO;
    let mut kept = None;
    // In a row, under the same layout.
    let mut failures = (None, 0);
    // One that flaps ends a pass once in an interval.
    let mut ends_from = Duration::ZERO;
    loop {
        let seen = (context.members.version(), context.layout.version());
        let (mut next, mut is_over) = (due, true);
        // Who has left looks once more: it may have been away when it was let go of.
        let concerns = |layout: &Layout| layout.involves(context.me) || context.info().leaves;
        if let Some(layout) = context.layout().filter(|layout| concerns(layout)) {
            let present = Away::after(kept.take(), &context, &layout);
            let absent = &kept.insert(present).absent;
            let is_new = |done: &Done| done.layout != layout.id() || done.absent.gone != absent.gone;
            let (is_new, may_end) = (done.as_ref().is_none_or(is_new), clock.now() >= ends_from);
            if failures.0 != Some(layout.id()) {
                failures = (Some(layout.id()), 0);
            }
            if let Some(scope) = scope(done.as_ref(), &layout, context.me, absent, clock.now() >= due) {
                let skips = done.is_some() && context.has_planted(Planted::SkipsRepair);
                match if skips { Ok(()) } else { pass(&context, &layout, absent, scope, is_new, may_end).await } {
                    Ok(()) => {
                        failures.1 = 0;
                        *lock(&context.refused) = None;
                        if !matches!(scope, Scope::Differing { .. }) {
                            *lock(&context.synced) = Some((layout.id(), absent.peers.iter().copied().collect()));
                        }
                        if !matches!(scope, Scope::Since(_)) {
                            due = clock.now() + timing.repair_interval;
                        }
                        done = Some(Done { layout: layout.id(), absent: absent.clone() });
                        next = due;
                    }
                    Err(error) => {
                        tracing::info!(%error, "not everything is where it belongs yet");
                        let (is_of_a_disk, is_ours) = (
                            is_of_a_disk(&error),
                            matches!(&error, Error::NotReady { peer, .. } if *peer == context.me),
                        );
                        *lock(&context.refused) = is_of_a_disk.then(|| (layout.id(), error));
                        let wait = match is_of_a_disk {
                            true => REFUSED_WAIT,
                            false => failed_wait(timing.tick, failures.1),
                        };
                        failures.1 += u32::from(!is_ours);
                        if is_ours {
                            ends_from = clock.now() + timing.repair_interval;
                        }
                        (next, is_over) = (clock.now() + wait.min(timing.repair_interval), false);
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

/// What a pass has to look at, if there is to be one. What others are told of
/// everything here ([`may_settle`]) comes of passes that ask for everything; so
/// does what one who has left knows of having handed over.
fn scope<'a>(done: Option<&'a Done>, layout: &Layout, me: PeerId, absent: &Absent, is_due: bool) -> Option<Scope<'a>> {
    let is_at_rest = absent.is_nobody() && !layout.is_joint() && layout.involves(me);
    match done.filter(|done| done.layout == layout.id()) {
        Some(done) if !is_due && done.absent == *absent => None,
        Some(done) if is_at_rest => Some(Scope::Differing { back: &done.absent.peers }),
        Some(done) if !is_due => Some(Scope::Since(&done.absent)),
        Some(_) | None => Some(Scope::Everything),
    }
}

/// How long to wait with the next pass after so many have failed before this one.
fn failed_wait(tick: Duration, failures: u32) -> Duration {
    match failures.checked_sub(1) {
        None => Duration::ZERO,
        Some(doublings) => (tick * FAILED_WAIT_TICKS).saturating_mul(1 << doublings.min(16)).min(REFUSED_WAIT),
    }
}

/// Whether one disk is at fault, and others may go on.
fn is_of_a_disk(error: &Error) -> bool {
    matches!(error, Error::DiskFull { .. } | Error::DiskFailed { .. })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use shoal_types::MeshId;

    use super::*;
    use crate::role;
    use crate::tests::info;

    #[test]
    fn sums_do_for_all_passes_but_the_first_while_all_is_at_rest() {
        let settled = Layout::first(MeshId::from_bytes([1; 16]), role::member_of(&info(1)), 3);
        let joint = settled.replaced_by(vec![role::member_of(&info(2))]);
        let me = PeerId::from_bytes([1; 32]);
        let other = BTreeSet::from([PeerId::from_bytes([2; 32])]);
        let (nobody, somebody) = (Absent::default(), Absent { peers: other.clone(), gone: other.clone() });
        let unlinked = Absent { gone: BTreeSet::new(), ..somebody.clone() };
        let done = |layout: &Layout, absent: &Absent| Done { layout: layout.id(), absent: absent.clone() };
        let at_rest = done(&settled, &nobody);
        assert_eq!(scope(Some(&at_rest), &settled, me, &nobody, false), None);
        assert_eq!(scope(Some(&at_rest), &settled, me, &nobody, true), Some(Scope::Differing { back: &nobody.peers }));
        // Somebody goes, is away for long, and comes back.
        assert_eq!(scope(Some(&at_rest), &settled, me, &somebody, false), Some(Scope::Since(&nobody)));
        assert_eq!(scope(Some(&at_rest), &settled, me, &somebody, true), Some(Scope::Everything));
        let alone = done(&settled, &somebody);
        assert_eq!(scope(Some(&alone), &settled, me, &somebody, false), None);
        assert_eq!(scope(Some(&alone), &settled, me, &somebody, true), Some(Scope::Everything));
        // It is alive for others, with whom it has a link.
        assert_eq!(scope(Some(&alone), &settled, me, &unlinked, false), Some(Scope::Since(&somebody)));
        for is_due in [false, true] {
            assert_eq!(scope(Some(&alone), &settled, me, &nobody, is_due), Some(Scope::Differing { back: &other }));
        }
        // Who has left has to know that all of it was asked for.
        let left = PeerId::from_bytes([9; 32]);
        assert_eq!(scope(Some(&alone), &settled, left, &nobody, false), Some(Scope::Since(&somebody)));
        // The first pass under a layout, and all under a joint one.
        assert_eq!(scope(None, &settled, me, &nobody, true), Some(Scope::Everything));
        let moved = done(&joint, &nobody);
        assert_eq!(scope(Some(&moved), &settled, me, &nobody, false), Some(Scope::Everything));
        assert_eq!(scope(Some(&at_rest), &joint, me, &nobody, false), Some(Scope::Everything));
        assert_eq!(scope(Some(&moved), &joint, me, &nobody, true), Some(Scope::Everything));
        assert_eq!(scope(Some(&moved), &joint, me, &somebody, false), Some(Scope::Since(&nobody)));
    }
}
