//! What is on its way to its owners, in a sentence.

use shoal_gateway::view::{MeshMovingView, MovingView};

use crate::units;

/// What moves, in numbers: how much of how much, since when, and by whom.
pub(crate) fn sentence(mesh: &MeshMovingView, here: Option<&MovingView>) -> String {
    let (all, mut parts) = (&mesh.all, Vec::new());
    if all.copies() > 0 {
        let (brought, found) = (units::bytes(all.bytes_brought), units::bytes(all.bytes()));
        parts.push(format!("{} copies of chunks ({brought} of {found})", part(all)));
    }
    if all.names_seen > 0 {
        parts.push(format!("{} names", units::count(all.names_settled)));
    }
    let done = match parts.is_empty() {
        false => format!("{} to their owners", parts.join(" and ")),
        true => format!("{} of {} chunks looked at", units::count(all.chunks_looked_at), units::count(all.chunks_held)),
    };
    let mut sentence = format!("{done} for {}", units::age(all.since_seconds));
    if let Some(rate) = all.bytes_per_second {
        sentence += &format!(", {}/s", units::bytes(rate));
    }
    if let Some(left) = all.left_seconds {
        let about = if all.may_grow() { "at least" } else { "about" };
        sentence += &format!(", {about} {} left", units::age(left));
    }
    if mesh.peers > 1 {
        sentence += &format!(", by {} peers", mesh.peers);
        if let Some(here) = here.filter(|here| here.copies() > 0) {
            sentence += &format!(": {} copies by this one", part(here));
        }
    }
    match mesh.silent {
        0 => sentence,
        1 => sentence + "; 1 peer does not say",
        silent => sentence + &format!("; {silent} peers do not say"),
    }
}

/// Copies brought, of those known to have been missing.
fn part(moving: &MovingView) -> String {
    let least = if moving.may_grow() { "at least " } else { "" };
    format!("{} of {least}{}", units::count(moving.copies_brought), units::count(moving.copies()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use shoal_types::{MeshMoving, Moving};

    fn check(said: &[Moving], silent: u32, here: Option<Moving>, expected: &str) {
        let mesh = said.iter().copied().map(Some).fold(MeshMoving::default(), MeshMoving::with);
        let mesh = MeshMovingView::from(&MeshMoving { silent, ..mesh });
        assert_eq!(sentence(&mesh, here.as_ref().map(MovingView::from).as_ref()), expected);
    }

    #[test]
    fn what_moves_is_said_in_one_sentence() {
        let one = Moving {
            names_settled: 12_000,
            names_seen: 13_000,
            chunks_looked_at: 400,
            chunks_held: 400,
            copies_brought: 340,
            bytes_brought: 21 << 27,
            copies_missing: 860,
            bytes_missing: 53 << 27,
            since_ms: 12_300,
        };
        // 21 eighths of a GiB in 12.3 s, 53 to go.
        let rate = ", 218.5 MiB/s, about 31 s left";
        let copies = "340 of 1,200 copies of chunks (2.6 GiB of 9.2 GiB)";
        check(&[one], 0, Some(one), &format!("{copies} and 12,000 names to their owners for 12 s{rate}"));
        let begun = Moving { names_seen: 0, ..one };
        check(&[begun], 1, None, &format!("{copies} to their owners for 12 s{rate}; 1 peer does not say"));
        let begun = Moving { chunks_looked_at: 100, chunks_held: 400, since_ms: 700, ..Moving::default() };
        check(&[begun], 0, None, "100 of 400 chunks looked at for 0 s");
    }

    #[test]
    fn what_may_still_be_found_missing_and_who_brings_how_much_is_said() {
        let page =
            Moving { copies_brought: 1, copies_missing: 9, chunks_looked_at: 10, chunks_held: 20, ..Moving::default() };
        check(
            &[page, page],
            2,
            Some(page),
            "2 of at least 20 copies of chunks (0 B of 0 B) to their owners for 0 s, by 2 peers: \
             1 of at least 10 copies by this one; 2 peers do not say",
        );
    }
}
