//! Local files as tables, for the mesh of one in the process.

use std::fs;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use globset::GlobBuilder;
use shoal_ports::{LocalFiles, TableFile, TableSource};
use shoal_types::{Error, Result};

/// Files that one pattern may stand for.
const FILES_MAX: usize = 100_000;
/// Directories below each other: more is a loop of mounts or links.
const DEPTH_MAX: usize = 64;

/// The files that the user sees, relative to the working directory.
#[derive(Debug)]
pub(crate) struct SystemFiles;

impl LocalFiles for SystemFiles {
    fn resolve(&self, pattern: &str) -> Result<Vec<TableFile>> {
        let path = Path::new(pattern);
        let mut files = match fs::metadata(path) {
            // What exists is meant literally, whatever characters it has.
            Ok(meta) if meta.is_file() => vec![path.to_path_buf()],
            Ok(meta) if meta.is_dir() => walk(path, DEPTH_MAX, &|_| true)?,
            _ if is_glob(pattern) => matching(pattern)?,
            _ => Vec::new(),
        };
        files.sort();
        if files.is_empty() {
            return Err(Error::not_found(
                format!("there is no file '{pattern}'"),
                "tables are files here, as no peer runs; with one running (shoal up) they are objects of the mesh",
            ));
        }
        files.into_iter().map(table_file).collect()
    }
}

fn table_file(path: PathBuf) -> Result<TableFile> {
    let bytes = fs::metadata(&path).map_err(|error| unreadable(&path, &error))?.len();
    let Some(path) = path.to_str().map(str::to_owned) else {
        return Err(Error::invalid(format!("the file name '{}' is not UTF-8", path.display()), "rename it"));
    };
    Ok(TableFile { name: path.clone(), source: TableSource::Local { path, bytes } })
}

fn is_glob(pattern: &str) -> bool {
    pattern.contains(['*', '?', '[', '{'])
}

/// The files that match a glob; `**` crosses directories, `*` does not.
fn matching(pattern: &str) -> Result<Vec<PathBuf>> {
    let clean: PathBuf = Path::new(pattern).components().filter(|part| *part != Component::CurDir).collect();
    let text = clean.to_string_lossy();
    let glob = GlobBuilder::new(&text)
        .literal_separator(true)
        .build()
        .map_err(|error| Error::invalid(format!("'{pattern}' is not a pattern: {error}"), ""))?
        .compile_matcher();
    let fixed: PathBuf = clean.components().take_while(|part| !is_glob(&part.as_os_str().to_string_lossy())).collect();
    // Further down than it has parts nothing matches.
    let parts = clean.components().count() - fixed.components().count();
    let depth = if text.contains("**") { DEPTH_MAX } else { parts.saturating_sub(1) };
    walk(&fixed, depth, &|path| glob.is_match(path))
}

/// The files below `root` that are wanted, in directories up to so many below
/// each other; hidden ones (`.`) and those that writers leave beside the data
/// (`_SUCCESS`) are none.
fn walk(root: &Path, depth_max: usize, wanted: &dyn Fn(&Path) -> bool) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut waiting = vec![(root.to_path_buf(), 0)];
    while let Some((dir, depth)) = waiting.pop() {
        let here = if dir.as_os_str().is_empty() { Path::new(".") } else { &dir };
        let entries = match fs::read_dir(here) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(unreadable(here, &error)),
        };
        for entry in entries {
            let entry = entry.map_err(|error| unreadable(here, &error))?;
            let name = entry.file_name();
            if name.as_encoded_bytes().starts_with(b".") || name.as_encoded_bytes().starts_with(b"_") {
                continue;
            }
            let path = dir.join(name);
            let meta = match fs::metadata(&path) {
                Ok(meta) => meta,
                // A file that has just gone.
                Err(error) if error.kind() == ErrorKind::NotFound && !path.is_symlink() => continue,
                Err(error) if wanted(&path) || depth < depth_max && may_be_directory(&error) => {
                    return Err(unreadable(&path, &error));
                }
                Err(_) => continue,
            };
            if meta.is_dir() && depth < depth_max {
                waiting.push((path, depth + 1));
            } else if meta.is_dir() && depth_max == DEPTH_MAX {
                return Err(Error::invalid(
                    format!("'{}' is more than {DEPTH_MAX} directories deep", path.display()),
                    "name what is below it by itself; if links lead round in a circle, take one of them away",
                ));
            } else if meta.is_file() && wanted(&path) {
                found.push(path);
            }
        }
        if found.len() > FILES_MAX {
            return Err(Error::invalid(format!("more than {FILES_MAX} files are meant"), "name fewer at a time"));
        }
    }
    Ok(found)
}

