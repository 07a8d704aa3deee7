use std::path::Path;

use shoal_types::{Error, Result};

use crate::scenario::{Bytes, JobEntry, Scenario, Share, Span};

/// Where a scenario comes from, and what is changed in it, in the order of the
/// fields.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Origin {
    /// The name of one that is shipped, or the path of a file.
    pub scenario: String,
    pub peers: Option<u32>,
    pub duration: Option<Span>,
    /// The share of hosts that is reclaimed.
    pub lose: Option<Share>,
    /// The path of a job that is added.
    pub job: Option<String>,
    /// Only so many of the jobs, the first ones.
    pub jobs: Option<u32>,
    pub clients: Option<u32>,
    pub data: Option<Bytes>,
}

impl Origin {
    pub fn named(scenario: impl Into<String>) -> Self {
        Self { scenario: scenario.into(), ..Self::default() }
    }

    /// Reads what it is made of. `read` gives the text of a file.
    ///
    /// # Errors
    ///
    /// There is no such scenario, or a file cannot be read or is wrong.
    pub(crate) fn source(&self, read: impl Fn(&str) -> Result<String>) -> Result<Source> {
        let base = match Scenario::named(&self.scenario) {
            Some(scenario) => scenario,
            None if is_path(&self.scenario) => Scenario::parse_file(&self.scenario, &read(&self.scenario)?)?,
            None => {
                let names: Vec<&str> = Scenario::names().into_iter().map(|(name, _)| name).collect();
                return Err(Error::invalid(
                    format!("there is no scenario '{}'", self.scenario),
                    format!("shipped are {}; a file's name ends with .toml", names.join(", ")),
                ));
            }
        };
        let job = self.job.as_ref().map(|path| job(path, &read(path)?)).transpose()?;
        Ok(Source { origin: self.clone(), base, job })
    }
}

/// An origin, with what it was made of: the changes can be made again.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Source {
    pub(crate) origin: Origin,
    base: Scenario,
    job: Option<JobEntry>,
}

impl Source {
    /// A scenario that nobody has said the origin of: one that is shipped, by
    /// what it is, or else its title must do.
    pub(crate) fn of(scenario: &Scenario) -> Self {
        let shipped = Scenario::names().into_iter().find(|(name, _)| Scenario::named(name).as_ref() == Some(scenario));
        let name = shipped.map_or_else(|| scenario.title.clone(), |(name, _)| name.to_owned());
        Self { origin: Origin::named(name), base: scenario.clone(), job: None }
    }

    /// The scenario as it is run.
    ///
    /// # Errors
    ///
    /// What comes of the changes makes no sense.
    pub(crate) fn scenario(&self) -> Result<Scenario> {
        let Origin { scenario: _, peers, duration, lose, job: _, jobs, clients, data } = &self.origin;
        let mut scenario = self.base.clone();
        if let Some(peers) = peers {
            scenario = scenario.with_peers(*peers);
        }
        if let Some(duration) = duration {
            scenario = scenario.with_duration(duration.0);
        }
        if let Some(lose) = lose {
            scenario = scenario.with_loss(*lose);
        }
        if let Some(job) = &self.job {
            scenario = scenario.with_job(job.clone());
        }
        let workload = &mut scenario.workload;
        workload.jobs.truncate(jobs.map_or(usize::MAX, |jobs| jobs as usize));
        workload.clients = clients.unwrap_or(workload.clients);
        workload.data = data.unwrap_or(workload.data);
        scenario.check()?;
        Ok(scenario)
    }
}

/// Whether a scenario's name is that of a file.
fn is_path(name: &str) -> bool {
    name.contains(['/', '\\']) || Path::new(name).extension().is_some_and(|extension| extension == "toml")
}

fn job(path: &str, text: &str) -> Result<JobEntry> {
    toml::from_str(text).map_err(|error: toml::de::Error| {
        Error::invalid(
            format!("{path}: this is not a job: {}", error.message().trim()),
            "a job is TOML: input, and if you like at, every, title, groups, [map] and [reduce]",
        )
    })
}
