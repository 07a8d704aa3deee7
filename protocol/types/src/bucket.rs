//! Buckets: the first part of an object's name, and how what is in there is kept.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Copies, Error};

/// The name of a bucket: 1–63 characters out of `a-z A-Z 0-9 . _ -`, and not
/// `.` or `..`. A bucket is there as soon as an object is in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct BucketName(String);

impl BucketName {
    pub const CHARS_MAX: usize = 63;

    pub fn new(text: impl Into<String>) -> Result<Self, Error> {
        let text = text.into();
        match Self::complaint(&text) {
            None => Ok(Self(text)),
            Some(why) => Err(Error::invalid(
                format!("'{}' is not the name of a bucket: {why}", text.chars().take(120).collect::<String>()),
                "a bucket is the first part of an object's name, for example trips",
            )),
        }
    }

    /// What keeps a text from being the name of a bucket.
    pub(crate) fn complaint(text: &str) -> Option<&'static str> {
        if text.is_empty() || text.chars().count() > Self::CHARS_MAX {
            return Some("a bucket has 1 to 63 characters");
        }
        if text == "." || text == ".." || !text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)) {
            return Some("a bucket is made of letters, digits, '.', '_' and '-'");
        }
        None
    }

    /// Of a text that is known to be one.
    pub(crate) fn of_checked(text: &str) -> Self {
        Self(text.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BucketName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for BucketName {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        Self::new(text)
    }
}

impl FromStr for BucketName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::new(text)
    }
}

/// How the objects of a bucket are kept. What is `None` is as everywhere in
/// the mesh.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BucketSettings {
    /// For how many seconds what a name stood for can still be read once it
    /// stands for something else; 0 for not at all.
    pub history_s: u64,
    /// Copies of each chunk (R), 1–7.
    pub replicas: Option<u8>,
    /// How many of them are synced before a put is acknowledged (W), 1–R; the
    /// others follow.
    pub write_copies: Option<u8>,
}

impl BucketSettings {
    /// A hundred years: longer is for ever, and sums stay far from the end of a `u64`.
    pub const HISTORY_S_MAX: u64 = 100 * 366 * 24 * 3600;

    /// Copies of each chunk.
    pub fn copies(&self) -> Copies {
        Copies::new(self.replicas)
    }

    /// These, if they can be kept.
    pub fn checked(self) -> Result<Self, Error> {
        if self.history_s > Self::HISTORY_S_MAX {
            return Err(Error::invalid("a history of more than a hundred years", "36500d is for ever"));
        }
        if self.replicas.is_some_and(|replicas| !(1..=Copies::MAX).contains(&replicas)) {
            return Err(Error::invalid("a chunk has 1 to 7 copies", "3 outlive the loss of any two disks"));
        }
        if self.write_copies.is_some_and(|copies| copies == 0 || copies > self.replicas.unwrap_or(Copies::MAX)) {
            return Err(Error::invalid(
                "a put waits for at least one copy, and for no more than there are to be",
                "leave it out to wait for all that can be made",
            ));
        }
        Ok(self)
    }
}

/// What is to be otherwise in the settings of a bucket; `None` stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BucketChange {
    pub history_s: Option<u64>,
    /// 0 for as many as everywhere in the mesh.
    pub replicas: Option<u8>,
    /// 0 for all that can be made.
    pub write_copies: Option<u8>,
}

impl BucketChange {
    pub fn applied_to(self, before: BucketSettings) -> BucketSettings {
        let of = |change: Option<u8>, before| change.map_or(before, |copies| (copies > 0).then_some(copies));
        BucketSettings {
            history_s: self.history_s.unwrap_or(before.history_s),
            replicas: of(self.replicas, before.replicas),
            write_copies: of(self.write_copies, before.write_copies),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire;

    #[test]
    fn the_name_of_a_bucket_is_the_first_part_of_a_name_and_nothing_else() {
        for bad in ["", ".", "..", "a/b", "a b", "ä", &"x".repeat(64)] {
            assert!(BucketName::new(bad).is_err(), "{bad:?}");
            assert!(wire::decode::<BucketName>(&wire::encode(&bad).unwrap()).is_err());
        }
        assert_eq!(BucketName::new("trips.2026").unwrap().as_str(), "trips.2026");
    }

    #[test]
    fn settings_that_cannot_be_kept_are_refused() {
        let of = |replicas, write_copies| BucketSettings { history_s: 0, replicas, write_copies };
        for bad in [of(Some(0), None), of(Some(8), None), of(Some(2), Some(3)), of(None, Some(0))] {
            assert!(bad.checked().is_err(), "{bad:?}");
        }
        assert!(of(Some(1), Some(1)).checked().is_ok());
        assert!(BucketSettings { history_s: u64::MAX, ..of(None, None) }.checked().is_err());
    }

    #[test]
    fn a_change_leaves_what_it_does_not_name() {
        let before = BucketSettings { history_s: 60, replicas: Some(2), write_copies: Some(1) };
        assert_eq!(BucketChange::default().applied_to(before), before);
        let change = BucketChange { replicas: Some(0), ..BucketChange::default() };
        assert_eq!(change.applied_to(before), BucketSettings { replicas: None, ..before });
    }
}
