use super::*;

fn checkup() -> Checkup {
    let member = |n: u8| MemberCheck {
        id: PeerId::from_bytes([n; 32]),
        name: format!("peer-{n}"),
        health: Health::Alive,
        condition: Some(PeerCondition::default()),
        copies_missing: 0,
        bytes_missing: 0,
    };
    Checkup { members: vec![member(1), member(2)], ..Checkup::default() }
}

#[test]
fn only_what_has_all_its_copies_on_disks_that_work_is_at_full_replication() {
    let check = |spoil: fn(&mut Checkup), expected: bool, why: &str| {
        let mut checkup = checkup();
        spoil(&mut checkup);
        assert_eq!(checkup.is_full(), expected, "{why}");
    };
    check(|_| {}, true, "nothing is wrong");
    check(|it| it.copies_missing = 1, false, "a copy is missing");
    check(|it| it.chunks_lost = 1, false, "a chunk is lost");
    check(|it| it.is_joint = true, false, "data moves to new owners");
    check(|it| it.members[1].health = Health::Dead, false, "names have no stand-ins");
    check(|it| it.members[1].condition = None, false, "one does not answer");
    let with = |disk| Some(PeerCondition { disk, ..PeerCondition::default() });
    let mut full = checkup();
    full.members[1].condition = with(DiskState::Full { free_bytes: 1, needed_bytes: 2 });
    assert!(full.is_full(), "what is there is there");
    full.members[1].condition = with(DiskState::FullForNames { free_bytes: 1, needed_bytes: 2 });
    assert!(!full.is_full(), "names have no stand-ins");
    full.members[1].condition = with(DiskState::Failed { why: "x".into() });
    assert!(!full.is_full(), "nothing can be put there");
}

#[test]
fn a_quick_look_believes_what_moves_and_a_whole_one_what_it_counted() {
    let moving = shoal_types::Moving { copies_missing: 1, ..shoal_types::Moving::default() };
    let moving = Some(MeshMoving::default().with(Some(moving)));
    assert!(!Checkup { is_quick: true, moving, ..checkup() }.is_full());
    assert!(Checkup { is_quick: false, moving, ..checkup() }.is_full());
}
