use serde::{Deserialize, Deserializer, Serialize, de};

use super::Span;
use crate::compute::JobSpec;

/// A job, and when it is asked for. Beside these fields it has those of a
/// [`JobSpec`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JobEntry {
    /// From the start of the run's work.
    pub at: Span,
    /// Asked for again and again, if given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every: Option<Span>,
    #[serde(flatten)]
    pub spec: JobSpec,
}

impl JobEntry {
    /// A job that is asked for at the start of the run's work.
    pub fn new(spec: JobSpec) -> Self {
        Self { at: Span::default(), every: None, spec }
    }
}

// Not derived: with `flatten` a misspelt field would go unnoticed.
impl<'de> Deserialize<'de> for JobEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut table = toml::Table::deserialize(deserializer)?;
        let mut span = |key: &str| {
            let read = table.remove(key).map(toml::Value::try_into::<Span>).transpose();
            read.map_err(|error| de::Error::custom(format!("a job: {key}: {}", error.message())))
        };
        let (at, every) = (span("at")?.unwrap_or_default(), span("every")?);
        let text = toml::to_string(&table).map_err(de::Error::custom)?;
        let spec = JobSpec::parse(&text).map_err(|error| {
            let also =
                if error.to_string().contains("unknown field") { "; a scenario's job also has at, every" } else { "" };
            de::Error::custom(format!("{error}{also}"))
        })?;
        Ok(Self { at, every, spec })
    }
}
