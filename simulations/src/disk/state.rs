use std::io::{self, ErrorKind};
use std::time::Duration;

use super::config::{DiskConfig, DiskCounters, Outage};
use super::content::{File, Used};
use super::luck::{Luck, Purpose};
use super::names::Names;

/// All of a disk, whoever has it mounted.
pub(super) struct State {
    seed: u64,
    config: DiskConfig,
    pub(super) names: Names,
    pub(super) used: Used,
    pub(super) faults: Faults,
    mounts: u64,
    /// Why there is no mount, if there is none.
    ended: Option<&'static str>,
    is_off: bool,
    /// Changes that still come before the one in which the power goes.
    changes_to_power_off: Option<u64>,
    cuts: u64,
    failed_syncs: u64,
    rots: u64,
    counters: DiskCounters,
    cost: Duration,
    trace: blake3::Hasher,
}

/// What is wrong with a disk.
pub(super) struct Faults {
    /// Of the capacity, taken by somebody else.
    pub(super) others_bytes: u64,
    pub(super) slowness_percent: u32,
    pub(super) syncs_fail: bool,
    pub(super) reads_fail: bool,
    pub(super) syncs_lie: bool,
}

/// `EIO`: what a medium that cannot be read or written says.
const EIO: i32 = 5;

const POWER: &str = "the power of this disk is off";

impl State {
    pub(super) fn new(seed: u64, config: DiskConfig) -> Self {
        Self {
            seed,
            config,
            names: Names::default(),
            used: Used::default(),
            faults: Faults {
                others_bytes: 0,
                slowness_percent: 100,
                syncs_fail: false,
                reads_fail: false,
                syncs_lie: false,
            },
            mounts: 0,
            ended: Some("this disk is not mounted"),
            is_off: false,
            changes_to_power_off: None,
            cuts: 0,
            failed_syncs: 0,
            rots: 0,
            counters: DiskCounters::default(),
            cost: Duration::ZERO,
            trace: blake3::Hasher::new(),
        }
    }

    /// Begins a mount, which ends the one before; its number.
    pub(super) fn mount(&mut self) -> u64 {
        self.mounts += 1;
        self.ended = None;
        self.is_off = false;
        self.mounts
    }

    /// An error unless this mount is the present one.
    pub(super) fn is_mounted(&self, mount: u64) -> io::Result<()> {
        match self.ended {
            Some(why) => Err(io::Error::other(why)),
            None if mount != self.mounts => Err(io::Error::other("this disk was mounted anew")),
            None => Ok(()),
        }
    }

    pub(super) fn end(&mut self, outage: Outage) {
        match outage {
            Outage::Process => self.ended = Some("this process was killed"),
            Outage::Power => {
                self.ended = Some(POWER);
                self.is_off = true;
                self.changes_to_power_off = None;
                self.cuts += 1;
                self.names.cut(&mut Luck::new(Purpose::Cut.random(self.seed, self.cuts)));
            }
        }
    }

    pub(super) fn lose_everything(&mut self) {
        self.names = Names::default();
        self.ended = Some("this disk lost its directory");
    }

    pub(super) fn is_off(&self) -> bool {
        self.is_off
    }

    pub(super) fn power_off_after(&mut self, changes: u64) {
        self.changes_to_power_off = Some(changes);
    }

    pub(super) fn free_bytes(&self) -> u64 {
        self.config.capacity_bytes.saturating_sub(self.faults.others_bytes).saturating_sub(self.used.bytes())
    }

    pub(super) fn set_free_bytes(&mut self, free: Option<u64>) {
        self.faults.others_bytes = 0;
        if let Some(free) = free {
            self.faults.others_bytes = self.free_bytes().saturating_sub(free);
        }
    }

    /// Enters an operation into the counters and the trace.
    pub(super) fn note(&mut self, what: &str, path: &str, at: u64, bytes: &[u8]) {
        self.counters.operations += 1;
        self.trace.update(what.as_bytes()).update(&[0]).update(path.as_bytes()).update(&[0]);
        self.trace.update(&at.to_le_bytes()).update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
    }

    /// An operation that changes something; the power may go in its middle.
    pub(super) fn change<T>(&mut self, change: impl FnOnce(&mut Self, Cut) -> io::Result<T>) -> io::Result<T> {
        self.counters.changes += 1;
        let cut = match &mut self.changes_to_power_off {
            Some(0) => Cut::InTheMiddle,
            Some(left) => {
                *left -= 1;
                Cut::No
            }
            None => Cut::No,
        };
        let done = change(self, cut);
        match cut {
            Cut::No => done,
            Cut::InTheMiddle => {
                self.end(Outage::Power);
                Err(io::Error::other(POWER))
            }
        }
    }