/// Whether what could not be looked at for this error may be a directory: one
/// that is forbidden, or behind more links than are followed.
fn may_be_directory(error: &std::io::Error) -> bool {
    !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    Error::invalid(format!("cannot read '{}': {error}", path.display()), "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path, pattern: &str) -> Vec<String> {
        let pattern = dir.join(pattern).to_str().unwrap().to_owned();
        let files = SystemFiles.resolve(&pattern).unwrap_or_default();
        files.iter().map(|file| file.name[dir.to_str().unwrap().len() + 1..].to_owned()).collect()
    }

    #[test]
    fn a_file_a_directory_and_a_glob_are_tables() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b.csv", "a.csv", "odd[1].csv", "sub/c.csv", "sub/.hidden", "sub/_SUCCESS"] {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        assert_eq!(names(dir.path(), "a.csv"), ["a.csv"]);
        assert_eq!(names(dir.path(), "odd[1].csv"), ["odd[1].csv"]);
        assert_eq!(names(dir.path(), "?.csv"), ["a.csv", "b.csv"]);
        assert_eq!(names(dir.path(), "**/?.csv"), ["a.csv", "b.csv", "sub/c.csv"]);
        assert_eq!(names(dir.path(), "sub"), ["sub/c.csv"]);
        assert_eq!(names(dir.path(), "none*"), [""; 0]);
        assert!(matches!(SystemFiles.resolve("/no/such/file.csv"), Err(Error::NotFound { .. })));
    }

    // What was below the 64th directory, or a link to what is not there any
    // more, was left out of a table without a word.
    #[test]
    fn what_cannot_be_looked_into_is_told_where_it_would_be_part_of_a_table() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        fs::create_dir_all(dir.path().join(["d"; DEPTH_MAX + 1].join("/"))).unwrap();
        fs::create_dir(at("t")).unwrap();
        fs::write(at("t/a.csv"), "x").unwrap();
        std::os::unix::fs::symlink("/no/such", at("t/b.csv")).unwrap();
        for table in [at(""), at("**/a.csv"), at("t"), at("t/*.csv")] {
            let failed = SystemFiles.resolve(&table);
            assert!(matches!(&failed, Err(Error::Invalid { .. })), "{table} {failed:?}");
        }
        assert_eq!(names(dir.path(), "t/a*"), ["t/a.csv"]);
        assert_eq!(names(dir.path(), "*/a.csv"), ["t/a.csv"]);
    }

    // A link to itself that no pattern matches made a table of all that is beside it fail.
    #[test]
    fn what_cannot_be_looked_into_is_passed_over_where_it_would_be_no_part_of_a_table() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("a.csv"), "x").unwrap();
        for (link, to) in [("x", "x"), ("y", "a.csv/y"), ("z", "/no/such")] {
            std::os::unix::fs::symlink(to, at(link)).unwrap();
        }
        assert_eq!(names(dir.path(), "*.csv"), ["a.csv"]);
        for table in ["", "x*", "y*", "z*"] {
            let failed = SystemFiles.resolve(at(table).to_str().unwrap());
            assert!(matches!(&failed, Err(Error::Invalid { .. })), "{table} {failed:?}");
        }
        fs::remove_file(at("x")).unwrap();
        assert_eq!(names(dir.path(), "**/*.csv"), ["a.csv"]);
    }

    // It was followed until the system refused to, and each file in it was there 40 times.
    #[test]
    fn links_in_a_circle_are_told_where_directories_of_any_depth_are_meant() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.csv"), "x").unwrap();
        std::os::unix::fs::symlink(dir.path(), dir.path().join("self")).unwrap();
        assert_eq!(names(dir.path(), "*.csv"), ["a.csv"]);
        assert!(SystemFiles.resolve(dir.path().join("**/*.csv").to_str().unwrap()).is_err());
    }
}
