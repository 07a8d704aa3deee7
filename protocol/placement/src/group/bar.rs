use super::Class;
use crate::straw::Straw;

/// How good a straw has to be to be looked at. Whoever does not reach it is
/// worse than everyone who does and is within the horizon.
#[derive(Debug, Clone)]
pub(super) struct Bar {
    /// About how many reach it.
    pub(super) expected: usize,
    /// For each class, the hash above which its members reach it.
    pub(super) hashes: Vec<u64>,
    /// The best straw that anybody may have who does not reach it. `None` if
    /// hashes alone tell: of a single class, or when everybody does.
    pub(super) horizon: Option<Straw>,
}

impl Bar {
    /// How many are to reach the first bar that is tried, per replica. More are
    /// dearer to rank, fewer are too few more often.
    pub(super) const EXPECTED_PER_REPLICA: usize = 2;
    /// By how many steps it is lowered when they are too few.
    pub(super) const LOWERED_BY: usize = 2;

    /// How many reach the highest bar. Each lower one twice as many reach.
    const EXPECTED_MIN: usize = 8;

    /// From the highest on, while half of the members or fewer reach it.
    pub(super) fn all(classes: &[Class]) -> Vec<Self> {
        let most = count(classes) / 2;
        let expected = std::iter::successors(Some(Self::EXPECTED_MIN), |expected| expected.checked_mul(2));
        expected.take_while(|expected| *expected <= most).map(|expected| Self::new(classes, expected)).collect()
    }

    /// The one that everybody reaches.
    pub(super) fn lowest(classes: &[Class]) -> Self {
        Self { expected: count(classes), hashes: vec![0; classes.len()], horizon: None }
    }

    /// One that about `expected` members reach, at most half of all.
    ///
    /// It is computed in floating point, and may differ between two machines:
    /// it decides how many are looked at, not what is found.
    fn new(classes: &[Class], expected: usize) -> Self {
        let wanted = expected as f64;
        let weight: f64 = classes.iter().map(|class| class.members.len() as f64 * f64::from(class.weight)).sum();
        // A straw of weight w is shorter than a length l with probability 1 - e^(-l w).
        let reached = |length: f64| -> f64 {
            let reach = |class: &Class| class.members.len() as f64 * -(-length * f64::from(class.weight)).exp_m1();
            classes.iter().map(reach).sum()
        };
        // Too few if some are so heavy that they are nearly always among them.
        let mut length = wanted / weight;
        while reached(length) < 0.75 * wanted {
            length *= 1.25;
        }
        let hash = |class: &Class| ((-length * f64::from(class.weight)).exp() * 2f64.powi(64)) as u64;
        let hashes: Vec<u64> = classes.iter().map(hash).collect();
        Self::at(expected, hashes, classes)
    }

    /// One at a hash for each class.
    pub(super) fn at(expected: usize, hashes: Vec<u64>, classes: &[Class]) -> Self {
        let missed = classes.iter().zip(&hashes).filter(|(_, hash)| **hash > 0);
        let horizon = missed.map(|(class, hash)| Straw::new(*hash, class.weight)).min();
        Self { expected, hashes, horizon: horizon.filter(|_| classes.len() > 1) }
    }
}

fn count(classes: &[Class]) -> usize {
    classes.iter().map(|class| class.members.len()).sum()
}
