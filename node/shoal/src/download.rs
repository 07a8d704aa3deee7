//! Objects out of the mesh: into files, or to stdout.

use std::fs;
use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};

use indicatif::ProgressBar;
use shoal_gateway::{Client, ClientError};
use shoal_types::{Error, ObjectName};

use crate::destination::Destination;
use crate::failure::Failure;
use crate::{stdout, transfer};

/// That a version was asked for, and several objects.
pub(crate) fn one_version() -> Failure {
    Failure::usage("--version goes with a single object", "fetch the versions one by one")
}

/// Fetches an object, or a version of it, into a `file`, which is opened
/// before any byte is fetched; gives its length.
pub(crate) async fn to_file(
    client: &Client,
    name: &ObjectName,
    version: Option<&str>,
    file: &Path,
    mut destination: Destination,
    shared: Option<ProgressBar>,
) -> Result<u64, Failure> {
    let fail = |error: io::Error| match error.kind() {
        // It has become one meanwhile.
        io::ErrorKind::IsADirectory => in_the_way(file, file),
        _ => Failure::file("write", file, &error),
    };
    let bytes = fetch(client, name, version, shared, |piece| destination.write_all(piece).map_err(fail)).await?;
    // It may wait for the disk, while others are being fetched.
    let closed = tokio::task::spawn_blocking(move || destination.close()).await;
    closed.map_err(io::Error::from).flatten().map_err(fail)?;
    Ok(bytes)
}

/// Writes an object, or a version of it, to stdout as it comes.
pub(crate) async fn to_stdout(client: &Client, name: &ObjectName, version: Option<&str>) -> Result<u64, Failure> {
    fetch(client, name, version, Some(ProgressBar::hidden()), stdout::bytes).await
}

/// Hands out the bytes as they come, and gives their number; an error when
/// they are not those of the object.
async fn fetch(
    client: &Client,
    name: &ObjectName,
    version: Option<&str>,
    shared: Option<ProgressBar>,
    mut take: impl FnMut(&[u8]) -> Result<(), Failure>,
) -> Result<u64, Failure> {
    let mut download = client.get_version(name, version).await?;
    let progress = shared.clone().unwrap_or_else(|| transfer::progress(download.bytes));
    let (mut hash, mut bytes) = (blake3::Hasher::new(), 0);
    while let Some(piece) = download.next().await? {
        hash.update(&piece);
        bytes += piece.len() as u64;
        progress.inc(piece.len() as u64);
        take(&piece)?;
    }
    if shared.is_none() {
        progress.finish_and_clear();
    }
    // Of a long object that was appended to nobody knows the hash; its chunks were checked on the way.
    if download.etag.content_hash().is_some_and(|expected| hash.finalize().to_hex().as_str() != expected) {
        let what = format!("the bytes of '{name}' are not those of its ETag {}", download.etag);
        return Err(ClientError::from(Error::BadFrame { what }).into());
    }
    Ok(bytes)
}

/// A directory that files are written below, and never beside: whatever a
/// name is, and wherever links in the directory lead.
#[derive(Debug)]
pub(crate) struct Below {
    root: PathBuf,
}

impl Below {
    /// Makes the directory where there is none.
    pub(crate) fn new(dir: &Path) -> Result<Self, Failure> {
        let root = fs::create_dir_all(dir).and_then(|()| dir.canonicalize());
        Ok(Self { root: root.map_err(|error| Failure::file("make the directory", dir, &error))? })
    }

    /// The file at a path below, its directories made.
    pub(crate) fn file(&self, relative: &str) -> Result<PathBuf, Failure> {
        let path = Path::new(relative);
        let is_plain = path.components().all(|part| matches!(part, Component::Normal(_)));
        let (Some(file), true) = (path.file_name(), is_plain) else {
            return Err(self.outside(path));
        };
        let mut dir = self.root.clone();
        for part in path.parent().into_iter().flat_map(Path::components) {
            dir.push(part);
            match self.enter(&dir) {
                Ok(true) => {}
                Ok(false) => return Err(self.outside(&dir)),
                Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Err(in_the_way(path, &dir)),
                Err(error) => return Err(Failure::file("make the directory", &dir, &error)),
            }
        }
        let place = dir.join(file);
        // A link is replaced, wherever it leads.
        match fs::symlink_metadata(&place) {
            Ok(meta) if meta.is_dir() => Err(in_the_way(path, &place)),
            _ => Ok(place),
        }
    }

    /// Makes a directory where there is none; whether it is below the root.
    fn enter(&self, dir: &Path) -> io::Result<bool> {
        match fs::symlink_metadata(dir) {
            Ok(meta) if meta.is_symlink() => Ok(dir.canonicalize()?.starts_with(&self.root)),
            Ok(meta) if meta.is_dir() => Ok(true),
            Ok(_) => Err(io::ErrorKind::NotADirectory.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => match fs::create_dir(dir) {
                // Another file of the same directory was faster.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(true),
                outcome => outcome.map(|()| true),
            },
            Err(error) => Err(error),
        }
    }

    fn outside(&self, path: &Path) -> Failure {
        Failure::request(
            format!("'{}' is not below '{}', and nothing is written there", path.display(), self.root.display()),
            "get that object by itself, and name the file that it is to be",
        )
    }
}

/// A name may be that of an object and of the folder of others, and a path only one of both.
fn in_the_way(path: &Path, other: &Path) -> Failure {
    let is = if other.is_dir() { "a directory" } else { "a file" };
    Failure::request(
        format!("cannot write '{}': '{}' is {is}", path.display(), other.display()),
        "where an object is called like the folder of others, get it by itself under another path",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    // It was only said that something is a directory, or not.
    #[test]
    fn an_object_that_is_called_like_the_folder_of_others_is_told_as_that() {
        let dir = tempfile::tempdir().unwrap();
        let below = Below::new(dir.path()).unwrap();
        let told = |path: &str| match below.file(path) {
            Err(Failure::Told { code: 1, message, hint }) if hint.contains("folder") => message,
            other => panic!("{other:?}"),
        };
        let root = dir.path().canonicalize().unwrap();
        below.file("x/y").unwrap();
        assert_eq!(told("x"), format!("cannot write 'x': '{}/x' is a directory", root.display()));
        fs::write(root.join("z"), "").unwrap();
        assert_eq!(told("z/y"), format!("cannot write 'z/y': '{}/z' is a file", root.display()));
    }

    #[test]
    fn nothing_is_written_outside_of_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        let below = Below::new(&dir.path().join("new/dir")).unwrap();
        let root = dir.path().canonicalize().unwrap().join("new/dir");
        assert_eq!(below.file("a/b/c.csv").unwrap(), root.join("a/b/c.csv"));
        assert!(root.join("a/b").is_dir());
        for bad in ["", "..", "../x", "a/../../x", "/etc/x", "."] {
            assert!(below.file(bad).is_err(), "{bad:?}");
        }
        std::os::unix::fs::symlink(dir.path(), root.join("out")).unwrap();
        std::os::unix::fs::symlink(root.join("a"), root.join("in")).unwrap();
        assert!(below.file("out/x/y").is_err() && !dir.path().join("x").exists());
        assert_eq!(below.file("in/y").unwrap(), root.join("in/y"));
    }
}
