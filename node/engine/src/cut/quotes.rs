//! Where, in bytes that come in pieces, the records of a CSV end.

use memchr::{memchr, memrchr};

/// What may stand before a file's first byte.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Whether a quote behind that byte opens a quoted field: only at the
/// beginning of one. Anywhere else, as in `5" disk`, it is a byte like others.
pub(super) fn opens(before: u8, delimiter: u8) -> bool {
    matches!(before, b'\n' | b'\r') || before == delimiter
}

/// Whether these bytes are a byte order mark, and nothing else.
pub(super) fn is_mark(bytes: &[u8]) -> bool {
    bytes == BYTE_ORDER_MARK
}

/// Follows the quotes of a CSV, by the rule of whoever cuts it
/// ([`Rule::Csv`](super::scan::Rule::Csv)), through pieces that begin with a record.
#[derive(Debug)]
pub(crate) struct Quotes {
    delimiter: u8,
    /// The first bytes, as long as they may be a byte order mark.
    mark: Option<usize>,
    before: u8,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Outside,
    Inside,
    /// Behind a quote that closes, unless another one follows.
    Closing,
}

impl Quotes {
    pub(crate) fn new(delimiter: u8) -> Self {
        Self { delimiter, mark: Some(0), before: b'\n', state: State::Outside }
    }

    /// Takes the next bytes. Gives behind which of them the last record ends, if one does.
    pub(crate) fn advance(&mut self, bytes: &[u8]) -> Option<usize> {
        let (mut at, mut end) = (self.pass_mark(bytes), None);
        while at < bytes.len() {
            let quote = || memchr(b'"', &bytes[at..]).map(|found| at + found);
            match self.state {
                State::Outside => {
                    let found = quote();
                    let to = found.unwrap_or(bytes.len());
                    end = memrchr(b'\n', &bytes[at..to]).map(|newline| at + newline + 1).or(end);
                    self.before = if to > at { bytes[to - 1] } else { self.before };
                    if found.is_some() {
                        let is_open = opens(self.before, self.delimiter);
                        (self.before, self.state) = (b'"', if is_open { State::Inside } else { State::Outside });
                    }
                    at = to + 1;
                }
                State::Inside => match quote() {
                    Some(quote) => (at, self.state) = (quote + 1, State::Closing),
                    None => at = bytes.len(),
                },
                State::Closing if bytes[at] == b'"' => (at, self.state) = (at + 1, State::Inside),
                State::Closing => (self.before, self.state) = (b'"', State::Outside),
            }
        }
        end
    }

    /// Whether the bytes up to now end within quotes.
    pub(crate) fn is_open(&self) -> bool {
        self.state == State::Inside
    }

    fn pass_mark(&mut self, bytes: &[u8]) -> usize {
        let Some(seen) = self.mark else { return 0 };
        let wanted = &BYTE_ORDER_MARK[seen..];
        let passed = wanted.iter().zip(bytes).take_while(|(wanted, byte)| wanted == byte).count();
        let is_whole = passed == wanted.len();
        self.before = if is_whole { b'\n' } else { bytes[..passed].last().copied().unwrap_or(self.before) };
        self.mark = (!is_whole && passed == bytes.len()).then_some(seen + passed);
        passed
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cut::scan::{Rule, ends_record};

    fn ends(text: &[u8], piece: usize) -> (usize, bool) {
        let (mut quotes, mut at, mut end) = (Quotes::new(b','), 0, 0);
        for piece in text.chunks(piece) {
            end = quotes.advance(piece).map_or(end, |in_piece| at + in_piece);
            at += piece.len();
        }
        (end, quotes.is_open())
    }

    #[test]
    fn a_record_ends_at_a_newline_outside_quotes() {
        for (text, expected) in [
            ("a,b\n1,\"x\ny", (4, true)),
            ("a\n5\" disk\nb", (10, false)),
            ("5\" disk,\"\n\"\nb", (12, false)),
            ("\"a\"\"\n\"\nb", (7, false)),
            ("\"a\"b\"\nc", (6, false)),
            ("\u{feff}\"a\nb", (0, true)),
            ("a\u{feff}\"a\nb", (7, false)),
            ("", (0, false)),
        ] {
            for piece in 1..=text.len().max(1) {
                assert_eq!(ends(text.as_bytes(), piece), expected, "{text:?} in pieces of {piece}");
            }
        }
    }

    proptest! {
        #[test]
        fn it_is_where_the_cutter_has_it(text in "(\u{feff})?[a,\"\r\n]{0,40}", piece in 1usize..9) {
            let text = text.as_bytes();
            let (end, _) = ends(text, piece);
            let rule = Rule::Csv { delimiter: b',' };
            let last = (0..=text.len()).rev().find(|to| *to == 0 || text[to - 1] == b'\n' && ends_record(rule, &text[..*to]));
            prop_assert_eq!(Some(end), last);
        }
    }
}
