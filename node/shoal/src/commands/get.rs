use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use futures::stream::{self, TryStreamExt};
use indicatif::ProgressBar;
use shoal_gateway::{Client, ClientError};
use shoal_types::{Error, ObjectName};

use super::ls::Pages;
use crate::failure::Failure;
use crate::interrupt::interruptible;
use crate::target::Target;
use crate::{stdout, transfer};

/// Objects on their way at once.
const PARALLEL_MAX: usize = 4;

/// Fetch objects. What arrives is checked against the object's hash.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shoal get trips/2026/january.parquet                    to ./january.parquet
  shoal get trips/2026/january.parquet /data/jan.parquet
  shoal get logs/today.txt - | grep ERROR
  shoal get trips/2026/ /data/trips                       everything below the prefix")]
pub(crate) struct GetArgs {
    /// An object, or a prefix that ends in a slash.
    #[arg(value_name = "NAME")]
    name: String,

    /// A file, a directory, or - for stdout; by default the working directory.
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,

    #[command(flatten)]
    target: Target,
}

impl GetArgs {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let client = self.target.client()?;
        let work = async {
            if self.name.ends_with('/') {
                return get_all(&client, &self.name, self.file.as_deref()).await;
            }
            let name = ObjectName::new(self.name)?;
            match self.file {
                Some(file) if file.as_os_str() == "-" => to_stdout(&client, &name).await,
                file => to_file(&client, &name, &place(&name, file), None).await,
            }
        };
        interruptible(work, async || {}).await
    }
}

/// The file that an object goes to.
fn place(name: &ObjectName, file: Option<PathBuf>) -> PathBuf {
    let last = name.as_str().rsplit('/').next().unwrap_or(name.as_str());
    match file {
        None => last.into(),
        Some(dir) if dir.is_dir() => dir.join(last),
        Some(file) => file,
    }
}

async fn get_all(client: &Client, prefix: &str, dir: Option<&Path>) -> Result<(), Failure> {
    let dir = dir.unwrap_or(Path::new("."));
    if dir.as_os_str() == "-" {
        return Err(Failure::usage("several objects cannot all go to stdout", "name a directory"));
    }
    let progress = transfer::progress(None);
    let mut pages = Pages::new(client.clone(), prefix.to_owned());
    let mut count = 0;
    while let Some(objects) = pages.next().await? {
        count += objects.len();
        let fetch = |name: String| {
            let progress = progress.clone();
            async move {
                // No segment of a name is '..', so the file stays below the directory.
                let file = dir.join(name.strip_prefix(prefix).unwrap_or(&name));
                if let Some(parent) = file.parent() {
                    std::fs::create_dir_all(parent)
                        .map_err(|error| Failure::file("make the directory", parent, &error))?;
                }
                to_file(client, &ObjectName::new(name)?, &file, Some(progress)).await
            }
        };
        let names = objects.into_iter().map(|object| Ok(object.name));
        stream::iter(names).try_for_each_concurrent(PARALLEL_MAX, fetch).await?;
    }
    progress.finish_and_clear();
    if count == 0 {
        let hint = "see what there is with: shoal ls";
        return Err(Error::not_found(format!("there is nothing below '{prefix}'"), hint).into());
    }
    eprintln!("{count} objects");
    Ok(())
}

async fn to_file(client: &Client, name: &ObjectName, file: &Path, shared: Option<ProgressBar>) -> Result<(), Failure> {
    // A file that cannot be written is told before any byte is fetched.
    let mut temporary = transfer::temporary_beside(file)?;
    let fail = |error: std::io::Error| Failure::file("write", file, &error);
    fetch(client, name, shared, |piece| temporary.write_all(piece).map_err(fail)).await?;
    temporary.persist(file).map_err(|error| fail(error.error))?;
    Ok(())
}

async fn to_stdout(client: &Client, name: &ObjectName) -> Result<(), Failure> {
    fetch(client, name, Some(ProgressBar::hidden()), |piece| {
        let mut out = std::io::stdout().lock();
        stdout::told(out.write_all(piece).and_then(|()| out.flush()))
    })
    .await
}

/// Hands out the bytes as they come; an error when they are not those of the object.
async fn fetch(
    client: &Client,
    name: &ObjectName,
    shared: Option<ProgressBar>,
    mut take: impl FnMut(&[u8]) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut download = client.get(name).await?;
    let progress = shared.clone().unwrap_or_else(|| transfer::progress(download.bytes));
    let mut hash = blake3::Hasher::new();
    while let Some(piece) = download.next().await? {
        hash.update(&piece);
        progress.inc(piece.len() as u64);
        take(&piece)?;
    }
    if shared.is_none() {
        progress.finish_and_clear();
    }
    if hash.finalize().to_hex().as_str() != download.etag.0 {
        let what = format!("the bytes of '{name}' are not those of its ETag {}", download.etag);
        return Err(ClientError::from(Error::BadFrame { what }).into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_goes_where_a_copy_would() {
        let name = ObjectName::new("b/x/y.csv").unwrap();
        assert_eq!(place(&name, None), Path::new("y.csv"));
        assert_eq!(place(&name, Some("/no/such/z.csv".into())), Path::new("/no/such/z.csv"));
        assert_eq!(place(&name, Some("/".into())), Path::new("/y.csv"));
    }
}
