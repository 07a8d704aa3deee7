//! The `Range` header: which bytes of an object are wanted.

/// What a `Range` header asks for, before the length is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// From the first offset to the last, both included.
    Between(u64, u64),
    /// From an offset to the end.
    From(u64),
    /// The last so many bytes.
    Last(u64),
}

/// What is there of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

impl Wanted {
    /// A header's one range. Anything else (several ranges, other units, not
    /// a range at all) is `None`, and then the whole object is answered, as
    /// RFC 9110 section 14.2 allows.
    pub(crate) fn parse(header: &str) -> Option<Self> {
        let (first, last) = header.trim().strip_prefix("bytes=")?.split_once('-')?;
        match (first.trim(), last.trim()) {
            ("", last) => Some(Self::Last(number(last)?)),
            (first, "") => Some(Self::From(number(first)?)),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(Self::Between(first, last))
            }
        }
    }

    /// The part of an object of `bytes` that is meant; `None` when nothing is.
    pub(crate) fn of(self, bytes: u64) -> Option<Part> {
        let (offset, end) = match self {
            Self::Between(first, last) => (first, last.saturating_add(1).min(bytes)),
            Self::From(first) => (first, bytes),
            Self::Last(count) => (bytes.saturating_sub(count), bytes),
        };
        (offset < end).then(|| Part { offset, length: end - offset })
    }
}

/// Digits only: `+5` and ` 5` are not numbers in a header.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_is_understood_and_the_rest_ignored() {
        let cases = [
            ("bytes=0-4", Some(Wanted::Between(0, 4))),
            ("bytes=5-", Some(Wanted::From(5))),
            ("bytes=-3", Some(Wanted::Last(3))),
            ("bytes=4-2", None),
            ("bytes=0-1,3-4", None),
            ("bytes=-", None),
            ("bytes=+1-2", None),
            ("lines=0-1", None),
            ("bytes=99999999999999999999-", None),
        ];
        for (header, wanted) in cases {
            assert_eq!(Wanted::parse(header), wanted, "{header}");
        }
    }

    #[test]
    fn a_range_is_cut_to_the_object_and_none_is_left_past_its_end() {
        assert_eq!(Wanted::Between(2, 99).of(5), Some(Part { offset: 2, length: 3 }));
        assert_eq!(Wanted::Between(0, u64::MAX).of(5), Some(Part { offset: 0, length: 5 }));
        assert_eq!(Wanted::Last(99).of(5), Some(Part { offset: 0, length: 5 }));
        assert_eq!(Wanted::From(5).of(5), None);
        assert_eq!(Wanted::Last(0).of(5), None);
        assert_eq!(Wanted::Last(1).of(0), None);
    }
}
