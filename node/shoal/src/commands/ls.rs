use clap::Args;
use shoal_gateway::view::ObjectView;
use shoal_gateway::{Client, ClientError};

use crate::failure::Failure;
use crate::target::Target;
use crate::{stdout, units};

/// List objects, in byte order of their names.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shoal ls
  shoal ls trips/2026/ -l
  shoal ls trips/ --json | jq -r '.[].etag'")]
pub(crate) struct LsArgs {
    /// What the names begin with.
    #[arg(default_value = "")]
    prefix: String,

    /// With size, time and format.
    #[arg(short, long)]
    long: bool,

    /// As a JSON array.
    #[arg(long, conflicts_with = "long")]
    json: bool,

    #[command(flatten)]
    target: Target,
}

impl LsArgs {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let client = self.target.client()?;
        let mut pages = Pages::new(client, self.prefix);
        let mut first = true;
        while let Some(objects) = pages.next().await? {
            for object in &objects {
                match (self.json, self.long) {
                    (true, _) => stdout::line(format_args!("{}{}", if first { "[" } else { "," }, json(object)?))?,
                    (_, true) => stdout::line(long(object))?,
                    _ => stdout::line(&object.name)?,
                }
                first = false;
            }
        }
        match (self.json, first) {
            (true, true) => stdout::line("[]"),
            (true, false) => stdout::line("]"),
            (false, _) => Ok(()),
        }
    }
}

fn json(object: &ObjectView) -> Result<String, Failure> {
    serde_json::to_string(object).map_err(|error| Failure::request(format!("cannot write JSON: {error}"), ""))
}

fn long(object: &ObjectView) -> String {
    format!(
        "{:>10}  {}  {:<7}  {}",
        units::bytes(object.bytes),
        units::time(object.modified_ms),
        object.format.as_str(),
        object.name
    )
}

/// A listing, page by page: one page is in memory at a time.
pub(crate) struct Pages {
    client: Client,
    prefix: String,
    after: Option<String>,
    ended: bool,
}

impl Pages {
    pub(crate) fn new(client: Client, prefix: String) -> Self {
        Self { client, prefix, after: None, ended: false }
    }

    /// The next page; `None` after the last.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<ObjectView>>, ClientError> {
        if self.ended {
            return Ok(None);
        }
        let page = self.client.list(&self.prefix, self.after.as_deref()).await?;
        self.after = page.objects.last().map(|object| object.name.clone());
        self.ended = !page.more || self.after.is_none();
        Ok(Some(page.objects))
    }
}
