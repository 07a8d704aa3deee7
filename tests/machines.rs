//! Machines with addresses of their own find each other; cut off from each
//! other, a minority decides nothing, and afterwards there is one mesh again.

use crate::lan::{Lan, Machine};
use crate::mesh::{said, wait};

fn members(machine: &Machine, state: &str) -> Option<usize> {
    let status = machine.status()?;
    Some(status["members"].as_array()?.iter().filter(|member| member["state"] == state).count())
}

fn layout(machine: &Machine) -> Option<(u64, usize, bool)> {
    let layout = &machine.status()?["layout"];
    Some((layout["version"].as_u64()?, layout["members"].as_array()?.len(), layout["joint"] == true))
}

/// Waits until all are one mesh; gives the version of its layout.
pub(crate) fn settle(machines: &[Machine]) -> u64 {
    wait("all machines to be one mesh", || {
        let all: Option<Vec<_>> = machines.iter().map(layout).collect();
        let all = all?;
        let alive = machines.iter().all(|machine| members(machine, "alive") == Some(machines.len()));
        let same = all.iter().all(|layout| *layout == all[0]);
        (alive && same && all[0].1 == machines.len() && !all[0].2).then_some(all[0].0)
    })
}

#[test]
fn five_machines_find_each_other_are_cut_in_two_and_become_one_again() {
    let mut lan = match Lan::of(5) {
        Ok(lan) => lan,
        Err(why) => {
            eprintln!("SKIPPED: no network namespaces here ({})", why.trim());
            return;
        }
    };
    // Nothing but the secret: they find each other on the local network.
    lan.machines.iter_mut().for_each(Machine::up);
    let before = settle(&lan.machines);
    let file = lan.dir.path().join("f");
    std::fs::write(&file, vec![7u8; 2_000_000]).unwrap();
    let file = file.to_str().unwrap();
    let put = |machine: &Machine, name: &str| machine.shoal(&["put", file, name]);
    said(&["put"], put(&lan.machines[4], "b/before"));

    lan.cut(&[3, 4]);
    wait("the three to miss the two", || (members(&lan.machines[0], "dead") == Some(2)).then_some(()));
    wait("the two to miss the three", || (members(&lan.machines[4], "dead") == Some(3)).then_some(()));
    said(&["put"], put(&lan.machines[0], "b/during"));
    said(&["put"], put(&lan.machines[1], "b/before"));
    // Whether a name is among those that the two keep the most of is a matter of its hash.
    let names: Vec<String> = (0..6).map(|n| format!("b/cut-off-{n}")).collect();
    let outcomes: Vec<bool> = names.iter().map(|name| put(&lan.machines[3], name).status.success()).collect();
    assert_eq!(outcomes, [false; 6], "a minority decides no name");
    let now = wait("a status", || layout(&lan.machines[4]));
    assert_eq!(now, (before, 5, false), "a minority decides no layout");

    lan.cut(&[]);
    settle(&lan.machines);
    for machine in &lan.machines {
        for name in ["b/before", "b/during"] {
            assert_eq!(said(&["get"], machine.shoal(&["get", name, "-"])).len(), 2_000_000, "{}", machine.name);
        }
    }
    // Nor is anything half there: each sees the same names.
    let listed: Vec<String> = lan.machines.iter().map(|machine| said(&["ls"], machine.shoal(&["ls", "b/"]))).collect();
    assert!(listed.iter().all(|names| *names == listed[0]), "{listed:?}");
    said(&["put"], put(&lan.machines[3], "b/after"));
}
