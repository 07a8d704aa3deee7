//! The demo, as the README has it: it checks its own answers, and fails when
//! a kill changes one.

use crate::mesh::{alone, said};

#[test]
fn the_demo_kills_a_peer_in_the_middle_and_the_answer_is_the_same() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a.txt"), "the shoal turns as one\n".repeat(50)).unwrap();
    let args = ["demo", "--sf", "0.02", "--text", dir.path().to_str().unwrap()];
    let told = said(&args, alone(dir.path(), &args, None));
    assert!(told.contains("was killed"), "{told}");
    assert_eq!(told.matches("The answer is the undisturbed one, to the last bit.").count(), 2, "{told}");
}
