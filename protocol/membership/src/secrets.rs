//! How a mesh changes its secret while it runs, without a leader.
//!
//! ```text
//!   one secret ──rotate──> two admit ──every member knows the new one──> one secret
//! ```
//!
//! While two admit, peers that have heard of the new one and peers that have
//! not link to each other, and the former tell the latter. Two changes at once
//! are one in the end: the larger text wins, and the secret before, which all
//! have, admits until everyone knows it.

use shoal_types::{SecretText, Secrets};

/// The secrets after a change to a `new` one; `None` while another change is
/// under way: some member may know the secret before it only.
pub fn rotated(ours: &Secrets, new: SecretText) -> Option<Secrets> {
    ours.previous.is_none().then(|| Secrets {
        generation: ours.generation.saturating_add(1),
        current: new,
        previous: Some(ours.current.clone()),
    })
}

/// Nobody misses so many changes: whoever speaks of more lies, and would have
/// the numbers end.
const MISSED_MAX: u64 = 1_000_000;

/// What somebody else knows, taken in; `None` if it is nothing new.
pub fn learned(ours: &Secrets, theirs: &Secrets) -> Option<Secrets> {
    if theirs.generation > ours.generation.saturating_add(MISSED_MAX) {
        return None;
    }
    let rank = |secrets: &Secrets| (secrets.generation, secrets.current.clone());
    let is_later = rank(theirs) > rank(ours);
    let is_over = rank(theirs) == rank(ours) && ours.previous.is_some() && theirs.previous.is_none();
    (is_later || is_over).then(|| theirs.clone())
}

/// Whether a peer knows the present secret, given what it `knows`.
pub fn is_known_by(ours: &Secrets, knows: &Secrets) -> bool {
    knows.generation == ours.generation && knows.current == ours.current
}

/// The secrets once every member knows the present one.
pub fn retired(ours: &Secrets) -> Secrets {
    Secrets { previous: None, ..ours.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> SecretText {
        SecretText::new(text)
    }

    fn admits(a: &Secrets, b: &Secrets) -> bool {
        a.admitting().any(|one| b.admitting().any(|other| one == other))
    }

    #[test]
    fn a_change_goes_through_two_and_ends_with_one() {
        let old = Secrets::first(text("old"));
        let both = rotated(&old, text("new")).unwrap();
        assert!(admits(&old, &both));
        assert_eq!(rotated(&both, text("newer")), None);
        assert_eq!(learned(&old, &both), Some(both.clone()));
        assert_eq!(learned(&both, &old), None);
        let new = retired(&both);
        assert!(is_known_by(&both, &new) && admits(&both, &new) && !admits(&old, &new));
        assert_eq!(learned(&both, &new), Some(new.clone()));
        assert_eq!(learned(&new, &both), None);
    }

    /// However peers that change it and talk to each other are interleaved:
    /// they can always talk, and when all have talked all have the same.
    #[test]
    fn changes_at_once_become_one_and_nobody_is_left_out() {
        for seed in 0..2_000u64 {
            let mut state = seed;
            let mut random = |below: usize| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 33) as usize % below
            };
            let mut peers = vec![Secrets::first(text("old")); 4];
            for step in 0..40 {
                let (a, b) = (random(4), random(4));
                if step < 6 && random(3) == 0 {
                    if let Some(changed) = rotated(&peers[a], text(&format!("new {step}"))) {
                        peers[a] = changed;
                    }
                } else {
                    assert!(admits(&peers[a], &peers[b]), "seed {seed}");
                    if let Some(changed) = learned(&peers[b], &peers[a]) {
                        peers[b] = changed;
                    }
                }
                // Somebody has seen that all know it.
                if peers.iter().all(|peer| is_known_by(&peers[a], peer)) {
                    peers[a] = retired(&peers[a]);
                }
            }
            for _ in 0..2 {
                for a in 0..4 {
                    for b in 0..4 {
                        peers[b] = learned(&peers[b], &peers[a]).unwrap_or_else(|| peers[b].clone());
                    }
                }
            }
            assert!(peers.iter().all(|peer| peer == &peers[0]), "seed {seed}: {peers:?}");
        }
    }
}
