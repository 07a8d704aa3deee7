//! Sets of numbers as people write them: `3,5,8-11`; the empty one is `none`.

use std::collections::BTreeSet;

/// No run has more faults.
const MOST: usize = 1_000_000;

pub(super) fn print(numbers: &BTreeSet<usize>) -> String {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == *number => *last = *number,
            Some(_) | None => ranges.push((*number, *number)),
        }
    }
    if ranges.is_empty() {
        return "none".to_owned();
    }
    let text = ranges.into_iter().map(|(first, last)| match last - first {
        0 => first.to_string(),
        1 => format!("{first},{last}"),
        _ => format!("{first}-{last}"),
    });
    text.collect::<Vec<_>>().join(",")
}

pub(super) fn parse(text: &str) -> Option<BTreeSet<usize>> {
    if text == "none" {
        return Some(BTreeSet::new());
    }
    let mut numbers = BTreeSet::new();
    for range in text.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        if first > last || last > MOST {
            return None;
        }
        numbers.extend(first..=last);
    }
    Some(numbers)
}
