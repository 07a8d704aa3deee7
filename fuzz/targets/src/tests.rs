mod mutate;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use self::mutate::{Random, mutated};
use crate::{TARGETS, Target};

/// How many mutated seeds each target meets: seconds, all together.
const INPUTS: u64 = 3_000;

/// The bytes that a target did not stand are printed: put them among its
/// seeds, or give them to `cargo fuzz run`.
fn check(target: &Target, bytes: &[u8]) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| (target.run)(bytes))) {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        eprintln!("{} does not stand {} bytes: {hex}", target.name, bytes.len());
        resume_unwind(panic);
    }
}

fn short_run(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).unwrap();
    let seeds = (target.seeds)();
    assert!(!seeds.is_empty());
    check(target, &[]);
    for seed in &seeds {
        check(target, seed);
    }
    for n in 0..INPUTS {
        check(target, &mutated(&seeds, &mut Random(n)));
    }
}

macro_rules! short_runs {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                short_run(stringify!($name));
            }
        )*

        #[test]
        fn every_target_has_a_short_run() {
            assert_eq!(TARGETS.iter().map(|target| target.name).collect::<Vec<_>>(), [$(stringify!($name)),*]);
        }
    };
}

short_runs! {
    mux admission gossip_frames flow_frames call_heads gossip request answer flow_header flow_answer kept swim register
    job log text
}

#[test]
fn every_target_can_be_run_by_cargo_fuzz() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let manifest = std::fs::read_to_string(format!("{folder}/Cargo.toml")).unwrap();
    for Target { name, .. } in TARGETS {
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} is not in fuzz/Cargo.toml");
        let file = std::fs::read_to_string(format!("{folder}/fuzz_targets/{name}.rs")).unwrap();
        assert!(file.contains(&format!("shoal_fuzz::run(\"{name}\", bytes)")), "{name}.rs runs something else");
    }
}
