//! How the mesh is, in plain words.

use shoal_gateway::view::{DiskView, HealthView, MemberHealthView};
use shoal_types::Health;

use crate::{moving, units};

/// Names of lost objects that are told one by one; all that are known are in the JSON.
const LOST_TOLD: usize = 10;

/// The answer, first of all.
pub(super) fn verdict(health: &HealthView) -> String {
    if health.chunks_lost > 0 {
        let (chunks, objects) = (units::count(health.chunks_lost), units::count(health.objects_lost));
        let hope = match health.members.iter().any(|member| member.away) {
            true => "; members that are away may still have them",
            false => "",
        };
        return format!("Data is lost: {chunks} chunks have no copy left, and {objects} objects need them{hope}.");
    }
    if health.full {
        return match health.quick {
            true => "All members are there and none has a copy to bring: as far as they count, all is well.".into(),
            false => format!("Everything is at full replication: {}.", copies(health)),
        };
    }
    if health.copies_missing > 0 {
        let (missing, bytes) = (units::count(health.copies_missing), units::bytes(health.bytes_missing));
        return format!("Not everything is at full replication: {missing} copies are missing ({bytes}).");
    }
    "Not everything is at full replication: see below.".into()
}

/// `12 chunks, in 36 copies as wanted, 5 members`.
fn copies(health: &HealthView) -> String {
    let at_most = if health.exact { "" } else { "at most " };
    let chunks = units::counted(health.chunks, "chunk", "chunks");
    let copies = units::counted(health.copies, "copy", "copies");
    let members = units::counted(health.members.len() as u64, "member", "members");
    format!("{at_most}{chunks}, in {copies} as wanted, {members}")
}

/// What was counted, and what goes on.
pub(super) fn details(health: &HealthView) -> Vec<String> {
    let mut lines = Vec::new();
    if !health.quick {
        let former = match health.versions {
            0 => String::new(),
            versions => format!(", {} former versions", units::count(versions)),
        };
        let (names, bytes) = (units::count(health.names), units::bytes(health.object_bytes));
        lines.push(format!("names    {names} objects, {bytes}{former}"));
        let at_most = if health.exact { "" } else { "at most " };
        let wanted = health.copies.saturating_add(health.copies_missing);
        let (chunks, there) = (units::count(health.chunks), units::count(health.copies));
        lines.push(format!("chunks   {at_most}{chunks}: {there} of {} copies are there", units::count(wanted)));
    }
    let short: Vec<&MemberHealthView> = health.members.iter().filter(|member| member.copies_missing > 0).collect();
    for member in short {
        let (copies, bytes) = (units::count(member.copies_missing), units::bytes(member.bytes_missing));
        let away = match (member.away, member.state) {
            (true, Health::Alive) => ", which did not answer",
            (true, _) => ", which is away",
            (false, _) => "",
        };
        lines.push(format!("missing  {copies} copies ({bytes}) that belong to {}{away}", member.name));
    }
    if health.chunks_lost > 0 {
        lines.extend(health.lost.iter().take(LOST_TOLD).map(|name| format!("lost     {name}")));
        let more = health.objects_lost.saturating_sub(LOST_TOLD as u64);
        if more > 0 {
            lines.push(format!("lost     {} more; --json names up to a hundred", units::count(more)));
        }
    }
    if let Some(moving) = &health.moving {
        lines.push(format!("moving   {}", moving::sentence(moving, None)));
    }
    lines
}

/// What is wrong with members, and what to do about it.
pub(super) fn notices(health: &HealthView) -> Vec<String> {
    let mut notices = Vec::new();
    let there = health.members.iter().filter(|member| !member.away).count();
    let copies = match there >= health.replicas as usize {
        true => "others make copies in its place",
        false => "nobody is left to make the copies that it has",
    };
    for member in &health.members {
        let name = &member.name;
        match (member.away, member.state) {
            (true, Health::Alive) => notices.push(format!("{name} is alive, and did not say in time what it has")),
            (true, state) => {
                notices.push(format!("{name} is away ({}); {copies}", state.as_str()));
            }
            (false, _) => {}
        }
        let why = member.condition.disk_why.as_deref().unwrap_or("for an unknown reason");
        match member.condition.disk {
            None | Some(DiskView::Fine) => {}
            Some(DiskView::Full) => notices.push(format!(
                "the disk of {name} is full ({why}): it takes no new chunks; make room on it, or add a peer"
            )),
            Some(DiskView::FullForNames) => notices.push(format!(
                "the disk of {name} is too full even for names ({why}): nothing is written to it; make room on it"
            )),
            Some(DiskView::Failed) => notices.push(format!(
                "the disk of {name} failed ({why}): nothing is written to it; replace it, then restart that peer"
            )),
            Some(DiskView::Gone) => {
                notices.push(format!("the data directory of {name} is gone ({why}): that peer stops"));
            }
        }
        if let Some(bad @ 1..) = member.condition.bad_copies {
            notices.push(format!(
                "{name} has found {} bad copies since it started: they were set aside, and are put back from other \
                 holders; look after that disk",
                units::count(bad)
            ));
        }
        if let Some(last) = member.condition.last_scrub.filter(|last| last.bad > last.mended) {
            let left = units::count(last.bad - last.mended);
            notices.push(format!("the last scrub of {name} left {left} bad copies that no other holder could mend"));
        }
    }
    if health.joint {
        notices.push("the members have changed: data is on its way to its new owners".into());
    }
    notices
}

