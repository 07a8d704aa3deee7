//! Fewer of a list, while what is left still does it.

use shoal_types::Result;

/// Leaves out ever smaller pieces, from a half down to single items, in the
/// manner of delta debugging (Zeller and Hildebrandt 2002). `does` tells
/// whether what is left still does it, or `None` to end here.
///
/// Whether it came to its end: then no single item can be left out.
pub(super) fn fewer<T: Clone>(
    items: &[T],
    mut does: impl FnMut(&[T]) -> Result<Option<bool>>,
) -> Result<Option<Vec<T>>> {
    let mut left = items.to_vec();
    // Often it takes none of them.
    match does(&[])? {
        Some(true) => return Ok(Some(Vec::new())),
        Some(false) => {}
        None => return Ok(None),
    }
    let mut piece = left.len().div_ceil(2);
    while piece > 0 && left.len() > 1 {
        let (before, mut start) = (left.len(), 0);
        while start < left.len() {
            let end = (start + piece).min(left.len());
            let without: Vec<T> = left[..start].iter().chain(&left[end..]).cloned().collect();
            // None at all has been tried.
            let needed = without.is_empty()
                || match does(&without)? {
                    Some(does) => !does,
                    None => return Ok(None),
                };
            if needed {
                start = end;
            } else {
                left = without;
            }
        }
        let reduced = left.len() < before;
        piece = match piece {
            1 if reduced => 1,
            larger => larger / 2,
        };
        piece = piece.min(left.len());
    }
    Ok(Some(left))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is left of 0..count, and in how many tries, if all of `needed` are needed.
    fn check(count: u32, needed: &[u32], tries_max: usize) {
        let items: Vec<u32> = (0..count).collect();
        let mut tries = 0;
        let left = fewer(&items, |left| {
            tries += 1;
            Ok(Some(needed.iter().all(|item| left.contains(item))))
        });
        assert_eq!(left.unwrap().unwrap(), needed, "of {count}");
        assert!(tries <= tries_max, "{tries} tries for {needed:?} of {count}");
    }

    #[test]
    fn only_what_is_needed_is_left() {
        check(0, &[], 1);
        check(26, &[], 1);
        check(1, &[0], 1);
        check(26, &[25], 20);
        check(26, &[3, 9, 17], 40);
        check(26, &(0..26).collect::<Vec<_>>(), 80);
        check(1000, &[3, 500, 999], 120);
    }

    #[test]
    fn it_ends_when_it_is_told_to() {
        let mut tries = 0;
        let left = fewer(&[1, 2, 3, 4], |_| {
            tries += 1;
            Ok((tries < 3).then_some(false))
        });
        assert_eq!(left, Ok(None));
        assert_eq!(tries, 3);
    }
}
