//! The mesh's secret, which may be changed while the mesh runs.
//!
//! Whoever is asked to changes it, remembers both, and tells everyone; from
//! then on both admit. Once every member of the layout has said that it knows
//! the new one, whoever has asked them lets go of the old one, and tells that
//! too. What two peers know is brought together by
//! [`shoal_membership::secrets`].

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use shoal_membership::secrets::{is_known_by, learned, retired, rotated};
use shoal_ports::Store;
use shoal_types::{Error, PeerId, Request, Response, Result, SecretText, Secrets, wire};

use crate::context::Context;

/// The note in which they are kept once they were changed.
const NOTE: &str = "secrets";

/// Between two looks whether all know a new secret.
const LOOK: Duration = Duration::from_secs(1);

/// Peers asked at once.
const ASKED_AT_ONCE: usize = 32;

/// Secrets that were let go of and are told from unknown ones.
const FORMER_MAX: usize = 16;

#[derive(Serialize, Deserialize)]
struct Kept {
    secrets: Secrets,
    /// Those before, so that one that is given by an old script is not taken
    /// for that of another mesh.
    former: Vec<[u8; 8]>,
}

fn mark(text: &SecretText) -> [u8; 8] {
    let hash = blake3::derive_key("shoal 2026-11 a former secret of a mesh", text.reveal().as_bytes());
    *hash.first_chunk().unwrap_or(&[0; 8])
}

fn kept(store: &dyn Store) -> Result<Option<Kept>> {
    let note = store.note_get(NOTE)?.filter(|note| !note.is_empty());
    note.map(|note| wire::decode::<Kept>(&note)).transpose()
}

/// The secrets by which a peer starts that was `given` one, which may be an
/// old one of a mesh that has changed it since. Waits for the disk.
///
/// # Errors
/// Those of the store.
pub fn remembered_secrets(store: &dyn Store, given: SecretText) -> Result<Secrets> {
    match kept(store)? {
        Some(kept) if kept.secrets.admitting().any(|known| *known == given) || kept.former.contains(&mark(&given)) => {
            Ok(kept.secrets)
        }
        Some(_) => {
            // That of another mesh, or set right by hand.
            store.note_put(NOTE, &[])?;
            Ok(Secrets::first(given))
        }
        None => Ok(Secrets::first(given)),
    }
}

fn keep(store: &dyn Store, before: &Secrets, secrets: &Secrets) -> Result<()> {
    let mut former = kept(store)?.map(|kept| kept.former).unwrap_or_default();
    for text in before.admitting().filter(|text| **text != secrets.current) {
        let mark = mark(text);
        if !former.contains(&mark) {
            former.push(mark);
        }
    }
    former.drain(..former.len().saturating_sub(FORMER_MAX));
    store.note_put(NOTE, &wire::encode(&Kept { secrets: secrets.clone(), former })?)
}

/// Changes the secret to a new one that nobody has seen.
pub(crate) async fn rotate(context: &Arc<Context>) -> Result<()> {
    context.require_layout()?;
    let mut random = [0; SecretText::RANDOM_BYTES];
    context.ports.rng.fill(&mut random);
    let new = SecretText::of_random(random);
    let is_changing = || {
        Error::invalid(
            "the secret is being changed already",
            "shoal status says who does not know the new one yet; it can be changed again once all do",
        )
    };
    take(context, |ours| rotated(ours, new)).await?.then_some(()).ok_or_else(is_changing)?;
    tracing::info!("the mesh's secret is changed");
    tell(context, everyone(context)).await;
    Ok(())
}

/// Takes in what another peer knows.
pub(crate) async fn learn(context: &Arc<Context>, theirs: &Secrets) -> Result<()> {
    if !theirs.fit() {
        return Err(Error::BadFrame { what: "a secret that is too long".into() });
    }
    take(context, |ours| learned(ours, theirs)).await.map(drop)
}

/// Replaces the secrets by what `change` makes of them, if anything: admits by
/// them, remembers them, and says so.
async fn take(context: &Arc<Context>, change: impl FnOnce(&Secrets) -> Option<Secrets>) -> Result<bool> {
    let _turn = context.secrets_turn.lock().await;
    let before = context.secrets.look(Clone::clone);
    let Some(after) = change(&before) else {
        return Ok(false);
    };
    context.ports.transport.admit_by(&after)?;
    let (store, kept, earlier) = (context.ports.store.clone(), after.clone(), before.clone());
    if let Err(error) = context.blocking(move || keep(&*store, &earlier, &kept)).await {
        context.ports.transport.admit_by(&before)?;
        return Err(error);
    }
    context.secrets.change(|secrets| {
        *secrets = after;
        true
    });
    Ok(true)
}

