//! Where the bytes of a put or an append come from.

use std::fs::{File, Metadata};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use indicatif::ProgressBar;
use shoal_types::{Error, Result};
use tokio_util::io::ReaderStream;

/// Bytes read from a file at once.
const PIECE_BYTES: usize = 256 << 10;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    Stdin,
    File(PathBuf),
}

impl Source {
    /// Its length, where that is known before it is read.
    pub(crate) fn len(&self) -> Option<u64> {
        match self {
            Self::Stdin => None,
            Self::File(path) => std::fs::metadata(path).ok().filter(Metadata::is_file).map(|meta| meta.len()),
        }
    }

    /// Whether its bytes can be had a second time: a pipe gives them once.
    pub(crate) fn can_be_read_again(&self) -> bool {
        self.len().is_some()
    }

    fn open(&self) -> std::io::Result<File> {
        match self {
            // Read as a file: through a descriptor of its own, without a second buffer.
            Self::Stdin => std::io::stdin().as_fd().try_clone_to_owned().map(File::from),
            Self::File(path) => File::open(path),
        }
    }

    fn broken(&self, error: &std::io::Error) -> Error {
        Error::invalid(format!("cannot read {self}: {error}"), "")
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stdin => f.write_str("stdin"),
            Self::File(path) => write!(f, "'{}'", path.display()),
        }
    }
}

/// One content of a source, which may have to be sent more than once. A file
/// that changes meanwhile is an error: what was read is neither what it was
/// before nor what it is now.
#[derive(Debug, Clone)]
pub(crate) struct Reading {
    source: Source,
    /// The file as it was when it was first opened; of what is no file, nothing.
    first: Arc<OnceLock<Option<Stamp>>>,
    /// Whether it was found to be another when it was to be sent again.
    is_another: Arc<AtomicBool>,
}

impl Reading {
    pub(crate) fn of(source: Source) -> Self {
        Self { source, first: Arc::default(), is_another: Arc::default() }
    }

    pub(crate) fn source(&self) -> &Source {
        &self.source
    }

    /// Whether what was sent before can be sent no more, as the file has changed.
    pub(crate) fn is_another(&self) -> bool {
        self.is_another.load(Ordering::Relaxed)
    }

    /// The bytes, piece by piece; the same each time. An error names the source.
    pub(crate) async fn open(&self, progress: ProgressBar) -> Result<BoxStream<'static, Result<Bytes>>> {
        let source = self.source.clone();
        let opened = tokio::task::spawn_blocking(move || source.open()).await.map_err(std::io::Error::from).flatten();
        let file = opened.map_err(|error| self.source.broken(&error))?;
        // A second descriptor, to look at the file once all of it was read.
        let open = file.try_clone().map_err(|error| self.source.broken(&error))?;
        let is_first = self.first.get().is_none();
        self.check(&open, is_first)?;
        let (reading, at_end) = (self.clone(), self.clone());
        let pieces = ReaderStream::with_capacity(tokio::fs::File::from_std(file), PIECE_BYTES)
            .map_err(move |error| reading.source.broken(&error))
            .inspect_ok(move |piece| progress.inc(piece.len() as u64));
        let end = stream::once(async move { at_end.check(&open, is_first) }).try_filter_map(async |()| Ok(None));
        Ok(pieces.chain(end).boxed())
    }

    /// That the open file is still what it was when it was first opened.
    fn check(&self, open: &File, is_first: bool) -> Result<()> {
        let now = Stamp::of(open).map_err(|error| self.source.broken(&error))?;
        if *self.first.get_or_init(|| now) == now {
            return Ok(());
        }
        self.is_another.fetch_or(!is_first, Ordering::Relaxed);
        let when = if is_first { "while it was read" } else { "after it was sent once" };
        Err(Error::invalid(format!("{} changed {when}", self.source), "try again when nobody writes to it"))
    }
}

/// What of a file is another once somebody has written to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    /// In seconds and nanoseconds.
    modified: (i64, i64),
    /// The same, and nobody can set it back.
    changed: (i64, i64),
}

