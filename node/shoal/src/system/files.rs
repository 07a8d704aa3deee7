//! Local files as tables, for the mesh of one in the process.

use std::fs;
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
            Ok(meta) if meta.is_dir() => walk(path, &|_| true)?,
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
    walk(&fixed, &|path| glob.is_match(path))
}

/// The files below `root` that are wanted; hidden ones (`.`) and those that
/// writers leave beside the data (`_SUCCESS`) are none.
fn walk(root: &Path, wanted: &dyn Fn(&Path) -> bool) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut waiting = vec![(root.to_path_buf(), 0)];
    while let Some((dir, depth)) = waiting.pop() {
        let here = if dir.as_os_str().is_empty() { Path::new(".") } else { &dir };
        let entries = match fs::read_dir(here) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(unreadable(here, &error)),
        };
        for entry in entries {
            let entry = entry.map_err(|error| unreadable(here, &error))?;
            let name = entry.file_name();
            if name.as_encoded_bytes().starts_with(b".") || name.as_encoded_bytes().starts_with(b"_") {
                continue;
            }
            let path = dir.join(name);
            let Ok(meta) = fs::metadata(&path) else { continue };
            if meta.is_dir() && depth < DEPTH_MAX {
                waiting.push((path, depth + 1));
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
}