fn everyone(context: &Context) -> Vec<PeerId> {
    let mut peers: Vec<PeerId> = context.members.look(|table| table.live().map(|(peer, _)| peer).collect());
    let layout = context.layout();
    peers.extend(layout.iter().flat_map(|layout| layout.everyone()).filter(|peer| *peer != context.me));
    peers.sort();
    peers.dedup();
    peers
}

/// Tells peers which secrets there are, and learns which they know; who of
/// them knows the present one.
async fn tell(context: &Arc<Context>, peers: Vec<PeerId>) -> Vec<PeerId> {
    let ours = context.secrets.look(Clone::clone);
    let Ok(frame) = wire::encode(&Request::SecretsLearn(ours.clone())) else {
        return Vec::new();
    };
    let asked = stream::iter(peers).map(|peer| {
        let (context, frame) = (context.clone(), frame.clone());
        async move { (peer, context.call_frame(peer, frame).await) }
    });
    let answers: Vec<_> = asked.buffer_unordered(ASKED_AT_ONCE).collect().await;
    let mut knowing = Vec::new();
    for (peer, answer) in answers {
        match answer {
            Ok(Response::Secrets(theirs)) => {
                if is_known_by(&ours, &theirs) {
                    knowing.push(peer);
                }
                if let Err(error) = learn(context, &theirs).await {
                    tracing::warn!(%error, peer = %peer.short(), "a secret is not taken up");
                }
            }
            Ok(_) => tracing::warn!(peer = %peer.short(), "an answer of another kind about the secret"),
            Err(error) => tracing::debug!(%error, peer = %peer.short(), "not told of the secret"),
        }
    }
    knowing
}

/// A peer has just been linked, perhaps by the secret before: it is told of
/// the new one.
pub(crate) fn greet(context: &Arc<Context>, peer: PeerId) {
    if context.secrets.look(|secrets| secrets.previous.is_some()) {
        let told = context.clone();
        context.spawn("secrets greet", async move {
            tell(&told, vec![peer]).await;
        });
    }
}

/// While the secret is being changed: asks who knows the new one, and lets go
/// of the old one when all members of the layout do.
pub(crate) async fn run(context: Arc<Context>) {
    let mut looks: u64 = 0;
    loop {
        let seen = context.secrets.version();
        if context.secrets.look(|secrets| secrets.previous.is_none()) {
            context.secrets.after(seen).await;
        }
        context.ports.clock.sleep(LOOK).await;
        looks += 1;
        let Some(layout) = context.layout() else { continue };
        let first = layout.everyone().into_iter().find(|peer| context.is_live(*peer));
        if first != Some(context.me) {
            // That one asks all; now and then we ask it whether it is done.
            if looks.is_multiple_of(5) {
                tell(&context, first.into_iter().collect()).await;
            }
            continue;
        }
        let knowing = tell(&context, everyone(&context)).await;
        let is_known = |peer: &PeerId| *peer == context.me || knowing.contains(peer);
        let is_same = context.layout().is_some_and(|now| Arc::ptr_eq(&now, &layout));
        if is_same && !layout.is_joint() && layout.everyone().iter().all(is_known) && context.secrets.version() == seen
        {
            let over = take(&context, |ours| ours.previous.is_some().then(|| retired(ours))).await;
            match over {
                Ok(true) => tracing::info!("all members know the mesh's new secret: the old one admits no more"),
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "the old secret still admits"),
            }
            tell(&context, everyone(&context)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::ports::Store as Notes;

    #[test]
    fn an_old_secret_that_is_given_again_is_not_taken_for_another_meshs() {
        let store = Notes::default();
        let text = |text: &str| SecretText::new(text);
        let start = |given: &str| remembered_secrets(&store, text(given)).unwrap();
        let first = start("first");
        assert_eq!(first, Secrets::first(text("first")));
        let both = rotated(&first, text("second")).unwrap();
        keep(&store, &first, &both).unwrap();
        assert_eq!(start("first"), both);
        let second = retired(&both);
        keep(&store, &both, &second).unwrap();
        assert_eq!((start("first"), start("second")), (second.clone(), second));
        // Another mesh's, from then on.
        assert_eq!(start("third"), Secrets::first(text("third")));
        assert_eq!(start("second"), Secrets::first(text("second")));
    }
}
