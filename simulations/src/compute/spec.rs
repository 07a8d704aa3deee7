use serde::{Deserialize, Serialize};
use shoal_types::{Error, Result};

/// A job of the simulated engine, written as TOML; the text is the query.
///
/// ```toml
/// title  = "word count of a day's logs"
/// input  = "logs/"             # every object under this prefix, or one object
/// groups = 64                  # distinct keys of the answer
/// [map]
/// seconds_per_gb = 4.0         # time of one slot per nominal GB read
/// [reduce]
/// tasks = 16
/// seconds_per_gb = 2.0
/// ```
///
/// Only `input` has to be there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobSpec {
    /// For people; made from `input` when empty.
    #[serde(default)]
    pub title: String,
    /// With a `/` at its end every object whose name begins so, else the
    /// object of exactly this name.
    pub input: String,
    /// How many keys there may be.
    #[serde(default = "default_groups")]
    pub groups: u64,
    /// Leaves the answer's rows in the order of the attempt that made them.
    /// An answer that is lost half-way cannot go on then.
    #[serde(default)]
    pub unordered: bool,
    /// Tasks that make the answer, a part of it each. Those for which its
    /// reader's peer has no slot run elsewhere, and their parts can be lost
    /// on the way to it.
    #[serde(default = "one_part")]
    pub parts: u32,
    /// Seconds that planning takes once it is known what is read, as where a
    /// subquery has to run first.
    #[serde(default)]
    pub planning_seconds: f64,
    #[serde(default)]
    pub map: MapSpec,
    #[serde(default)]
    pub reduce: ReduceSpec,
}

/// The first stage: a task per chunk.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MapSpec {
    /// Seconds of one slot per nominal GB (10⁹ bytes) read.
    pub seconds_per_gb: f64,
}

/// The second stage: a task per bucket of keys. The last stage costs the same per GB.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReduceSpec {
    pub tasks: u32,
    /// Seconds of one slot per nominal GB (10⁹ bytes) of rows read.
    pub seconds_per_gb: f64,
}

impl Default for MapSpec {
    fn default() -> Self {
        Self { seconds_per_gb: 4.0 }
    }
}

impl Default for ReduceSpec {
    fn default() -> Self {
        Self { tasks: 16, seconds_per_gb: 2.0 }
    }
}

const fn one_part() -> u32 {
    1
}

const fn default_groups() -> u64 {
    64
}

impl JobSpec {
    /// One more would make a single answer the whole run.
    pub const GROUPS_MAX: u64 = 1_000_000;
    /// Every map task makes so many buckets.
    pub const REDUCE_TASKS_MAX: u32 = 4_096;
    /// Every reduce task makes so many buckets.
    pub const PARTS_MAX: u32 = 256;
    /// A slot's year per GB: more is a slip of the pen.
    pub const SECONDS_PER_GB_MAX: f64 = 31_536_000.0;

    /// A day: longer is a slip of the pen.
    pub const PLANNING_SECONDS_MAX: f64 = 86_400.0;

