//! Files that are written as a whole.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::failure::Failure;

/// Files from this size on are on disk before they have their names. Of
/// smaller ones many are written at a time, and each sync takes as long as a
/// hundred of them.
const SYNCED_BYTES_MIN: u64 = 1 << 20;

/// Where something is written that is to be there whole or not at all.
pub(crate) enum Destination {
    /// Beside the path, to be renamed to it once it is whole. It is removed
    /// when dropped before.
    File { file: NamedTempFile, path: PathBuf },
    /// What is there and is no file, as a device or a pipe: nothing takes its place.
    AsItIs(File),
}

impl Destination {
    /// What a user named, wherever that leads.
    ///
    /// # Errors
    /// What cannot be written to is told here, before anything is.
    pub(crate) fn at(path: &Path) -> Result<Self, Failure> {
        let fail = |error: &io::Error| Failure::file("write", path, error);
        match std::fs::metadata(path) {
            Ok(meta) if meta.is_dir() => Err(fail(&io::ErrorKind::IsADirectory.into())),
            Ok(meta) if !meta.is_file() => {
                let file = OpenOptions::new().write(true).open(path).map_err(|error| fail(&error))?;
                Ok(Self::AsItIs(file))
            }
            // Through a link, which stays one.
            Ok(_) => Self::beside(&path.canonicalize().map_err(|error| fail(&error))?),
            Err(_) if path.as_os_str().as_bytes().ends_with(b"/") => {
                Err(Failure::usage(format!("there is no directory '{}'", path.display()), "make it first, with mkdir"))
            }
            Err(_) => Self::beside(path),
        }
    }

    /// In the very place that is named: a link there is replaced, and not followed.
    pub(crate) fn beside(path: &Path) -> Result<Self, Failure> {
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // The mode that a new file has here: the umask is applied to it.
        let file = tempfile::Builder::new()
            .prefix(".shoal-")
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(dir)
            .map_err(|error| not_begun(path, dir, error.kind()))?;
        Ok(Self::File { file, path: path.to_owned() })
    }

    /// Gives a file its name. A disk that had room for none of it may say so only here.
    pub(crate) fn close(self) -> io::Result<()> {
        match self {
            Self::File { file, path } => {
                if file.as_file().metadata()?.len() >= SYNCED_BYTES_MIN {
                    file.as_file().sync_data()?;
                }
                file.persist(path).map(drop).map_err(|error| error.error)
            }
            Self::AsItIs(mut file) => file.flush(),
        }
    }
}

impl Write for Destination {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::File { file, .. } => file.write(bytes),
            Self::AsItIs(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::File { file, .. } => file.flush(),
            Self::AsItIs(file) => file.flush(),
        }
    }
}

/// Why there can be no file at a path. What it is called before it is whole is no matter of the user's.
fn not_begun(path: &Path, dir: &Path, kind: io::ErrorKind) -> Failure {
    let (file, dir) = (path.display(), dir.display());
    match kind {
        io::ErrorKind::NotFound => Failure::request(
            format!("cannot write '{file}': there is no directory '{dir}'"),
            format!("make it first: mkdir -p '{dir}'"),
        ),
        kind => Failure::file("write", path, &kind.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::FileTypeExt;

    use super::*;

    fn written(path: &Path) -> Result<(), Failure> {
        let mut destination = Destination::at(path)?;
        destination.write_all(b"new").unwrap();
        destination.close().unwrap();
        Ok(())
    }

    #[test]
    fn a_file_appears_once_it_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        fs::write(&path, "old").unwrap();
        let mut given_up = Destination::at(&path).unwrap();
        given_up.write_all(b"half").unwrap();
        drop(given_up);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        written(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside");
    }

    // The name of the temporary file was told, and no way out.
    #[test]
    fn a_directory_that_is_missing_is_told_with_the_path_that_was_asked_for() {
        let path = tempfile::tempdir().unwrap().path().join("gone/f");
        let Err(Failure::Told { code: 1, message, hint }) = Destination::at(&path) else { panic!("not told") };
        let dir = path.parent().unwrap().display();
        assert_eq!(message, format!("cannot write '{dir}/f': there is no directory '{dir}'"));
        assert_eq!(hint, format!("make it first: mkdir -p '{dir}'"));
        let below_a_file = Path::new("/dev/null/f");
        let Err(Failure::Told { message, .. }) = Destination::at(below_a_file) else { panic!("not told") };
        assert_eq!(message, "cannot write '/dev/null/f': not a directory");
    }

    #[test]
    fn a_link_that_a_user_names_is_written_through_and_another_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("f"), dir.path().join("link"));
        fs::write(&file, "old").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        written(&link).unwrap();
        assert!(link.is_symlink() && fs::read(&file).unwrap() == b"new");
        let mut replacing = Destination::beside(&link).unwrap();
        replacing.write_all(b"other").unwrap();
        replacing.close().unwrap();
        assert!(!link.is_symlink() && fs::read(&file).unwrap() == b"new");
    }

    #[test]
    fn a_device_stays_one_and_a_directory_that_is_not_there_is_told_at_once() {
        written(Path::new("/dev/null")).unwrap();
        assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
        let dir = tempfile::tempdir().unwrap();
        assert!(written(&dir.path().join("missing/")).is_err());
        assert!(written(dir.path()).is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
