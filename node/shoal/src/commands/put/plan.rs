//! Which files a put stores, and under which names.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use shoal_types::ObjectName;

use crate::failure::Failure;
use crate::named;
use crate::transfer::Source;

/// Files that one put may store: more than that is a matter of several.
const FILES_MAX: usize = 1_000_000;
/// Directories below each other.
const DEPTH_MAX: usize = 64;

/// What a put will do.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) puts: Vec<Put>,
    /// What cannot be stored, or not be read.
    pub(super) refused: Vec<Failure>,
}

/// One object to store.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Put {
    pub(super) source: Source,
    pub(super) name: ObjectName,
}

/// Which source becomes which object.
///
/// # Errors
/// What makes no sense as a whole; of a single source, whatever is wrong with it.
pub(super) fn plan(sources: &[PathBuf], target: &str) -> Result<Plan, Failure> {
    let mut plan = Plan::default();
    for source in sources {
        match plan.add(source, target) {
            Err(failure) if sources.len() > 1 && !failure.is_of_usage() => plan.refused.push(failure),
            added => added?,
        }
        if plan.is_full() {
            return Err(Failure::request(format!("there are more than {FILES_MAX} files"), "put fewer at a time"));
        }
    }
    let files = plan.puts.len() + plan.refused.len();
    if !target.ends_with('/') && files > 1 {
        return Err(Failure::usage(
            format!("{files} files cannot all be '{target}'"),
            format!("end the target in a slash: {target}/"),
        ));
    }
    plan.puts.sort_by(|one, other| one.name.cmp(&other.name));
    match plan.puts.array_windows().find(|[one, other]| one.name == other.name) {
        Some([one, other]) => Err(Failure::usage(
            format!("{} and {} would both be '{}'", one.source, other.source, one.name),
            "put them under different prefixes",
        )),
        None => Ok(plan),
    }
}

impl Plan {
    /// A source, and all that is below it.
    fn add(&mut self, source: &Path, target: &str) -> Result<(), Failure> {
        let prefix = target.strip_suffix('/');
        if source.as_os_str() == "-" {
            if prefix.is_some() {
                return Err(Failure::usage("stdin needs a whole name, not a prefix", "shoal put - BUCKET/KEY"));
            }
            self.puts.push(Put { source: Source::Stdin, name: named::object(target)? });
            return Ok(());
        }
        let meta = std::fs::metadata(source).map_err(|error| Failure::file("read", source, &error))?;
        let name = match (meta.is_dir(), prefix) {
            (false, None) => named::target(target)?,
            (false, Some(prefix)) => name_below(prefix, source.file_name().map_or(source, Path::new))?,
            (true, Some(prefix)) => return self.walk(source, &meta, prefix),
            (true, None) => {
                return Err(Failure::usage(
                    format!("'{}' is a directory, and '{target}' the name of one object", source.display()),
                    format!("end the target in a slash: {target}/"),
                ));
            }
        };
        self.puts.push(Put { source: Source::File(source.to_owned()), name });
        Ok(())
    }

