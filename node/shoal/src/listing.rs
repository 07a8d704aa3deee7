//! Objects as the mesh lists them: page by page, and as lines.

use clap::Args;
use futures::stream::{self, Stream, StreamExt, TryStreamExt};
use shoal_gateway::Client;
use shoal_gateway::view::ObjectView;

use crate::failure::Failure;
use crate::{stdout, units};

/// All objects whose names begin with `prefix`, in byte order of the names.
/// One page of them is in memory at a time.
pub(crate) fn objects(client: &Client, prefix: &str) -> impl Stream<Item = Result<ObjectView, Failure>> + use<> {
    let start = Some((client.clone(), prefix.to_owned(), None::<String>));
    let pages = stream::try_unfold(start, |state| async move {
        let Some((client, prefix, after)) = state else { return Ok::<_, Failure>(None) };
        let page = client.list(&prefix, after.as_deref()).await?;
        let last = page.objects.last().map(|object| object.name.clone());
        let next = (page.more && last.is_some()).then_some((client, prefix, last));
        Ok(Some((stream::iter(page.objects).map(Ok), next)))
    });
    pages.try_flatten()
}

/// How objects are printed.
#[derive(Debug, Args)]
pub(crate) struct Style {
    /// With size, time and format.
    #[arg(short, long)]
    long: bool,

    /// As a JSON array.
    #[arg(long, conflicts_with = "long")]
    json: bool,
}

impl Style {
    /// Prints objects as they come: names, one a line, unless something else is asked for.
    pub(crate) async fn print(&self, objects: impl Stream<Item = Result<ObjectView, Failure>>) -> Result<(), Failure> {
        let mut objects = std::pin::pin!(objects);
        let mut first = true;
        while let Some(object) = objects.try_next().await? {
            match (self.json, self.long) {
                (true, _) => stdout::line(format_args!("{}{}", if first { "[" } else { "," }, json(&object)?))?,
                (_, true) => stdout::line(long(&object))?,
                _ => stdout::line(&object.name)?,
            }
            first = false;
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