#[cfg(test)]
mod tests {
    use shoal_gateway::view::ConditionView;
    use shoal_types::Health;

    use super::*;

    fn member(name: &str, disk: DiskView) -> MemberHealthView {
        MemberHealthView {
            id: name.into(),
            name: name.into(),
            state: Health::Alive,
            away: false,
            copies_missing: 0,
            bytes_missing: 0,
            condition: ConditionView { disk: Some(disk), bad_copies: Some(0), ..ConditionView::default() },
        }
    }

    fn health(members: Vec<MemberHealthView>) -> HealthView {
        HealthView {
            full: true,
            quick: false,
            replicas: 2,
            names: 4,
            object_bytes: 5 << 20,
            versions: 0,
            chunks: 6,
            exact: true,
            copies: 12,
            copies_missing: 0,
            bytes_missing: 0,
            chunks_lost: 0,
            objects_lost: 0,
            lost: vec![],
            joint: false,
            moving: None,
            members,
        }
    }

    #[test]
    fn a_mesh_that_is_well_says_so_and_nothing_else() {
        let well = health(vec![member("a", DiskView::Fine), member("b", DiskView::Fine)]);
        assert_eq!(verdict(&well), "Everything is at full replication: 6 chunks, in 12 copies as wanted, 2 members.");
        assert_eq!(details(&well), ["names    4 objects, 5.0 MiB", "chunks   6: 12 of 12 copies are there"]);
        assert_eq!(notices(&well), Vec::<String>::new());
        let least = HealthView { chunks: 1, copies: 1, ..health(vec![member("a", DiskView::Fine)]) };
        assert!(verdict(&least).ends_with(": 1 chunk, in 1 copy as wanted, 1 member."), "{}", verdict(&least));
    }

    #[test]
    fn what_is_missing_is_told_with_whose_it_is_and_what_becomes_of_it() {
        let away = MemberHealthView {
            state: Health::Dead,
            away: true,
            copies_missing: 3,
            bytes_missing: 3 << 20,
            condition: ConditionView::default(),
            ..member("b", DiskView::Fine)
        };
        let mut short = health(vec![member("a", DiskView::Fine), away]);
        (short.full, short.copies, short.copies_missing, short.bytes_missing) = (false, 9, 3, 3 << 20);
        assert_eq!(verdict(&short), "Not everything is at full replication: 3 copies are missing (3.0 MiB).");
        assert_eq!(
            details(&short)[1..],
            ["chunks   6: 9 of 12 copies are there", "missing  3 copies (3.0 MiB) that belong to b, which is away"]
        );
        assert!(notices(&short)[0].contains("b is away (dead)"), "{:?}", notices(&short));
        assert!(notices(&short)[0].contains("nobody is left"), "two copies, one member: {:?}", notices(&short));
        short.members.push(member("c", DiskView::Fine));
        assert!(notices(&short)[0].contains("others make copies"), "{:?}", notices(&short));
        short.members[1].state = Health::Alive;
        assert!(details(&short)[2].ends_with("that belong to b, which did not answer"), "{:?}", details(&short));
        assert!(notices(&short)[0].contains("b is alive, and did not say"), "{:?}", notices(&short));
    }

    #[test]
    fn what_is_lost_comes_first_with_the_names_that_need_it() {
        let mut lost = health(vec![member("a", DiskView::Fine)]);
        (lost.full, lost.chunks_lost, lost.objects_lost) = (false, 1, 12);
        lost.lost = (0..12).map(|n| format!("b/{n}")).collect();
        assert_eq!(verdict(&lost), "Data is lost: 1 chunks have no copy left, and 12 objects need them.");
        let lines = details(&lost);
        assert_eq!((lines[2].as_str(), lines.len()), ("lost     b/0", 13));
        assert_eq!(lines[12], "lost     2 more; --json names up to a hundred");
    }

    #[test]
    fn each_disk_that_is_not_fine_is_told_with_what_to_do() {
        for (disk, words) in [
            (DiskView::Full, "make room"),
            (DiskView::FullForNames, "too full even for names"),
            (DiskView::Failed, "replace it"),
            (DiskView::Gone, "stops"),
        ] {
            let notices = notices(&health(vec![member("a", disk)]));
            assert!(matches!(&notices[..], [notice] if notice.contains(words)), "{notices:?}");
        }
    }
}
