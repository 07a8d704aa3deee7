use std::time::Duration;

use clap::{Args, Subcommand};
use shoal_gateway::Client;
use shoal_gateway::view::{EventView, JobStateView, JobView, TimedEvent};

use crate::failure::Failure;
use crate::interrupt::interruptible;
use crate::target::Target;
use crate::{stdout, units};

/// How often a watched job is looked at.
const WATCH_EVERY: Duration = Duration::from_millis(300);

/// Characters of a query in a listing.
const TITLE_CHARS: usize = 60;

/// List, show, watch and cancel jobs.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shoal job ls
  shoal job show jzq5kx4d6rm2w3ha
  shoal job watch jzq5kx4d6rm2w3ha
  shoal job cancel jzq5kx4d6rm2w3ha")]
pub(crate) struct JobArgs {
    #[command(subcommand)]
    command: JobCommand,
}

#[derive(Debug, Subcommand)]
enum JobCommand {
    /// Jobs of all peers, newest first.
    Ls {
        /// As a JSON array.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        target: Target,
    },
    /// One job: its stages, and what happened.
    Show {
        id: String,
        /// As one JSON object.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        target: Target,
    },
    /// What happens to a job, as it happens, until it ends.
    Watch {
        id: String,
        /// As a JSON object per line.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        target: Target,
    },
    /// End a job everywhere.
    Cancel {
        id: String,
        #[command(flatten)]
        target: Target,
    },
}

impl JobArgs {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        match self.command {
            JobCommand::Ls { json, target } => {
                let jobs = target.client()?.jobs().await?;
                if json { stdout::json(&jobs) } else { list(&jobs) }
            }
            JobCommand::Show { id, json, target } => {
                let job = target.client()?.job(&id).await?;
                if json { stdout::json(&job) } else { show(&job) }
            }
            JobCommand::Watch { id, json, target } => {
                let client = target.client()?;
                interruptible(watch(&client, &id, json), async || {}).await
            }
            JobCommand::Cancel { id, target } => {
                target.client()?.cancel(&id).await?;
                eprintln!("job {id} is cancelled");
                Ok(())
            }
        }
    }
}

fn list(jobs: &[JobView]) -> Result<(), Failure> {
    let rows: Vec<_> = jobs
        .iter()
        .map(|job| {
            vec![
                job.id.clone(),
                job.state.as_str().into(),
                format!("{}/{}", job.tasks_done(), job.tasks()),
                units::duration(job.elapsed_ms),
                units::time(job.submitted_ms),
                title(&job.title),
            ]
        })
        .collect();
    stdout::table(&["ID", "STATE", "TASKS", "TIME", "SUBMITTED (UTC)", "QUERY"], &rows)
}

fn show(job: &JobView) -> Result<(), Failure> {
    stdout::line(format_args!("job          {}", job.id))?;
    stdout::line(format_args!("state        {}", job.state.as_str()))?;
    if let Some(error) = &job.error {
        stdout::line(format_args!("because      {}", error.message))?;
    }
    stdout::line(format_args!("coordinator  {}", job.coordinator))?;
    stdout::line(format_args!("submitted    {} UTC", units::time(job.submitted_ms)))?;
    stdout::line(format_args!("time         {}", units::duration(job.elapsed_ms)))?;
    if let (Some(fingerprint), Some(rows)) = (&job.fingerprint, job.rows) {
        stdout::line(format_args!("answer       {rows} rows, fingerprint {fingerprint}"))?;
    }
    stdout::line(format_args!(
        "read         {} where it lay, {} from other peers; {} exchanged",
        units::bytes(job.scanned_local_bytes),
        units::bytes(job.scanned_remote_bytes),
        units::bytes(job.fetched_bytes)
    ))?;
    stdout::line(format_args!("query        {}\n", job.title))?;
    let stages = job.stages.iter().enumerate().map(|(number, stage)| {
        let tasks = format!("{}/{}", stage.done, stage.tasks);
        vec![number.to_string(), tasks, stage.running.to_string(), stage.reruns.to_string(), stage.title.clone()]
    });
    stdout::table(&["STAGE", "TASKS", "RUNNING", "RERUNS", "WHAT"], &stages.collect::<Vec<_>>())?;
    if !job.events.is_empty() {
        stdout::line("")?;
    }
    job.events.iter().try_for_each(|event| stdout::line(words(event)))
}

async fn watch(client: &Client, id: &str, json: bool) -> Result<(), Failure> {
    let mut seen = 0;
    loop {
        let job = client.job(id).await?;
        for event in job.events.iter().skip(seen) {
            if json {
                let text = serde_json::to_string(event)
                    .map_err(|error| Failure::request(format!("cannot write JSON: {error}"), ""))?;
                stdout::line(text)?;
            } else {
                stdout::line(words(event))?;
            }
        }
        // Another coordinator may have taken over, with fewer events to tell.
        seen = seen.max(job.events.len());
        match job.state {
            JobStateView::Planning | JobStateView::Running => tokio::time::sleep(WATCH_EVERY).await,
            JobStateView::Done => return Ok(()),
            JobStateView::Cancelled => return Err(Failure::request(format!("job {id} was cancelled"), "")),
            JobStateView::Failed => {
                let error = job.error.map(|error| error.into_error());
                return Err(error.map_or_else(|| Failure::request(format!("job {id} failed"), ""), Failure::from));
            }
        }
    }
}

/// An event as a line.
fn words(event: &TimedEvent) -> String {
    let what = match &event.event {
        EventView::Planned { stages, tasks } => format!("planned: {stages} stages, {tasks} tasks"),
        EventView::Started { attempt, peer } => format!("{attempt} started on {}", short(peer)),
        EventView::Finished { attempt, peer, rows, elapsed_ms } => {
            format!("{attempt} finished on {}: {rows} rows in {}", short(peer), units::duration(*elapsed_ms))
        }
        EventView::AttemptFailed { attempt, peer, error } => {
            format!("{attempt} failed on {}: {}", short(peer), error.message)
        }
        EventView::PeerLost { peer, running, outputs } => format!(
            "peer {} was lost, and with it {} running tasks and {} outputs",
            short(peer),
            running.len(),
            outputs.len()
        ),
        EventView::Ended { state, error: Some(error) } => format!("{}: {}", state.as_str(), error.message),
        EventView::Ended { state, error: None } => state.as_str().into(),
    };
    let time = units::time(event.at_ms);
    format!("{}.{:03}  {what}", time.get(11..).unwrap_or(&time), event.at_ms % 1000)
}

fn short(peer: &str) -> &str {
    peer.get(..8).unwrap_or(peer)
}

fn title(query: &str) -> String {
    let line = query.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= TITLE_CHARS {
        return line;
    }
    line.chars().take(TITLE_CHARS - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_told_in_words_with_its_time() {
        let event =
            EventView::Finished { attempt: "1.3#0".into(), peer: "abcdefghijkl".into(), rows: 5, elapsed_ms: 12 };
        let line = words(&TimedEvent { at_ms: 1_772_373_909_007, event });
        assert_eq!(line, "14:05:09.007  1.3#0 finished on abcdefgh: 5 rows in 12 ms");
    }

    #[test]
    fn a_long_query_is_cut_to_one_line() {
        assert_eq!(title("select\n  1"), "select 1");
        assert_eq!(title(&"ü".repeat(100)).chars().count(), TITLE_CHARS);
    }
}