    /// The files below a directory; links are followed.
    fn walk(&mut self, root: &Path, meta: &Metadata, prefix: &str) -> Result<(), Failure> {
        // Each with itself and the directories around it, the outermost first.
        let mut waiting = vec![(root.to_path_buf(), vec![identity(meta)])];
        while let Some((dir, around)) = waiting.pop() {
            let unreadable = |error: &std::io::Error| Failure::file("read", &dir, error);
            let entries = match std::fs::read_dir(&dir) {
                Ok(entries) => entries,
                Err(error) if around.len() == 1 => return Err(unreadable(&error)),
                Err(error) => {
                    self.refused.push(unreadable(&error));
                    continue;
                }
            };
            for entry in entries {
                let path = entry.map_err(|error| unreadable(&error))?.path();
                match std::fs::metadata(&path) {
                    Ok(meta) if meta.is_dir() => match enter(&path, &meta, &around) {
                        Ok(within) => waiting.push((path, within)),
                        Err(failure) => self.refused.push(failure),
                    },
                    Ok(meta) if meta.is_file() => match name_below(prefix, path.strip_prefix(root).unwrap_or(&path)) {
                        Ok(name) => self.puts.push(Put { source: Source::File(path), name }),
                        Err(failure) => self.refused.push(failure.about(path.display())),
                    },
                    Ok(_) => eprintln!("warning: '{}' is not a file and is left out", path.display()),
                    Err(error) => self.refused.push(Failure::file("read", &path, &error)),
                }
                if self.is_full() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Whether there are more files than one put may store.
    fn is_full(&self) -> bool {
        self.puts.len() + self.refused.len() > FILES_MAX
    }
}

/// What is around the files in a directory, itself included. One that a link
/// leads back to would be read for ever.
fn enter(path: &Path, meta: &Metadata, around: &[Identity]) -> Result<Vec<Identity>, Failure> {
    let this = identity(meta);
    if let Some(at) = around.iter().rev().position(|dir| *dir == this) {
        let back = path.ancestors().nth(at + 1).unwrap_or(path);
        return Err(Failure::request(
            format!("'{}' links back to '{}', in which it is", path.display(), back.display()),
            "take the link away; all else that is there is put",
        ));
    }
    if around.len() > DEPTH_MAX {
        return Err(Failure::request(
            format!("'{}' is more than {DEPTH_MAX} directories deep", path.display()),
            "put it by itself",
        ));
    }
    Ok(around.iter().copied().chain([this]).collect())
}

/// A directory's device and inode.
type Identity = (u64, u64);

fn identity(meta: &Metadata) -> Identity {
    (meta.dev(), meta.ino())
}

fn name_below(prefix: &str, path: &Path) -> Result<ObjectName, Failure> {
    let path = path.to_str().ok_or_else(|| {
        Failure::request(format!("the file name '{}' is not UTF-8, as names must be", path.display()), "rename it")
    })?;
    Ok(ObjectName::new(format!("{prefix}/{path}"))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(sources: &[PathBuf], target: &str) -> Result<Vec<String>, Failure> {
        Ok(plan(sources, target)?.puts.into_iter().map(|put| put.name.to_string()).collect())
    }

    #[test]
    fn a_target_is_a_name_or_a_prefix() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::create_dir_all(at("d/sub")).unwrap();
        for name in ["a.csv", "b.csv", "d/c.csv", "d/sub/e.csv"] {
            std::fs::write(at(name), "x").unwrap();
        }
        assert_eq!(names(&[at("a.csv")], "b/k").unwrap(), ["b/k"]);
        assert_eq!(names(&[at("a.csv"), at("b.csv")], "b/").unwrap(), ["b/a.csv", "b/b.csv"]);
        assert_eq!(names(&[at("d")], "b/x/").unwrap(), ["b/x/c.csv", "b/x/sub/e.csv"]);
        assert_eq!(names(&["-".into()], "b/k").unwrap(), ["b/k"]);
        assert!(names(&["-".into()], "b/").is_err());
        assert!(names(&[at("d")], "b/x").is_err());
        assert!(names(&[at("a.csv"), at("b.csv")], "b/k").is_err());
        assert!(names(&[at("a.csv"), at("a.csv")], "b/").is_err());
        assert!(names(&[at("a.csv")], "nobucket").is_err());
    }

    #[test]
    fn what_cannot_be_stored_does_not_keep_the_rest_of_its_directory() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a.csv", "b\n.csv", "c.csv"] {
            std::fs::write(dir.path().join(name), "x").unwrap();
        }
        std::os::unix::fs::symlink("/no/such", dir.path().join("dangling")).unwrap();
        let plan = plan(&[dir.path().into()], "b/").unwrap();
        assert_eq!(plan.puts.iter().map(|put| put.name.as_str()).collect::<Vec<_>>(), ["b/a.csv", "b/c.csv"]);
        assert_eq!(plan.refused.len(), 2, "{:?}", plan.refused);
    }

    // Below the 64th directory nothing was stored, with a warning that it was no
    // file, and the put counted as one that went well.
    #[test]
    fn what_is_too_deep_to_be_stored_is_a_failure() {
        let dir = tempfile::tempdir().unwrap();
        let deepest = dir.path().join(["d"; DEPTH_MAX].join("/"));
        std::fs::create_dir_all(deepest.join("more")).unwrap();
        std::fs::write(deepest.join("a.csv"), "x").unwrap();
        std::fs::write(deepest.join("more/b.csv"), "x").unwrap();
        let plan = plan(&[dir.path().into()], "b/").unwrap();
        assert_eq!((plan.puts.len(), plan.refused.len()), (1, 1), "{:?}", plan.refused);
        let Failure::Told { message, code: 1, .. } = &plan.refused[0] else { panic!("not told") };
        assert!(message.contains("more' is more than 64 directories deep"), "{message}");
    }

    #[test]
    fn a_missing_file_is_named_before_anything_is_sent() {
        let Err(Failure::Told { message, code: 1, .. }) = names(&["/no/such".into()], "b/k") else {
            panic!("not told")
        };
        assert!(message.contains("/no/such"), "{message}");
    }

    // Nothing was stored, though the help says that the others are.
    #[test]
    fn of_several_a_missing_one_does_not_keep_the_others() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("h.txt");
        std::fs::write(&file, "x").unwrap();
        let plan = plan(&[file.clone(), "/no/such".into()], "b/").unwrap();
        assert_eq!((plan.puts.len(), plan.puts[0].name.as_str()), (1, "b/h.txt"));
        let [Failure::Told { message, code: 1, .. }] = &plan.refused[..] else { panic!("{:?}", plan.refused) };
        assert!(message.contains("'/no/such'"), "{message}");
        // What makes no sense as a whole stores nothing.
        assert!(names(&[file.clone(), "/no/such".into()], "b/k").is_err());
        assert!(names(&[file, "-".into()], "b/").is_err());
    }

    // Three files became 99 objects: the links were followed until the system gave up.
    #[test]
    fn a_link_that_leads_back_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let link = |to: &str, at: &str| std::os::unix::fs::symlink(to, dir.path().join(at)).unwrap();
        for name in ["d/one", "d/sub/two", "d/other/three"] {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        }
        link("..", "d/sub/up");
        link("../other", "d/sub/beside");
        link("d", "e");
        let plan = plan(&[dir.path().join("e")], "b/").unwrap();
        let names: Vec<&str> = plan.puts.iter().map(|put| put.name.as_str()).collect();
        assert_eq!(names, ["b/one", "b/other/three", "b/sub/beside/three", "b/sub/two"]);
        let [Failure::Told { message, code: 1, .. }] = &plan.refused[..] else { panic!("{:?}", plan.refused) };
        assert!(message.contains("/e/sub/up' links back to '") && message.contains("/e', in which"), "{message}");
    }
}
