//! Objects as the mesh lists them: page by page, and as lines.

use clap::Args;
use futures::stream::{self, Stream, StreamExt, TryStreamExt};
use serde::Serialize;
use shoal_gateway::Client;
use shoal_gateway::view::{ObjectView, VersionView};

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
        let line = |object: &ObjectView| if self.long { long(object) } else { object.name.clone() };
        self.print_each(objects, line).await
    }

    /// Prints the versions of names as they come.
    pub(crate) async fn print_versions(
        &self,
        names: impl Stream<Item = Result<Vec<VersionView>, Failure>>,
    ) -> Result<(), Failure> {
        let versions = names.map_ok(|versions| stream::iter(versions).map(Ok)).try_flatten();
        self.print_each(versions, version_line).await
    }

    async fn print_each<T: Serialize>(
        &self,
        all: impl Stream<Item = Result<T, Failure>>,
        line: impl Fn(&T) -> String,
    ) -> Result<(), Failure> {
        let mut all = std::pin::pin!(all);
        let mut first = true;
        while let Some(one) = all.try_next().await? {
            match self.json {
                true => stdout::line(format_args!("{}{}", if first { "[" } else { "," }, json(&one)?))?,
                false => stdout::line(line(&one))?,
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

fn json(object: &impl Serialize) -> Result<String, Failure> {
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

/// ETags are told by so many characters.
const ETAG_CHARS: usize = 16;

fn version_line(version: &VersionView) -> String {
    let object = &version.object;
    let until = version.replaced_ms.map_or_else(|| "now".into(), units::time);
    format!(
        "{}  until {until:<19}  {:>10}  {:.ETAG_CHARS$}  {}",
        units::time(object.modified_ms),
        units::bytes(object.bytes),
        object.etag,
        object.name
    )
}
