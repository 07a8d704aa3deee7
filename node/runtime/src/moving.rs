//! How far bringing data to its owners has got, here and in the mesh.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::{StreamExt, stream};
use shoal_types::{Layout, LayoutId, MeshMoving, Moving, PeerId, Request, Response, Result, wire};

use crate::context::{Context, lock};
use crate::replicate;

/// Peers asked at once how far they are.
const ASKED_AT_ONCE: usize = 64;

/// How long all of them together have to answer: who looks at a status waits
/// for no peer that hangs.
const ASKED_FOR: Duration = Duration::from_secs(1);

/// How far the pass under way is, if there is one.
#[derive(Default)]
pub(crate) struct Progress(Mutex<Option<Pass>>);

struct Pass {
    layout: LayoutId,
    is_joint: bool,
    /// By the monotonic clock.
    began: Duration,
    so_far: Moving,
}

impl Progress {
    /// A pass begins. When one under the same layout has failed before it,
    /// what that brought still counts, and all else is looked at again.
    pub(crate) fn begin(&self, layout: &Layout, now: Duration) {
        let mut pass = lock(&self.0);
        let before = pass.take().filter(|before| before.layout == layout.id());
        let (began, so_far) = match before {
            Some(Pass { began, so_far: Moving { copies_brought, bytes_brought, .. }, .. }) => {
                (began, Moving { copies_brought, bytes_brought, ..Moving::default() })
            }
            None => (now, Moving::default()),
        };
        *pass = Some(Pass { layout: layout.id(), is_joint: layout.is_joint(), began, so_far });
    }

    /// Nothing is to be done any more.
    pub(crate) fn end(&self) {
        *lock(&self.0) = None;
    }

    pub(crate) fn note(&self, change: impl FnOnce(&mut Moving)) {
        if let Some(pass) = &mut *lock(&self.0) {
            change(&mut pass.so_far);
        }
    }

    /// What is being brought. `None` while nobody has to wait for this peer:
    /// under a settled layout a pass that has found nothing missing is none.
    pub(crate) fn moving(&self, now: Duration) -> Option<Moving> {
        let pass = lock(&self.0);
        let Pass { is_joint, began, so_far, .. } = pass.as_ref()?;
        let moves = *is_joint || so_far.copies_brought > 0 || so_far.copies_missing > 0;
        let since_ms = u64::try_from(now.saturating_sub(*began).as_millis()).unwrap_or(u64::MAX);
        moves.then_some(Moving { since_ms, ..*so_far })
    }
}

/// What this peer is bringing to its owners.
pub(crate) fn here(context: &Context) -> Option<Moving> {
    context.progress.moving(context.ports.clock.now())
}

/// What all peers are bringing, this one (`here`) and those who are live and
/// answer; `None` when nobody says that it brings anything.
///
/// The others are asked only where an answer is to be expected: while the
/// layout is joint, while a member is away, or while this peer brings
/// something itself. Otherwise it costs a look at the table of members; else
/// one small call to each live peer, [`ASKED_FOR`] at the longest.
pub(crate) async fn in_mesh(context: &Arc<Context>, here: Option<Moving>) -> Result<Option<MeshMoving>> {
    let mut mesh = MeshMoving::default().with(here);
    let is_unsettled = context.layout().is_some_and(|layout| {
        layout.is_joint() || context.members.look(|table| !replicate::away(table, context.me, &layout).is_empty())
    });
    if here.is_some() || is_unsettled {
        let live: Vec<PeerId> = context.members.look(|table| table.live().map(|(peer, _)| peer).collect());
        mesh.silent = u32::try_from(live.len()).unwrap_or(u32::MAX);
        let frame = wire::encode(&Request::Moving)?;
        let asked = stream::iter(live).map(|peer| context.call_frame(peer, frame.clone()));
        let in_time = context.ports.clock.sleep(ASKED_FOR);
        let mut answers = std::pin::pin!(asked.buffer_unordered(ASKED_AT_ONCE).take_until(in_time));
        while let Some(answer) = answers.next().await {
            if let Ok(Response::Moving(said)) = answer {
                mesh = MeshMoving { silent: mesh.silent.saturating_sub(1), ..mesh.with(said) };
            }
        }
    }
    Ok((mesh.peers > 0).then_some(mesh))
}

#[cfg(test)]
mod tests {
    use shoal_types::MeshId;

    use super::*;
    use crate::role;
    use crate::tests::info;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Version 1 with one member, and 2, by which another takes its place.
    fn layouts() -> (Layout, Layout) {
        let settled = Layout::first(MeshId::from_bytes([1; 16]), role::member_of(&info(1)), 3);
        let joint = settled.replaced_by(vec![role::member_of(&info(2))]);
        (settled, joint)
    }

    #[test]
    fn a_pass_that_finds_nothing_missing_moves_nothing_but_while_the_layout_is_joint() {
        let ((settled, joint), progress) = (layouts(), Progress::default());
        assert_eq!(progress.moving(seconds(1)), None);
        progress.begin(&settled, seconds(1));
        progress.note(|moving| moving.chunks_held = 3);
        assert_eq!(progress.moving(seconds(2)), None);
        progress.note(|moving| moving.copies_missing = 1);
        let found = Moving { chunks_held: 3, copies_missing: 1, since_ms: 2_000, ..Moving::default() };
        assert_eq!(progress.moving(seconds(3)), Some(found));
        progress.begin(&joint, seconds(4));
        assert_eq!(progress.moving(seconds(5)), Some(Moving { since_ms: 1_000, ..Moving::default() }));
        progress.end();
        assert_eq!(progress.moving(seconds(6)), None);
    }

    #[test]
    fn a_pass_that_is_tried_again_keeps_what_was_brought_and_since_when() {
        let ((settled, joint), progress) = (layouts(), Progress::default());
        let some = Moving {
            copies_brought: 2,
            bytes_brought: 20,
            copies_missing: 5,
            chunks_looked_at: 7,
            names_settled: 1,
            ..Moving::default()
        };
        progress.begin(&joint, seconds(1));
        progress.note(|moving| *moving = some);
        progress.begin(&joint, seconds(2));
        let kept = Moving { copies_brought: 2, bytes_brought: 20, since_ms: 2_000, ..Moving::default() };
        assert_eq!(progress.moving(seconds(3)), Some(kept));
        // Under another layout all begins anew.
        progress.begin(&settled, seconds(4));
        assert_eq!(progress.moving(seconds(5)), None);
    }
}
