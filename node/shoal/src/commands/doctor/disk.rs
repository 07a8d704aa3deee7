//! How much room there is, and how fast the disk is.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use super::findings::{Finding, Grade};
use crate::units;

/// With less room a peer soon refuses data.
const FREE_MIN: u64 = 5 << 30;

/// Syncs that are timed; of each some hundred bytes.
const SYNCS: usize = 11;

/// A sync that takes longer slows every name and layout.
const SYNC_SLOW: Duration = Duration::from_millis(50);

/// Bytes written to see how fast that goes.
const WRITTEN: usize = 64 << 20;

/// A disk that writes fewer bytes a second is slower than a common network.
const WRITE_SLOW: f64 = 100e6;

pub(super) fn check(dir: &Path) -> Vec<Finding> {
    if !dir.exists() {
        return vec![Finding::new(
            "disk",
            Grade::Odd,
            format!("'{}' is not there yet: the disk was not looked at", dir.display()),
            "the first 'shoal up' makes it; --dir names another",
        )];
    }
    let mut findings = vec![room(dir)];
    match speed(dir) {
        Ok((sync, bytes_per_second)) => findings.extend(judge(sync, bytes_per_second)),
        Err(error) => findings.push(Finding::new(
            "disk",
            Grade::Wrong,
            format!("cannot write to '{}': {error}", dir.display()),
            "see who owns the directory, and whether the disk is full or read-only",
        )),
    }
    findings
}

fn room(dir: &Path) -> Finding {
    match rustix::fs::statvfs(dir) {
        Ok(stat) => {
            let (free, all) = (stat.f_bavail * stat.f_frsize, stat.f_blocks * stat.f_frsize);
            let what = format!("{} of {} are free in '{}'", units::bytes(free), units::bytes(all), dir.display());
            match free < FREE_MIN {
                true => Finding::new("disk", Grade::Odd, what, "make room, or move the directory: shoal up --dir DIR"),
                false => Finding::fine("disk", what),
            }
        }
        Err(error) => Finding::new("disk", Grade::Odd, format!("how much is free cannot be seen: {error}"), ""),
    }
}

/// How long a sync of some hundred bytes takes, as a rule, and bytes per
/// second of a file that is written and synced.
fn speed(dir: &Path) -> io::Result<(Duration, f64)> {
    let mut file: File = tempfile::tempfile_in(dir)?;
    let mut syncs = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        file.write_all(&[7; 512])?;
        let began = Instant::now();
        file.sync_data()?;
        syncs.push(began.elapsed());
    }
    syncs.sort();
    let block = vec![7; 1 << 20];
    let began = Instant::now();
    for _ in 0..WRITTEN / block.len() {
        file.write_all(&block)?;
    }
    file.sync_data()?;
    Ok((syncs[SYNCS / 2], WRITTEN as f64 / began.elapsed().as_secs_f64()))
}

fn judge(sync: Duration, bytes_per_second: f64) -> [Finding; 2] {
    let ms = sync.as_secs_f64() * 1e3;
    let synced = format!("a sync takes {ms:.1} ms");
    let written = format!("it writes {}/s", units::bytes(bytes_per_second as u64));
    [
        match sync > SYNC_SLOW {
            true => {
                Finding::new("disk", Grade::Odd, synced, "names change no faster than that; an SSD takes about 1 ms")
            }
            false => Finding::fine("disk", synced),
        },
        match bytes_per_second < WRITE_SLOW {
            true => Finding::new("disk", Grade::Odd, written, "give the peer a lower weight: shoal weight 30"),
            false => Finding::fine("disk", written),
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_measured_and_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let findings = check(dir.path());
        assert_eq!(findings.len(), 3, "{findings:?}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        assert!(matches!(&check(&dir.path().join("none"))[..], [finding] if finding.grade == Grade::Odd));
    }

    #[test]
    fn a_slow_disk_is_odd_with_a_remedy() {
        let [sync, write] = judge(Duration::from_millis(80), 20e6);
        assert!(sync.grade == Grade::Odd && write.grade == Grade::Odd && !write.remedy.is_empty());
        let [sync, write] = judge(Duration::from_millis(1), 1e9);
        assert!(sync.grade == Grade::Fine && write.grade == Grade::Fine);
    }
}
