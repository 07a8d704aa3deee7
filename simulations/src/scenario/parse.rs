use shoal_types::{Error, Result};

use super::Scenario;

impl Scenario {
    /// The scenario that a TOML text describes. [`Error::Invalid`] names the
    /// line, the field that is wrong, and what it may be.
    pub fn parse(text: &str) -> Result<Self> {
        let scenario: Self = toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start));
            let place =
                before.map_or_else(String::new, |before| format!("line {}: ", before.matches('\n').count() + 1));
            Error::invalid(
                format!("this is not a scenario: {place}{}", error.message().trim()),
                "simulations/README.md has all fields; `shoal sim scenarios quiet` prints one to start from",
            )
        })?;
        scenario.check()?;
        Ok(scenario)
    }

    /// As [`Scenario::parse`], for the text of a file that is named in errors.
    pub fn parse_file(file: &str, text: &str) -> Result<Self> {
        Self::parse(text).map_err(|error| match error {
            Error::Invalid { what, hint } => Error::Invalid { what: format!("{file}: {what}"), hint },
            other => other,
        })
    }

    /// The text that [`Scenario::parse`] reads, with every field in it.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self).map_err(|error| Error::bug(format!("a scenario that has no text: {error}")))
    }
}
