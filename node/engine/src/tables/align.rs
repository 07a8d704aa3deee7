//! Where a local file of records can be cut.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use memchr::memchr;
use shoal_types::Format;

use crate::cut::{CutLimits, cutter};

/// Bytes read at a time.
const BLOCK_BYTES: usize = 1 << 20;

/// Ranges of about `target` bytes that begin and end at the ends of records.
///
/// A record ends at a newline; in a CSV, separated as one of the name `csv`,
/// at one outside quotes, for which the whole file is read once (a GB/s or
/// more when it is in memory).
pub(crate) fn aligned(path: &str, bytes: u64, target: u64, csv: Option<&str>) -> io::Result<Vec<(u64, u64)>> {
    if bytes <= target {
        return Ok(vec![(0, bytes)]);
    }
    let file = File::open(path)?;
    let ends = match csv {
        Some(name) => csv_ends(&file, name, bytes, target)?,
        None => plain_ends(&file, bytes, target)?,
    };
    let mut ranges = Vec::with_capacity(ends.len() + 1);
    let mut start = 0;
    for end in ends.into_iter().chain([bytes]) {
        if end > start {
            ranges.push((start, end));
            start = end;
        }
    }
    Ok(ranges)
}

fn plain_ends(file: &File, bytes: u64, target: u64) -> io::Result<Vec<u64>> {
    let mut ends = Vec::new();
    let mut block = vec![0; BLOCK_BYTES];
    let mut at = target;
    while at < bytes {
        let read = read_block(file, &mut block, at - 1, bytes)?;
        match memchr(b'\n', read) {
            Some(found) => {
                let end = at + found as u64;
                ends.push(end);
                at = end + target;
            }
            None => at += read.len() as u64,
        }
    }
    Ok(ends)
}

/// Where the cutter of objects would cut: a local file is scanned in the
/// same parts as the object that it would become.
fn csv_ends(file: &File, name: &str, bytes: u64, target: u64) -> io::Result<Vec<u64>> {
    let defaults = CutLimits::default();
    let target_bytes = usize::try_from(target).unwrap_or(usize::MAX);
    let limits = CutLimits {
        target_bytes,
        max_bytes: defaults.max_bytes.max(target_bytes),
        min_bytes: defaults.min_bytes.min(target_bytes),
    };
    let mut cutter = cutter(name, Format::Csv, limits);
    let mut ends = Vec::new();
    let (mut at, mut cut) = (0, 0);
    while at < bytes {
        let mut block = vec![0; BLOCK_BYTES];
        let len = read_block(file, &mut block, at, bytes)?.len();
        block.truncate(len);
        at += len as u64;
        for part in cutter.push(block.into()).map_err(io::Error::other)? {
            cut += part.len() as u64;
            ends.push(cut);
        }
    }
    for part in cutter.finish().map_err(io::Error::other)? {
        cut += part.len() as u64;
        ends.push(cut);
    }
    Ok(ends)
}

fn read_block<'a>(file: &File, block: &'a mut [u8], at: u64, bytes: u64) -> io::Result<&'a [u8]> {
    let len = block.len().min((bytes - at) as usize);
    file.read_exact_at(&mut block[..len], at)?;
    Ok(&block[..len])
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn check(text: &str, target: u64, quoted: bool) -> Vec<String> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let path = file.path().to_str().unwrap();
        let ranges = aligned(path, text.len() as u64, target, quoted.then_some("x.csv")).unwrap();
        let parts: Vec<String> =
            ranges.iter().map(|(start, end)| text[*start as usize..*end as usize].into()).collect();
        assert_eq!(parts.concat(), text);
        parts
    }

    #[test]
    fn a_file_is_cut_at_newlines() {
        assert_eq!(check("ab\ncd\nef\n", 1, false), ["ab\n", "cd\n", "ef\n"]);
        assert_eq!(check("ab\ncd\nef", 3, false), ["ab\n", "cd\n", "ef"]);
        assert_eq!(check("abcdef", 2, false), ["abcdef"]);
    }

    #[test]
    fn a_newline_in_quotes_is_no_end() {
        assert_eq!(check("a,\"x\ny\"\nb,c\n\"\n\n\",d\n", 2, true), ["a,\"x\ny\"\n", "b,c\n", "\"\n\n\",d\n"]);
        let long = format!("{}\"{}\"\nlast\n", "1,2\n".repeat(10), "\n".repeat(BLOCK_BYTES + 5));
        let parts = check(&long, 16, true);
        assert!(parts.iter().all(|part| part.matches('"').count() % 2 == 0), "the long record is whole");
        assert_eq!(check("5\" pipe\n1,2\n3,4\n", 4, true).concat().len(), 16);
    }
}
