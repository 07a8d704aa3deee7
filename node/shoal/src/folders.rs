//! Sums by folder, out of a listing.

use serde::Serialize;

/// What is in a folder and in all below it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Folder {
    /// With its slash; empty for the whole mesh.
    pub(crate) folder: String,
    pub(crate) objects: u64,
    /// The bytes of the objects, each counted once however many copies are kept.
    pub(crate) bytes: u64,
}

/// Sums up names as they come in byte order: then those of a folder follow
/// each other, and only the folders around the present one are in memory.
#[derive(Debug)]
pub(crate) struct Folders {
    depth: usize,
    /// The folder that is summed up, and in it those that are open, each in the one before.
    open: Vec<Folder>,
}

impl Folders {
    /// Below `top`, which ends in a slash or is empty; folders of at most
    /// `depth` levels below it have a sum of their own.
    pub(crate) fn new(top: &str, depth: usize) -> Self {
        Self { depth, open: vec![Folder { folder: top.to_owned(), objects: 0, bytes: 0 }] }
    }

    /// Takes the next object; gives the folders that are complete, the innermost first.
    pub(crate) fn add(&mut self, name: &str, bytes: u64) -> Vec<Folder> {
        let mut complete = Vec::new();
        // The first is never complete: it has all there is.
        while self.open.len() > 1
            && let Some(last) = self.open.pop_if(|last| !name.starts_with(&last.folder))
        {
            complete.push(last);
        }
        while self.open.len() <= self.depth
            && let Some(last) = self.open.last()
            && let Some(slash) = name.get(last.folder.len()..).and_then(|rest| rest.find('/'))
        {
            let folder = name[..=last.folder.len() + slash].to_owned();
            self.open.push(Folder { folder, objects: 0, bytes: 0 });
        }
        for folder in &mut self.open {
            folder.objects += 1;
            folder.bytes = folder.bytes.saturating_add(bytes);
        }
        complete
    }

    /// The folders that are left, the whole one last.
    pub(crate) fn finish(mut self) -> Vec<Folder> {
        self.open.reverse();
        self.open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(top: &str, depth: usize) -> Vec<(String, u64, u64)> {
        let names = [("b/a/x", 1), ("b/a/y", 2), ("b/a-z/x", 4), ("b/c", 8), ("b/d/e/f/x", 16), ("b/d/g", 32)];
        let mut sorted = names;
        sorted.sort();
        let mut folders = Folders::new(top, depth);
        let mut all: Vec<Folder> = sorted.iter().flat_map(|(name, bytes)| folders.add(name, *bytes)).collect();
        all.extend(folders.finish());
        all.into_iter().map(|folder| (folder.folder, folder.objects, folder.bytes)).collect()
    }

    #[test]
    fn a_folder_sums_up_all_below_it_and_the_whole_comes_last() {
        let rows = |rows: &[(&str, u64, u64)]| rows.iter().map(|(f, n, b)| (f.to_string(), *n, *b)).collect::<Vec<_>>();
        assert_eq!(sums("b/", 0), rows(&[("b/", 6, 63)]));
        assert_eq!(sums("b/", 1), rows(&[("b/a-z/", 1, 4), ("b/a/", 2, 3), ("b/d/", 2, 48), ("b/", 6, 63)]));
        assert_eq!(
            sums("", 9),
            rows(&[
                ("b/a-z/", 1, 4),
                ("b/a/", 2, 3),
                ("b/d/e/f/", 1, 16),
                ("b/d/e/", 1, 16),
                ("b/d/", 2, 48),
                ("b/", 6, 63),
                ("", 6, 63)
            ])
        );
        assert_eq!(Folders::new("", 1).finish(), [Folder { folder: String::new(), objects: 0, bytes: 0 }]);
    }
}
