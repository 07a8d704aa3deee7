use std::fmt;

use serde::Serialize;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Grade {
    Fine,
    /// It works, and may bite later.
    Odd,
    Wrong,
}

/// Something that was looked at, what it is like, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// What it is about, in a word.
    pub(super) about: &'static str,
    pub(super) grade: Grade,
    pub(super) what: String,
    /// Empty if there is nothing to do.
    pub(super) remedy: String,
}

impl Finding {
    pub(super) fn new(about: &'static str, grade: Grade, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { about, grade, what: what.into(), remedy: remedy.into() }
    }

    pub(super) fn fine(about: &'static str, what: impl Into<String>) -> Self {
        Self::new(about, Grade::Fine, what, "")
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = match self.grade {
            Grade::Fine => "  ",
            Grade::Odd => "? ",
            Grade::Wrong => "! ",
        };
        write!(f, "{mark}{:<8} {}", self.about, self.what)?;
        if self.remedy.is_empty() { Ok(()) } else { write!(f, "\n           → {}", self.remedy) }
    }
}
