use clap::Args;
use serde_json::json;
use shoal_sim::Scenario;

use crate::failure::Failure;
use crate::stdout;

/// List the scenarios that are shipped, or print one, to start one's own from.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shoal sim scenarios
  shoal sim scenarios spot > mine.toml && shoal sim --scenario mine.toml")]
pub(super) struct ScenariosArgs {
    /// Print this one's TOML.
    name: Option<String>,

    #[arg(long, conflicts_with = "name")]
    json: bool,
}

impl ScenariosArgs {
    pub(super) fn run(self) -> Result<(), Failure> {
        let shipped = Scenario::names();
        if let Some(name) = &self.name {
            return match Scenario::text(name) {
                Some(text) => stdout::line(text.trim_end()),
                None => {
                    let names: Vec<&str> = shipped.iter().map(|(name, _)| *name).collect();
                    Err(Failure::usage(
                        format!("there is no scenario '{name}'"),
                        format!("shipped are {}", names.join(", ")),
                    ))
                }
            };
        }
        if self.json {
            let all: Vec<_> = shipped.iter().map(|(name, title)| json!({ "name": name, "title": title })).collect();
            return stdout::json(&all);
        }
        let rows: Vec<Vec<String>> = shipped.into_iter().map(|(name, title)| vec![name.to_owned(), title]).collect();
        stdout::table(&["NAME", "WHAT IT IS"], &rows)
    }
}
