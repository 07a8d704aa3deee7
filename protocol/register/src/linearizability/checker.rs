use std::collections::{BTreeMap, BTreeSet};

use super::{Kind, Op, Value};

/// Orders of operations tried for one of them, before it is given up.
const STATES_MAX: usize = 20_000;

/// Follows the history of one register as it grows: what is settled is not
/// looked at again, so the cost is that of the new operations.
///
/// An operation whose end is not known stays a possibility for ever. It is
/// thought to have taken effect only where something was seen that needs it:
/// elsewhere it may as well have come later, or never.
#[derive(Debug, Clone)]
pub struct Checker {
    /// Operations of the history that have begun.
    begun: usize,
    /// Those of them that are not over, by number.
    open: BTreeMap<usize, Kind>,
    /// Those that nobody knows the end of, by number and by what they make.
    unknown: BTreeMap<usize, Kind>,
    makers: BTreeMap<Value, BTreeSet<usize>>,
    /// When they are over, and which.
    ends: BTreeSet<(u64, usize)>,
    /// Every way in which it may stand now.
    states: BTreeSet<State>,
    verdict: Verdict,
}

/// What may be true of the operations so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// One register could have shown them.
    Holds,
    /// None could: this operation, by its number in the history, cannot have
    /// ended as it did.
    Broken { at: usize },
    /// Too many went on at once, from this one on.
    TooHard { at: usize },
}

/// One way in which the register may stand.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
struct State {
    value: Value,
    /// Operations that have taken effect and are not over, sorted.
    done: Vec<usize>,
}

impl State {
    fn has(&self, op: usize) -> bool {
        self.done.binary_search(&op).is_ok()
    }

    fn after(&self, value: Value, ops: impl IntoIterator<Item = usize>) -> Self {
        let mut done = self.done.clone();
        done.extend(ops);
        done.sort_unstable();
        Self { value, done }
    }
}

impl Default for Checker {
    /// Of a register that holds nothing.
    fn default() -> Self {
        Self {
            begun: 0,
            open: BTreeMap::new(),
            unknown: BTreeMap::new(),
            makers: BTreeMap::new(),
            ends: BTreeSet::new(),
            states: BTreeSet::from([State::default()]),
            verdict: Verdict::Holds,
        }
    }
}

impl Checker {
    /// Goes on to the moment `until`, with what of `history` began or ended
    /// before it. The history is in the order in which operations began; what
    /// was there at an earlier call is there, and the outcome of whatever
    /// began before `until` is final.
    pub fn go_on(&mut self, history: &[Op], until: u64) -> Verdict {
        while self.verdict == Verdict::Holds {
            let begins = history.get(self.begun).map(|op| op.invoked).filter(|at| *at < until);
            let ends = self.ends.first().copied().filter(|(at, _)| *at < until);
            match (begins, ends) {
                // Of one moment, beginnings come first: that allows more.
                (Some(begins), ends) if ends.is_none_or(|(at, _)| begins <= at) => self.begin(history[self.begun]),
                (_, Some(end)) => {
                    self.ends.remove(&end);
                    self.end(end.1);
                }
                (_, None) => break,
            }
        }
        self.verdict
    }

    /// Operations that were looked at.
    pub fn begun(&self) -> usize {
        self.begun
    }

    fn begin(&mut self, op: Op) {
        let number = self.begun;
        self.begun += 1;
        match (op.returned, op.kind.makes()) {
            (Some(at), _) => {
                self.ends.insert((at, number));
                self.open.insert(number, op.kind);
            }
            (None, Some(value)) => {
                self.unknown.insert(number, op.kind);
                self.makers.entry(value).or_default().insert(number);
            }
            // Nobody knows what it saw: it says nothing.
            (None, None) => {}
        }
    }

    /// Keeps the states in which `op` has taken effect.
    fn end(&mut self, op: usize) {
        let mut visited = BTreeSet::new();
        let mut kept = BTreeSet::new();
        let mut left: Vec<State> = std::mem::take(&mut self.states).into_iter().map(|state| self.look(state)).collect();
        while let Some(state) = left.pop() {
            if state.has(op) {
                let done = state.done.iter().copied().filter(|other| *other != op).collect();
                kept.insert(State { done, ..state });
                continue;
            }
            if visited.len() > STATES_MAX {
                self.verdict = Verdict::TooHard { at: op };
                return;
            }
            if !visited.insert(state.clone()) {
                continue;
            }
            for (number, kind) in self.open.iter().filter(|(number, _)| !state.has(**number)) {
                for (value, needed) in self.ways(&state, *kind, &[]) {
                    let next = state.after(value, needed.into_iter().chain([*number]));
                    left.push(self.look(next));
                }
            }
        }
        self.open.remove(&op);
        if kept.is_empty() {
            self.verdict = Verdict::Broken { at: op };
        }
        self.states = kept;
        self.forget();
    }

    /// Has everything look that sees what it saw: it changes nothing, so it
    /// may as well be now.
    fn look(&self, state: State) -> State {
        let looks = self.open.iter().filter(|(number, kind)| {
            kind.makes().is_none() && kind.apply(state.value).is_some() && !state.has(**number)
        });
        let looked: Vec<usize> = looks.map(|(number, _)| *number).collect();
        if looked.is_empty() { state } else { state.after(state.value, looked) }
    }

    /// How an operation can take effect: the value after it, and which of
    /// those of unknown end must have done so just before, beside `used`.
    fn ways(&self, state: &State, kind: Kind, used: &[usize]) -> Vec<(Value, Vec<usize>)> {
        if let Some(value) = kind.apply(state.value) {
            return vec![(value, Vec::new())];
        }
        let mut ways = Vec::new();
        let makers: Vec<(Value, &BTreeSet<usize>)> = match kind.needs() {
            Some(value) => self.makers.get(&value).map(|makers| (value, makers)).into_iter().collect(),
            None => self.makers.iter().map(|(value, makers)| (*value, makers)).collect(),
        };
        for (made, makers) in makers {
            let Some(after) = kind.apply(made) else {
                continue;
            };
            let mut tried: Vec<Kind> = Vec::new();
            for maker in makers.iter().copied().filter(|maker| !state.has(*maker) && !used.contains(maker)) {
                // One remove is as good as another that asks for the same.
                let Some(how) = self.unknown.get(&maker).copied().filter(|how| !tried.contains(how)) else {
                    continue;
                };
                tried.push(how);
                let used: Vec<usize> = used.iter().copied().chain([maker]).collect();
                for (_, mut needed) in self.ways(state, how, &used) {
                    needed.push(maker);
                    ways.push((after, needed));
                }
            }
        }
        ways
    }

    /// What has taken effect in every state is no possibility any more.
    fn forget(&mut self) {
        let Some(first) = self.states.first() else {
            return;
        };
        let settled: Vec<usize> = first
            .done
            .iter()
            .copied()
            .filter(|op| self.unknown.contains_key(op))
            .filter(|op| self.states.iter().all(|state| state.has(*op)))
            .collect();
        if settled.is_empty() {
            return;
        }
        let states = std::mem::take(&mut self.states).into_iter();
        self.states = states
            .map(|mut state| {
                state.done.retain(|op| !settled.contains(op));
                state
            })
            .collect();
        for op in settled {
            let makes = self.unknown.remove(&op).and_then(Kind::makes);
            if let Some(makers) = makes.and_then(|value| self.makers.get_mut(&value)) {
                makers.remove(&op);
            }
        }
    }
}
