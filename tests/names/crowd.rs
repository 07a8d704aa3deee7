//! Several clients at several peers, for as long as a test makes trouble.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::{Scope, scope, sleep};
use std::time::{Duration, Instant};

use shoal_types::ObjectName;

use super::client::Asker;
use super::history::{Answer, Asked, Event, History};
use crate::lan::Machine;
use crate::mesh::wait;

/// Names that all ask for. Few, so that they get in each other's way.
pub(crate) const NAMES: usize = 3;

/// Between two questions of one client: the histories shall stay short.
const PAUSE: Duration = Duration::from_millis(50);

/// Between two questions, the first of which nobody took.
const PAUSE_FAILED: Duration = Duration::from_millis(150);

/// Longer than a peer may take for an operation on a name, its turn included.
pub(crate) const PATIENT: Duration = Duration::from_secs(25);

/// For one who does not wait for a peer that has stopped.
pub(crate) const IMPATIENT: Duration = Duration::from_secs(5);

pub(crate) fn name(at: usize) -> ObjectName {
    ObjectName::new(format!("b/contended-{at}")).unwrap()
}

/// One client.
pub(crate) struct Asks<'a> {
    /// The peers that it asks in turn, by their places.
    pub(crate) at: Vec<usize>,
    pub(crate) patience: Duration,
    /// Where it runs, if those have networks of their own.
    pub(crate) machine: Option<&'a Machine>,
}

/// What clients and the troublemaker share.
pub(crate) struct Crowd {
    pub(crate) history: History,
    /// Where each peer's gateway is now.
    gateways: Mutex<Vec<String>>,
    is_over: AtomicBool,
}

impl Crowd {
    /// Has clients ask while `trouble` goes on; gives what they were told.
    pub(crate) fn during(gateways: Vec<String>, clients: Vec<Asks<'_>>, trouble: impl FnOnce(&Self)) -> History {
        let crowd = Self { history: History::new(), gateways: Mutex::new(gateways), is_over: AtomicBool::new(false) };
        scope(|scope| {
            let _end = End(&crowd);
            for (seed, client) in (1..).zip(clients) {
                crowd.spawn(scope, seed, client);
            }
            trouble(&crowd);
        });
        crowd.history
    }

    fn spawn<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>, seed: u64, client: Asks<'scope>) {
        scope.spawn(move || {
            if let Some(machine) = client.machine {
                machine.enter();
            }
            let mut asker = Asker::new(client.patience);
            let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
            while !self.is_over.load(Ordering::Relaxed) {
                let place = client.at[dice.below(client.at.len() as u64) as usize];
                let name = dice.below(NAMES as u64) as usize;
                let asked = self.question(&mut dice, name);
                let answer = self.ask(&mut asker, place, name, asked);
                sleep(if answer.is_certain() { PAUSE } else { PAUSE_FAILED });
            }
        });
    }

    /// Asks, and notes what came of it.
    pub(crate) fn ask(&self, asker: &mut Asker, place: usize, at: usize, asked: Asked) -> Answer {
        let gateway = self.gateway(place);
        let invoked = self.history.now();
        let answer = asker.ask(&gateway, &self.history, &name(at), asked);
        let returned = self.history.now();
        self.history.note(Event { name: at, place, asked, answer: answer.clone(), invoked, returned });
        answer
    }

    fn question(&self, dice: &mut Dice, name: usize) -> Asked {
        let (die, new) = (dice.below(100), || self.history.fresh());
        match (die, self.history.seen(name)) {
            (0..30, _) => Asked::Get,
            (30..42, _) => Asked::Put { new: new() },
            (42..50, _) => Asked::Remove,
            (50..68, _) | (_, None) => Asked::PutIfAbsent { new: new() },
            (68..86, Some(expected)) => Asked::PutIfMatch { expected, new: new() },
            (_, Some(expected)) => Asked::RemoveVersion { expected },
        }
    }

    pub(crate) fn gateway(&self, place: usize) -> String {
        self.gateways.lock().unwrap_or_else(PoisonError::into_inner)[place].clone()
    }

    /// A peer was started again: its gateway is elsewhere.
    pub(crate) fn moved(&self, place: usize, gateway: String) {
        self.gateways.lock().unwrap_or_else(PoisonError::into_inner)[place] = gateway;
    }

    /// Waits for so long, and until each of these peers has given so many
    /// answers behind which a quorum stood, and names were changed as often.
    pub(crate) fn goes_on(&self, while_: &str, places: &[usize], answers: usize, at_least: Duration) {
        let began = Instant::now();
        let before: Vec<usize> = places.iter().map(|place| self.history.decided_at(*place)).collect();
        let (changes, asked) = (self.history.changes(), self.history.asked());
        for (place, before) in places.iter().zip(before) {
            wait(&format!("peer {place} to answer while {while_}: {:?}", self.history.tally()), || {
                (self.history.decided_at(*place) >= before + answers).then_some(())
            });
        }
        wait(&format!("names to change while {while_}"), || {
            (self.history.changes() >= changes + answers).then_some(())
        });
        sleep(at_least.saturating_sub(began.elapsed()));
        let (changes, asked) = (self.history.changes() - changes, self.history.asked() - asked);
        eprintln!("{while_}: {asked} questions, {changes} changes in {:.1} s", began.elapsed().as_secs_f64());
    }
}

/// The clients stop, also when the test has failed.
struct End<'a>(&'a Crowd);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::Relaxed);
    }
}

/// Xorshift (Marsaglia 2003): enough for questions.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}
