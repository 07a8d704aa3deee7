//! Text to count words in: files of a directory, as plain UTF-8.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// Directories with text in them on common systems, in the order in which
/// they are tried.
const USUAL: [&str; 4] = ["/usr/share/common-licenses", "/usr/share/perl", "/usr/share/doc", "/usr/share"];

/// Files longer than this are left out: more likely data than prose.
const FILE_BYTES_MAX: u64 = 8 << 20;

/// Files looked at.
const FILES_MAX: usize = 20_000;

/// Directories below each other.
const DEPTH_MAX: usize = 8;

/// Text of about `wanted` bytes out of the files below `dir`, over and over
/// where there is less. `dir` defaults to text that is on every machine.
/// Gives the text and where it came from.
pub(crate) fn collect(dir: Option<&Path>, wanted: usize) -> anyhow::Result<(Vec<u8>, PathBuf)> {
    let candidates: Vec<PathBuf> = match dir {
        Some(dir) => vec![dir.to_owned()],
        None => USUAL.iter().map(PathBuf::from).collect(),
    };
    let mut best: Option<(Vec<u8>, PathBuf)> = None;
    for dir in candidates {
        let mut text = Vec::new();
        let mut files = 0;
        gather(&dir, wanted, DEPTH_MAX, &mut files, &mut text)
            .with_context(|| format!("cannot read '{}'", dir.display()))
            .or_else(|error| if dir.exists() { Err(error) } else { Ok(()) })?;
        let enough = text.len() >= wanted / 16;
        if best.as_ref().is_none_or(|(found, _)| found.len() < text.len()) {
            best = Some((text, dir));
        }
        if enough {
            break;
        }
    }
    let Some((mut text, dir)) = best.filter(|(text, _)| !text.is_empty()) else {
        bail!("there is no text below '{}'", dir.unwrap_or(Path::new("/usr/share")).display());
    };
    let once = text.len();
    while text.len() < wanted {
        let more = once.min(wanted - text.len());
        text.extend_from_within(..more);
    }
    // Whole lines, and whole characters with them.
    if let Some(end) = text.iter().rposition(|byte| *byte == b'\n') {
        text.truncate(end + 1);
    }
    Ok((text, dir))
}

fn gather(dir: &Path, wanted: usize, depth: usize, files: &mut usize, text: &mut Vec<u8>) -> std::io::Result<()> {
    let mut entries: Vec<_> = fs::read_dir(dir)?.flatten().collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        if text.len() >= wanted || *files >= FILES_MAX {
            return Ok(());
        }
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() && depth > 0 {
            // One that may not be read is passed over.
            let _ = gather(&entry.path(), wanted, depth - 1, files, text);
        } else if kind.is_file() && entry.metadata().is_ok_and(|meta| meta.len() <= FILE_BYTES_MAX) {
            *files += 1;
            if let Ok(content) = fs::read(entry.path())
                && !content.contains(&0)
                && std::str::from_utf8(&content).is_ok()
            {
                text.extend_from_slice(&content);
                if content.last().is_some_and(|last| *last != b'\n') {
                    text.push(b'\n');
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_whole_lines_of_about_the_wanted_length_and_no_binary() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.txt"), "one two\nthree\n").unwrap();
        fs::write(dir.path().join("b.bin"), [0u8, 1, 2]).unwrap();
        let (text, from) = collect(Some(dir.path()), 1000).unwrap();
        assert_eq!(from, dir.path());
        assert!((980..=1000).contains(&text.len()), "{}", text.len());
        assert!(text.ends_with(b"\n") && !text.contains(&0));
        assert!(collect(Some(&dir.path().join("none")), 10).is_err());
    }
}