    /// For how many bytes one of a file counts: chunks stand for larger ones.
    pub(super) fn scale(&self, path: &str) -> u64 {
        let is_chunk = ["chunks/", "tmp/"].iter().any(|dir| path.starts_with(dir));
        if is_chunk { self.config.chunk_bytes_scale } else { 1 }
    }

    /// Writes what there is room for. A write in which the power goes is torn.
    pub(super) fn write(&mut self, file: &File, scale: u64, offset: u64, bytes: &[u8], cut: Cut) -> io::Result<()> {
        let mut content = file.content();
        let room = content.room(offset, bytes.len(), self.free_bytes());
        let kept = match cut {
            Cut::No => room,
            Cut::InTheMiddle => {
                Luck::new(Purpose::Tear.random(self.seed, self.cuts)).tear(offset, bytes.len()).min(room)
            }
        };
        content.write(offset, &bytes[..kept]);
        drop(content);
        self.counters.written_bytes += kept as u64;
        self.take_time(transfer(kept as u64 * scale, self.config.write_bytes_per_second));
        if room < bytes.len() { Err(ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    pub(super) fn read(&mut self, file: &File, scale: u64, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.take_time(self.config.seek + transfer(buffer.len() as u64 * scale, self.config.read_bytes_per_second));
        if self.faults.reads_fail {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        self.counters.read_bytes += buffer.len() as u64;
        file.content().read(offset, buffer)
    }

    pub(super) fn sync(&mut self, file: &File, cut: Cut) -> io::Result<()> {
        if self.begin_sync() {
            self.failed_syncs += 1;
            file.content().fail_sync(&mut Luck::new(Purpose::FailedSync.random(self.seed, self.failed_syncs)));
            return Err(io::Error::from_raw_os_error(EIO));
        }
        if !self.faults.syncs_lie && cut == Cut::No {
            file.content().sync();
        }
        Ok(())
    }

    pub(super) fn sync_dir(&mut self, dir: &str, cut: Cut) -> io::Result<()> {
        if self.begin_sync() {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        if !self.faults.syncs_lie && cut == Cut::No {
            self.names.sync(dir)?;
        }
        Ok(())
    }

    /// Whether it fails.
    fn begin_sync(&mut self) -> bool {
        self.counters.syncs += 1;
        self.take_time(self.config.sync);
        self.faults.syncs_fail
    }

    /// Flips a bit in so many durable chunks; which.
    pub(super) fn rot(&mut self, files: usize) -> Vec<String> {
        self.rots += 1;
        let mut random = Purpose::Rot.random(self.seed, self.rots);
        let mut chunks: Vec<(&str, &File)> = self
            .names
            .durable_files("chunks/")
            .filter(|(_, file)| file.content().is_synced() && file.content().now().len() > 0)
            .collect();
        let mut rotten = Vec::new();
        while rotten.len() < files && !chunks.is_empty() {
            let (path, file) = chunks.swap_remove(random.below(chunks.len() as u64) as usize);
            let mut content = file.content();
            let at = random.below(content.now().len());
            content.flip_bit(at, random.below(8) as u32);
            rotten.push(path.to_owned());
        }
        rotten
    }

    fn take_time(&mut self, time: Duration) {
        self.cost += time * self.faults.slowness_percent / 100;
    }

    pub(super) fn take_cost(&mut self) -> Duration {
        std::mem::take(&mut self.cost)
    }

    pub(super) fn counters(&self) -> DiskCounters {
        let mut digest = [0; 8];
        self.trace.finalize_xof().fill(&mut digest);
        DiskCounters {
            used_bytes: self.used.bytes(),
            resident_bytes: self.names.files().map(|(_, file)| file.content().resident_bytes()).sum(),
            digest: u64::from_le_bytes(digest),
            ..self.counters
        }
    }
}

/// Whether the power goes in the middle of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    No,
    InTheMiddle,
}

fn transfer(bytes: u64, bytes_per_second: u64) -> Duration {
    const NANOS_PER_SECOND: u128 = 1_000_000_000;
    let nanos = u128::from(bytes) * NANOS_PER_SECOND / u128::from(bytes_per_second.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}
