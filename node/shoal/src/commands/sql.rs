mod query;
mod source;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use clap::Args;
use shoal_engine::AnswerReader;
use shoal_gateway::view::{JobStateView, JobView};
use shoal_gateway::{Client, ClientError, SqlUpdate};
use shoal_types::{Error, Query};

use self::source::{Others, Source};
use crate::answer::{Progress, RowFormat, Sink};
use crate::embedded::Embedded;
use crate::failure::Failure;
use crate::interrupt::interruptible;
use crate::target::Target;
use crate::units;

/// Run a query. Where a peer runs, the mesh answers, and tables are its objects; elsewhere this process
/// answers by itself, and tables are local files.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shoal sql \"SELECT count(*) FROM 'trips/*.parquet'\"
  shoal sql \"SELECT zone, sum(fare) FROM 'trips/*.csv' GROUP BY zone\" --format csv > fares.csv
  shoal sql -f report.sql -o report.parquet --stats
  shoal sql --local \"SELECT * FROM '/var/log/app.jsonl' LIMIT 5\"
  echo 'SELECT 1' | shoal sql")]
pub(crate) struct SqlArgs {
    /// The query; by default it is read from stdin.
    query: Option<String>,

    /// Read the query from a file.
    #[arg(short, long, value_name = "FILE", conflicts_with = "query")]
    file: Option<PathBuf>,

    /// How rows are written; by default it follows FILE's ending, and is a table on stdout.
    #[arg(long, value_enum)]
    format: Option<RowFormat>,

    /// Write the rows to a file, which appears once it is whole.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Answer in this process, on local files, whether or not a peer runs.
    #[arg(long, conflicts_with = "peer")]
    local: bool,

    /// Tell on stderr what the query took.
    #[arg(long)]
    stats: bool,

    /// The memory that one task may use, for example 512MiB. The same budget gives the same answer to the last bit.
    #[arg(long, value_name = "SIZE", value_parser = units::parse_bytes, default_value = "2GiB")]
    task_memory: u64,

    #[command(flatten)]
    target: Target,
}

/// The job that an interrupt cancels.
type Current = Arc<Mutex<Option<(Client, String)>>>;

impl SqlArgs {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let sql = query::text(self.query, self.file.as_deref())?;
        let query = Query { task_memory_bytes: self.task_memory, ..Query::new(sql) };
        let format = self.format.or_else(|| self.output.as_deref().and_then(RowFormat::of_file));
        let format = format.unwrap_or(RowFormat::Table);
        if format.is_binary() && self.output.is_none() && std::io::stdout().is_terminal() {
            return Err(Failure::usage("this format would garble the terminal", "write to a file: -o FILE"));
        }
        let mut sink = Sink::new(format, self.output);
        let client = if self.local { None } else { self.target.client_if_any()? };
        let current = Current::default();
        let work = async {
            let job = match client {
                Some(client) => on_mesh(client, &query, &mut sink, &current).await?,
                None => here(query, &mut sink).await?,
            };
            sink.finish()?;
            if self.stats {
                eprint!("{}", stats(&job));
            }
            Ok(())
        };
        let cancel = async || {
            let job = current.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some((client, job)) = job {
                // The connection that carried the answer is closed by now,
                // which cancels too; a peer that does not answer has no more to be told.
                let _ = client.cancel(&job).await;
            }
        };
        interruptible(work, cancel).await
    }
}

/// Why an answer did not come: the peer's trouble, or one of this process.
enum Trouble {
    Peer(ClientError),
    Here(Failure),
}

impl From<ClientError> for Trouble {
    fn from(error: ClientError) -> Self {
        Self::Peer(error)
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Peer(error.into())
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Here(failure)
    }
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Peer(error) => error.into(),
            Trouble::Here(failure) => failure,
        }
    }
}

/// Asks a peer; when it is lost on the way, asks another that it knew, once.
async fn on_mesh(client: Client, query: &Query, sink: &mut Sink, current: &Current) -> Result<JobView, Failure> {
    let others = Others::of(&client);
    let error = match ask(client.clone(), query, sink, current).await {
        Err(Trouble::Peer(error)) if error.is_peer_lost() => error,
        outcome => return Ok(outcome?),
    };
    // Rows that a pipe has taken cannot be taken back.
    if !sink.restart() {
        eprintln!("the rows written so far are not the whole answer");
        return Err(error.into());
    }
    let Some(other) = others.pick(client.address()).await else { return Err(error.into()) };
    eprintln!("{error}; asking the one at {}", other.address());
    Ok(ask(other, query, sink, current).await?)
}

async fn ask(client: Client, query: &Query, sink: &mut Sink, current: &Current) -> Result<JobView, Trouble> {
    let rows = client.sql(query).await?;
    let job = rows.job().to_owned();
    *current.lock().unwrap_or_else(PoisonError::into_inner) = Some((client, job));
    receive(Source::Peer(Box::new(rows)), sink).await
}

/// Answers in this process.
async fn here(query: Query, sink: &mut Sink) -> Result<JobView, Failure> {
    let embedded = Embedded::start().await?;
    let answer = embedded.running.peer.query(query).await?;
    Ok(receive(Source::Here(answer.updates), sink).await?)
}

async fn receive(mut source: Source, sink: &mut Sink) -> Result<JobView, Trouble> {
    let mut reader = AnswerReader::new();
    let mut progress = Progress::new();
    let mut begun = false;
    while let Some(update) = source.next().await? {
        match update {
            SqlUpdate::Event(event) => progress.event(&event.event),
            SqlUpdate::Frame(frame) => {
                progress.clear();
                let batch = reader.push(frame)?;
                if let (false, Some(schema)) = (begun, reader.schema()) {
                    sink.begin(&schema)?;
                    begun = true;
                }
                if let Some(batch) = batch {
                    sink.write(&batch)?;
                }
            }
            SqlUpdate::Summary(job) => {
                progress.clear();
                return match (job.state, job.error.clone()) {
                    (JobStateView::Failed, Some(error)) => Err(error.into_error().into()),
                    (JobStateView::Cancelled, _) => Err(Error::Cancelled.into()),
                    _ => {
                        reader.finish()?;
                        Ok(*job)
                    }
                };
            }
        }
    }
    Err(Error::bug("an answer without a summary").into())
}

fn stats(job: &JobView) -> String {
    let rows = job.rows.map_or_else(|| "-".into(), |rows| rows.to_string());
    format!(
        "job          {}\n\
         time         {}\n\
         stages       {}\n\
         tasks        {}\n\
         reruns       {}\n\
         rows         {rows}\n\
         fingerprint  {}\n\
         read         {} where it lay, {} from other peers\n\
         exchanged    {}\n",
        job.id,
        units::duration(job.elapsed_ms),
        job.stages.len(),
        job.tasks(),
        job.reruns(),
        job.fingerprint.as_deref().unwrap_or("-"),
        units::bytes(job.scanned_local_bytes),
        units::bytes(job.scanned_remote_bytes),
        units::bytes(job.fetched_bytes),
    )
}
