//! A name is one register, whoever dies, stops or is cut off: what clients saw
//! of it at any peers could have been done on one machine, one after the other.

mod client;
mod crowd;
mod history;

use std::process::Command;
use std::thread::scope;
use std::time::Duration;

use client::Asker;
use crowd::{Asks, Crowd, IMPATIENT, NAMES, PATIENT};
use history::{Answer, Asked, History};
use shoal_gateway::ClientError;
use shoal_types::Error;

use crate::lan::{Lan, Machine};
use crate::machines;
use crate::mesh::{Mesh, Peer, wait};

/// Answers that each peer must give in each phase of a test.
const ANSWERS: usize = 12;

/// How long a phase lasts, on a machine that has nothing else to do.
const PHASE: Duration = Duration::from_millis(2_500);

/// Asks each of these peers what each name stands for, until it says so.
fn ask_everybody(crowd: &Crowd, asker: &mut Asker, places: &[usize]) {
    for at in 0..NAMES {
        for place in places {
            wait(&format!("peer {place} to answer"), || {
                crowd.ask(asker, *place, at, Asked::Get).is_certain().then_some(())
            });
        }
    }
}

/// Each kind of question was answered in each way that there is.
fn every_kind_occurred(history: &History) {
    let tally = history.tally();
    let told: Vec<String> = tally.iter().map(|((asked, answer), times)| format!("{asked}: {answer} {times}")).collect();
    eprintln!("{} questions: {}", history.asked(), told.join(", "));
    for (asked, answers) in [
        ("get", &["saw something", "saw nothing"][..]),
        ("put", &["done"]),
        ("put if absent", &["done", "refused"]),
        ("put if match", &["done", "refused"]),
        ("remove", &["done", "absent"]),
        ("remove if match", &["done"]),
    ] {
        for answer in answers {
            let times = tally.get(&(asked, *answer)).copied().unwrap_or_default();
            assert!(times >= 3, "{asked}, {answer}: only {times} times of {tally:?}");
        }
    }
    let unknown: usize = tally.iter().filter(|((_, answer), _)| *answer == "unknown").map(|(_, times)| times).sum();
    assert!(unknown * 5 < history.asked(), "too much is unknown for the history to say something: {tally:?}");
}

fn signal(peer: &Peer, signal: &str) {
    assert!(Command::new("kill").args([signal, &peer.pid().to_string()]).status().unwrap().success());
}

#[test]
fn what_clients_see_of_names_is_linearizable_while_peers_are_killed_and_stopped() {
    let mut mesh = Mesh::of(5);
    let everybody = [0, 1, 2, 3, 4];
    let gateways = mesh.peers.iter().map(|peer| peer.gateway.clone()).collect();
    // One at each peer, who waits, and two who go from peer to peer.
    let stays = everybody.iter().map(|place| Asks { at: vec![*place], patience: PATIENT, machine: None });
    let roams = (0..2).map(|_| Asks { at: everybody.to_vec(), patience: IMPATIENT, machine: None });
    let history = Crowd::during(gateways, stays.chain(roams).collect(), |crowd| {
        crowd.goes_on("all is well", &everybody, ANSWERS, PHASE);
        for dead in [&[4][..], &[0, 2]] {
            for at in dead {
                mesh.peers[*at].kill();
            }
            let alive: Vec<usize> = everybody.into_iter().filter(|place| !dead.contains(place)).collect();
            crowd.goes_on(&format!("peers {dead:?} are dead"), &alive, ANSWERS, PHASE);
            for at in dead {
                mesh.restart(*at);
                crowd.moved(*at, mesh.peers[*at].gateway.clone());
            }
            crowd.goes_on(&format!("peers {dead:?} are back"), &everybody, ANSWERS, PHASE);
        }
        signal(&mesh.peers[1], "-STOP");
        crowd.goes_on("peer 1 has stopped", &[0, 2, 3, 4], ANSWERS, 2 * PHASE);
        signal(&mesh.peers[1], "-CONT");
        crowd.goes_on("peer 1 goes on", &everybody, ANSWERS, PHASE);
        ask_everybody(crowd, &mut Asker::new(PATIENT), &everybody);
    });
    every_kind_occurred(&history);
    history.check();
}

/// Waits until all that is asked of names at a peer ends for want of a quorum.
fn has_no_quorum(crowd: &Crowd, machine: &Machine, place: usize) {
    let new = || crowd.history.fresh();
    let questions = |_| [Asked::Get, Asked::Put { new: new() }, Asked::PutIfAbsent { new: new() }, Asked::Remove];
    // All at once: each may take as long as the peer waits for the others.
    scope(|scope| {
        for (at, asked) in (0..NAMES).flat_map(|at| questions(at).map(|asked| (at, asked))) {
            scope.spawn(move || {
                machine.enter();
                let mut asker = Asker::new(PATIENT);
                // What was on its way as the cable broke may end otherwise.
                let what = format!("peer {place} to have no quorum for {asked:?} of name {at}");
                wait(&what, || {
                    let answer = crowd.ask(&mut asker, place, at, asked);
                    assert!(!answer.is_certain(), "peer {place} decides alone: {asked:?} -> {answer:?}");
                    let is_it = matches!(answer, Answer::Failed(ClientError::Shoal(Error::NoQuorum { .. })));
                    if !is_it {
                        eprintln!("peer {place}, name {at}: {asked:?} -> {answer:?}");
                    }
                    is_it.then_some(())
                });
            });
        }
    });
}

#[test]
fn what_clients_see_of_names_is_linearizable_while_a_minority_is_cut_off() {
    let mut lan = match Lan::of(5) {
        Ok(lan) => lan,
        Err(why) => {
            eprintln!("SKIPPED: no network namespaces here ({})", why.trim());
            return;
        }
    };
    lan.machines.iter_mut().for_each(Machine::up);
    machines::settle(&lan.machines);
    let everybody = [0, 1, 2, 3, 4];
    let gateways = lan.machines.iter().map(|machine| machine.gateway().unwrap()).collect();
    let on = |place: usize| Asks { at: vec![place], patience: PATIENT, machine: Some(&lan.machines[place]) };
    let clients = everybody.into_iter().chain([1, 2]).map(on).collect();
    let history = Crowd::during(gateways, clients, |crowd| {
        crowd.goes_on("all is well", &everybody, ANSWERS, PHASE);
        lan.cut(&[3, 4]);
        crowd.goes_on("3 and 4 are cut off", &[0, 1, 2], ANSWERS, PHASE);
        scope(|scope| {
            for place in [3, 4] {
                let machine = &lan.machines[place];
                scope.spawn(move || has_no_quorum(crowd, machine, place));
            }
        });
        let decided = [3, 4].map(|place| crowd.history.decided_at(place));
        crowd.goes_on("3 and 4 know that they are", &[0, 1, 2], ANSWERS, PHASE);
        assert_eq!(decided, [3, 4].map(|place| crowd.history.decided_at(place)), "a minority has decided something");
        lan.cut(&[]);
        crowd.goes_on("they are back", &everybody, ANSWERS, PHASE);
        lan.cut(&[0, 1]);
        crowd.goes_on("0 and 1 are cut off", &[2, 3, 4], ANSWERS, PHASE);
        lan.cut(&[]);
        crowd.goes_on("those are back", &everybody, ANSWERS, PHASE);
        for place in everybody {
            scope(|scope| {
                scope.spawn(|| {
                    lan.machines[place].enter();
                    ask_everybody(crowd, &mut Asker::new(PATIENT), &[place]);
                });
            });
        }
    });
    every_kind_occurred(&history);
    history.check();
}