    /// The job that a text describes; [`Error::Invalid`] says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self> {
        let mut spec: Self = toml::from_str(text).map_err(|error| {
            Error::invalid(
                format!("this is not a job: {}", error.message()),
                "a job is TOML: title, input, groups, unordered, parts, planning_seconds, [map] seconds_per_gb, [reduce] tasks, seconds_per_gb",
            )
        })?;
        spec.check()?;
        if spec.title.is_empty() {
            spec.title = format!("map-reduce of {}", spec.input);
        }
        Ok(spec)
    }

    /// The text that [`JobSpec::parse`] reads.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self).map_err(|error| Error::bug(format!("a job that has no text: {error}")))
    }

    /// Whether every number is within its bounds.
    pub fn check(&self) -> Result<()> {
        if self.input.is_empty() || self.input.contains(['*', '?', '[', '{']) {
            return Err(Error::invalid(
                format!("a job cannot read '{}'", self.input),
                "give a prefix as logs/ or one object as logs/monday",
            ));
        }
        if !(1..=Self::GROUPS_MAX).contains(&self.groups) {
            let what = format!("a job has 1 to {} groups, not {}", Self::GROUPS_MAX, self.groups);
            return Err(Error::invalid(what, "groups is how many keys the answer may have"));
        }
        if !(1..=Self::REDUCE_TASKS_MAX).contains(&self.reduce.tasks) {
            let what = format!("a job has 1 to {} reduce tasks, not {}", Self::REDUCE_TASKS_MAX, self.reduce.tasks);
            return Err(Error::invalid(what, "about as many as there are slots in the mesh is enough"));
        }
        if !(1..=Self::PARTS_MAX).contains(&self.parts) {
            let what = format!("an answer has 1 to {} parts, not {}", Self::PARTS_MAX, self.parts);
            return Err(Error::invalid(what, "one is made where it is wanted, more than there are slots are not"));
        }
        if !(0.0..=Self::PLANNING_SECONDS_MAX).contains(&self.planning_seconds) {
            let what =
                format!("planning_seconds is 0 to {}, not {}", Self::PLANNING_SECONDS_MAX, self.planning_seconds);
            return Err(Error::invalid(what, "it is the time from what is read being known until tasks begin"));
        }
        for (stage, seconds) in [("map", self.map.seconds_per_gb), ("reduce", self.reduce.seconds_per_gb)] {
            if !(0.0..=Self::SECONDS_PER_GB_MAX).contains(&seconds) {
                let what = format!("{stage}.seconds_per_gb is 0 to {}, not {seconds}", Self::SECONDS_PER_GB_MAX);
                return Err(Error::invalid(what, "it is the time that one slot needs for 1,000,000,000 bytes"));
            }
        }
        Ok(())
    }

    /// Whether an object of this name is part of the input.
    pub fn reads(&self, name: &str) -> bool {
        if self.input.ends_with('/') { name.starts_with(&self.input) } else { name == self.input }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_has_a_default_and_a_spec_reads_back_what_it_wrote() {
        let spec = JobSpec::parse("input = 'logs/'").unwrap();
        assert_eq!((spec.title.as_str(), spec.groups, spec.reduce.tasks), ("map-reduce of logs/", 64, 16));
        let text = "title = 't'\ninput = 'a/b'\ngroups = 3\nunordered = true\n[map]\nseconds_per_gb = 1\n\
                    [reduce]\ntasks = 2\nseconds_per_gb = 0.5";
        let spec = JobSpec::parse(text).unwrap();
        assert_eq!((spec.map.seconds_per_gb, spec.reduce.seconds_per_gb, spec.unordered), (1.0, 0.5, true));
        assert_eq!(JobSpec::parse(&spec.to_toml().unwrap()), Ok(spec));
    }

    #[test]
    fn a_spec_that_cannot_be_meant_is_refused_as_the_users_error() {
        for bad in [
            "",
            "SELECT 1",
            "input = ''",
            "input = 'logs/*'",
            "input = 'a/'\ngroups = 0",
            "input = 'a/'\ngroups = -1",
            "input = 'a/'\ngroups = 1000001",
            "input = 'a/'\ncolour = 'red'",
            "input = 'a/'\n[map]\ntasks = 3",
            "input = 'a/'\n[map]\nseconds_per_gb = -1.0",
            "input = 'a/'\n[map]\nseconds_per_gb = nan",
            "input = 'a/'\n[reduce]\nseconds_per_gb = inf",
            "input = 'a/'\n[reduce]\ntasks = 0",
            "input = 'a/'\n[reduce]\ntasks = 4097",
            "input = 'a/'\nparts = 0",
            "input = 'a/'\nparts = 257",
        ] {
            match JobSpec::parse(bad) {
                Err(Error::Invalid { what, hint }) => assert!(!what.is_empty() && !hint.is_empty()),
                other => panic!("{bad:?} gave {other:?}"),
            }
        }
    }

    #[test]
    fn a_prefix_is_all_below_it_and_a_name_is_one_object() {
        let spec = |input: &str| JobSpec::parse(&format!("input = '{input}'")).unwrap();
        assert!(spec("logs/").reads("logs/a") && spec("logs/").reads("logs/b/c"));
        assert!(!spec("logs/").reads("logs2/a") && !spec("logs/a").reads("logs/a/b"));
        assert!(spec("logs/a").reads("logs/a"));
    }
}