impl Stamp {
    /// `None` for what is no file: a pipe, a device.
    fn of(file: &File) -> std::io::Result<Option<Self>> {
        let meta = file.metadata()?;
        Ok(meta.is_file().then(|| Self {
            device: meta.dev(),
            inode: meta.ino(),
            bytes: meta.len(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::path::Path;

    use super::*;

    async fn open(source: Source) -> Result<BoxStream<'static, Result<Bytes>>> {
        Reading::of(source).open(ProgressBar::hidden()).await
    }

    #[test]
    fn only_a_file_gives_its_bytes_a_second_time() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(Source::File(file.path().into()).can_be_read_again());
        let (read, _write) = std::io::pipe().unwrap();
        let pipe = format!("/dev/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&read));
        for once in [Source::Stdin, Source::File(pipe.into()), Source::File("/dev/zero".into())] {
            assert!(!once.can_be_read_again(), "{once}");
        }
    }

    #[tokio::test]
    async fn a_broken_source_is_named() {
        let error = open(Source::File("/no/such/file".into())).await.err().unwrap();
        assert!(error.to_string().contains("'/no/such/file'"), "{error}");
        let pieces = open(Source::File("/".into())).await.unwrap();
        let error = pieces.try_collect::<Vec<_>>().await.err().unwrap();
        assert!(error.to_string().contains("cannot read '/'"), "{error}");
    }

    #[tokio::test]
    async fn the_bytes_are_those_of_the_file_each_time() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), vec![7; PIECE_BYTES + 1]).unwrap();
        let source = Source::File(file.path().into());
        assert_eq!(source.len(), Some(PIECE_BYTES as u64 + 1));
        let reading = Reading::of(source);
        for _ in 0..2 {
            let pieces: Vec<Bytes> = reading.open(ProgressBar::hidden()).await.unwrap().try_collect().await.unwrap();
            assert_eq!(pieces.concat(), vec![7; PIECE_BYTES + 1]);
        }
        assert!(!reading.is_another());
    }

    /// How a read ends of a file of three pieces that is changed after the first.
    async fn read_while(change: impl FnOnce(&Path)) -> Result<usize> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, vec![1; 3 * PIECE_BYTES]).unwrap();
        let mut pieces = open(Source::File(path.clone())).await.unwrap();
        let first = pieces.next().await.unwrap().unwrap();
        // Times of files are as coarse as the kernel's clock ticks.
        std::thread::sleep(std::time::Duration::from_millis(20));
        change(&path);
        let rest: Vec<Bytes> = pieces.try_collect().await?;
        Ok(first.len() + rest.concat().len())
    }

    /// It was stored as a mixture of what it was and what it became, and the
    /// put went well.
    #[tokio::test]
    async fn a_file_that_changes_while_it_is_read_breaks_off() {
        assert_eq!(read_while(|_| ()).await, Ok(3 * PIECE_BYTES));
        let overwritten = read_while(|path| std::fs::write(path, vec![2; 3 * PIECE_BYTES]).unwrap()).await;
        let truncated = read_while(|path| File::create(path).unwrap().set_len(9).unwrap()).await;
        let grown = read_while(|path| {
            std::fs::OpenOptions::new().append(true).open(path).unwrap().write_all(b"more").unwrap();
        });
        // Whoever sets the time of the last write back is told by the other one.
        let disguised = read_while(|path| {
            let written = std::fs::metadata(path).unwrap().modified().unwrap();
            std::fs::write(path, vec![2; 3 * PIECE_BYTES]).unwrap();
            File::options().write(true).open(path).unwrap().set_modified(written).unwrap();
        });
        for (how, read) in [("over", overwritten), ("cut", truncated), ("on", grown.await), ("set", disguised.await)] {
            let error = read.expect_err(how);
            assert!(error.to_string().ends_with("/f' changed while it was read"), "{how}: {error}");
        }
    }

    /// Under one id other bytes were sent than the first time.
    #[tokio::test]
    async fn a_file_that_is_another_is_not_sent_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, "one").unwrap();
        let reading = Reading::of(Source::File(path.clone()));
        drop(reading.open(ProgressBar::hidden()).await.unwrap());
        std::fs::write(dir.path().join("new"), "two").unwrap();
        std::fs::rename(dir.path().join("new"), &path).unwrap();
        let error = reading.open(ProgressBar::hidden()).await.err().unwrap();
        assert!(error.to_string().contains("/f' changed after it was sent once"), "{error}");
        assert!(reading.is_another());
    }

    #[tokio::test]
    async fn what_is_no_file_is_read_to_its_end() {
        let pieces: Vec<Bytes> = open(Source::File("/dev/null".into())).await.unwrap().try_collect().await.unwrap();
        assert!(pieces.is_empty());
        #[cfg(target_os = "linux")]
        for of_the_kernel in ["/proc/self/status", "/proc/uptime", "/proc/self/net/tcp"] {
            let pieces = open(Source::File(of_the_kernel.into())).await.unwrap();
            assert!(!pieces.try_collect::<Vec<_>>().await.unwrap().is_empty(), "{of_the_kernel}");
        }
    }
}
