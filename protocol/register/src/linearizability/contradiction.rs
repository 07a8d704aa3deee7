use super::{Kind, Op, Verdict, judge};

/// A few operations of a history that cannot all be true, in the order in
/// which they began; `None` when one register could have shown it.
///
/// Less is claimed of one operation after the other for as long as what is
/// left contradicts itself: that it looked at all, that its write found what it
/// should, that it took effect in time. So no operation can be left out of what comes back without
/// the contradiction going away; writes of which all that matters is that
/// nobody else wrote what was seen are in it too.
pub fn contradiction(history: &[Op]) -> Option<Vec<usize>> {
    let (order, verdict) = judge(history);
    let Verdict::Broken { at } = verdict else {
        return None;
    };
    let end = history[order[at]].returned.unwrap_or(u64::MAX);
    let mut claims = Claims(
        order
            .into_iter()
            .map(|at| (at, history[at]))
            .filter(|(_, op)| op.invoked <= end)
            .filter_map(|(at, op)| {
                let in_time = op.returned.is_some_and(|returned| returned <= end);
                if in_time { Some((at, op)) } else { weaker(op).map(|op| (at, op)) }
            })
            .collect(),
    );
    // Looks first: of what is left each is needed to pin down some write.
    claims.weaken(is_look, weaker);
    // Conditions of many writes of unknown end make a long search.
    claims.weaken(is_conditional, |op| Some(unconditional(op)));
    claims.weaken(|op| op.returned.is_some(), weaker);
    claims.weaken(is_look, weaker);
    claims.drop_useless();
    Some(claims.0.into_iter().map(|(at, _)| at).collect())
}

/// Operations by their numbers, in the order in which they began.
struct Claims(Vec<(usize, Op)>);

impl Claims {
    fn contradict(&self) -> bool {
        let ops: Vec<Op> = self.0.iter().map(|(_, op)| *op).collect();
        matches!(judge(&ops).1, Verdict::Broken { .. })
    }

    /// Claims less of those that `may` be weakened: of half of them, of a
    /// quarter, in the end of one by one.
    fn weaken(&mut self, may: impl Fn(&Op) -> bool, weaker: impl Fn(Op) -> Option<Op>) {
        let mut tried: Vec<usize> = self.0.iter().filter(|(_, op)| may(op)).map(|(at, _)| *at).collect();
        let mut length = tried.len().div_ceil(2);
        while length > 0 {
            let mut kept = Vec::new();
            for some in tried.chunks(length) {
                let fewer = self.less(some, &weaker);
                if fewer.contradict() {
                    *self = fewer;
                } else {
                    kept.extend_from_slice(some);
                }
            }
            tried = kept;
            length = if length == 1 { 0 } else { length.div_ceil(2) };
        }
    }

    /// With less claimed of some.
    fn less(&self, some: &[usize], weaker: impl Fn(Op) -> Option<Op>) -> Self {
        let less = |(at, op): &(usize, Op)| {
            let op = if some.contains(at) { weaker(*op) } else { Some(*op) };
            op.map(|op| (*at, op))
        };
        Self(self.0.iter().filter_map(less).collect())
    }

    /// Writes of unknown end which explain nothing that anybody saw.
    fn drop_useless(&mut self) {
        loop {
            let explains = |at: usize, op: &Op| {
                op.kind.makes().is_some_and(|value| {
                    let others = self.0.iter().filter(|(other, _)| *other != at).map(|(_, other)| other.kind);
                    others.filter(|kind| !kind.is_unconditional()).any(|kind| kind.apply(value).is_some())
                })
            };
            let kept: Vec<(usize, Op)> =
                self.0.iter().copied().filter(|(at, op)| op.returned.is_some() || explains(*at, op)).collect();
            if kept.len() == self.0.len() {
                return;
            }
            self.0 = kept;
        }
    }
}

/// Less than was claimed: a look is nothing, a write may have come at any time or never.
fn weaker(op: Op) -> Option<Op> {
    op.kind.makes().map(|_| Op { returned: None, ..op })
}

fn is_look(op: &Op) -> bool {
    op.kind.makes().is_none()
}

fn is_conditional(op: &Op) -> bool {
    !is_look(op) && !op.kind.is_unconditional()
}

/// The same write, whatever it found.
fn unconditional(op: Op) -> Op {
    let kind = match op.kind.makes() {
        Some(Some(new)) => Kind::Write { new },
        Some(None) => Kind::Remove { was_there: None },
        None => op.kind,
    };
    Op { kind, ..op }
}
