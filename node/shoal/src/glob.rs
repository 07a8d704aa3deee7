//! Patterns of object names: `trips/2026-*.csv`.

use globset::{GlobBuilder, GlobMatcher};

use crate::failure::Failure;

/// What makes a word a pattern.
const SPECIAL: [char; 4] = ['*', '?', '[', '{'];

/// A pattern of names, as tables in a query have it: `*` and `?` stay within
/// a folder, `**` crosses folders, `[a-z]` and `{a,b}` are one of several.
#[derive(Debug, Clone)]
pub(crate) struct Glob {
    text: String,
    matcher: GlobMatcher,
}

impl Glob {
    /// Whether a word has anything in it that makes it a pattern.
    pub(crate) fn is_one(text: &str) -> bool {
        text.contains(SPECIAL)
    }

    /// # Errors
    /// Wrong usage, when it is not well formed: `a[`.
    pub(crate) fn new(text: &str) -> Result<Self, Failure> {
        let glob = GlobBuilder::new(text).literal_separator(true).build().map_err(|error| {
            Failure::usage(format!("'{text}' is not a pattern: {}", error.kind()), "for example 'trips/2026-*.csv'")
        })?;
        Ok(Self { text: text.to_owned(), matcher: glob.compile_matcher() })
    }

    /// Whether it looks like the name of an object that is not there: only
    /// brackets and braces make it a pattern.
    pub(crate) fn may_be_a_name(&self) -> bool {
        !self.text.contains(['*', '?'])
    }

    pub(crate) fn matches(&self, name: &str) -> bool {
        self.matcher.is_match(name)
    }

    /// What every name that matches begins with: so much less is listed.
    pub(crate) fn prefix(&self) -> &str {
        let end = self.text.find(|c| SPECIAL.contains(&c) || c == '\\').unwrap_or(self.text.len());
        &self.text[..end]
    }

    /// The folder, with its slash, that every name that matches is in.
    pub(crate) fn folder(&self) -> &str {
        let prefix = self.prefix();
        &prefix[..prefix.rfind('/').map_or(0, |at| at + 1)]
    }
}

impl std::fmt::Display for Glob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stays_in_its_folder_and_two_do_not() {
        for (pattern, name, matches) in [
            ("b/*.csv", "b/x.csv", true),
            ("b/*.csv", "b/sub/x.csv", false),
            ("b/**/*.csv", "b/sub/deep/x.csv", true),
            ("b/**/*.csv", "b/x.csv", true),
            ("b/2026-??.csv", "b/2026-01.csv", true),
            ("b/2026-??.csv", "b/2026-1.csv", false),
            ("b/{one,two}.csv", "b/two.csv", true),
            ("b/[a-c]x", "b/dx", false),
            (r"b/\*", "b/*", true),
            (r"b/\*", "b/x", false),
        ] {
            assert_eq!(Glob::new(pattern).unwrap().matches(name), matches, "{pattern} {name}");
        }
        let may_be_a_name = |pattern| Glob::new(pattern).unwrap().may_be_a_name();
        assert!(may_be_a_name("b/{x}") && may_be_a_name("b/a[1].txt") && !may_be_a_name("b/{x,y}*"));
        assert!(matches!(Glob::new("b/["), Err(Failure::Told { code: 2, .. })));
    }

    #[test]
    fn only_what_can_match_is_listed() {
        for (pattern, prefix, folder) in [
            ("b/2026-*.csv", "b/2026-", "b/"),
            ("b/x/*/y", "b/x/", "b/x/"),
            ("b*/x", "b", ""),
            ("*", "", ""),
            (r"b/a\*b*", "b/a", "b/"),
        ] {
            let glob = Glob::new(pattern).unwrap();
            assert_eq!((glob.prefix(), glob.folder()), (prefix, folder), "{pattern}");
        }
        assert!(Glob::is_one("b/x[1]") && !Glob::is_one("b/x-1"));
    }
}
