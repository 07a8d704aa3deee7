use std::time::Duration;

use shoal_types::{Error, Result};

use super::{JobEntry, Scenario, Span, Workload};
use crate::faults::{FaultEntry, FaultKind, Victims};

impl Scenario {
    /// The most peers: more need more than a few GB of memory.
    pub const PEERS_MAX: u32 = 10_000;
    /// The most copies that a mesh keeps.
    pub const REPLICAS_MAX: u32 = 7;
    /// The longest that a run may last, healing apart.
    pub const DURATION_MAX: Duration = Duration::from_secs(31 * 24 * 3600);
    /// Real memory that the chunks of a run may take, all copies together.
    pub const MEMORY_MAX: u64 = 2 << 30;

    /// Whether every value is within its bounds.
    pub fn check(&self) -> Result<()> {
        within("peers", self.peers, 1, Self::PEERS_MAX, "hosts with one peer each")?;
        within("replicas", self.replicas, 1, Self::REPLICAS_MAX, "copies of each chunk; 3 is usual")?;
        within("zones", self.zones, 1, self.peers, "peers are in the zones in turn")?;
        within("latecomers", self.latecomers, 0, self.peers - 1, "somebody has to be there to be joined")?;
        within("hosts.slots", self.hosts.slots, 1, 10_000, "tasks that a host runs at once")?;
        let duration = ("duration", self.duration);
        lasts(duration, Duration::from_millis(1), Self::DURATION_MAX)?;
        lasts(("heal", self.heal), Duration::from_secs(1), Self::DURATION_MAX)?;
        lasts(("timing.repair_delay", self.timing.repair_delay), Duration::from_millis(1), Self::DURATION_MAX)?;
        lasts(("timing.scrub", self.timing.scrub), Duration::from_secs(1), Duration::MAX)?;
        lasts(("timing.grace", self.timing.grace), Duration::from_secs(10), Duration::MAX)?;
        lasts(("timing.repair_interval", self.timing.repair_interval), Duration::from_millis(1), Self::DURATION_MAX)?;
        for (name, bytes) in [
            ("hosts.disk_capacity", self.hosts.disk_capacity),
            ("hosts.disk_read", self.hosts.disk_read),
            ("hosts.disk_write", self.hosts.disk_write),
            ("hosts.bandwidth", self.hosts.bandwidth),
        ] {
            if bytes.0 == 0 {
                return Err(wrong(format!("{name} is 0"), "leave it out for what a usual machine has"));
            }
        }
        let bounds = [(1, Self::PEERS_MAX), (1, Self::PEERS_MAX), (1, Self::REPLICAS_MAX)];
        for ((name, range), (least, most)) in self.vary.ranges().into_iter().zip(bounds) {
            if let Some([first, last]) = range.filter(|[first, last]| first > last || *first < least || *last > most) {
                let what = format!("vary.{name} is [{first}, {last}]");
                return Err(wrong(what, &format!("two numbers from {least} to {most}, the smaller first")));
            }
        }
        self.check_workload()?;
        for job in &self.workload.jobs {
            self.check_job(job)?;
        }
        for fault in &self.faults {
            self.check_fault(fault)
                .map_err(|(what, hint)| wrong(format!("fault '{}': {what}", fault.kind.name()), hint))?;
        }
        if let Some(chaos) = &self.chaos {
            lasts(("chaos.every", chaos.every), Duration::from_millis(10), Self::DURATION_MAX)?;
            lasts(("chaos.lasts", chaos.lasts), Duration::from_millis(10), Self::DURATION_MAX)?;
        }
        Ok(())
    }

    fn check_workload(&self) -> Result<()> {
        let workload = &self.workload;
        lasts(("workload.think", workload.think), Duration::from_micros(1), Self::DURATION_MAX)?;
        let Workload { chunk, chunk_real, object, data, .. } = workload;
        if !(256..=(1 << 20)).contains(&chunk_real.0) {
            let what = format!("workload.chunk_real is {chunk_real}, and has to be 256 B to 1 MiB");
            return Err(wrong(what, "real bytes of a chunk in the simulation; 4 KiB is fast"));
        }
        if !(chunk_real.0..=(64 << 20)).contains(&chunk.0) {
            let what = format!("workload.chunk is {chunk}, and has to be chunk_real ({chunk_real}) to 64 MiB");
            return Err(wrong(what, "a mesh keeps chunks of at most 64 MiB; 16 MiB is usual"));
        }
        if data.0 > 0 && object.0 < 8 * workload.bytes_scale() {
            let least = super::Bytes(8 * workload.bytes_scale());
            return Err(wrong(format!("workload.object is {object}, less than {least}"), "make the objects larger"));
        }
        let real = (data.0 / workload.bytes_scale()).saturating_mul(u64::from(self.replicas));
        if real > Self::MEMORY_MAX {
            let what = format!(
                "workload.data is {data}: with {} copies that takes {} MiB of memory, {} are allowed",
                self.replicas,
                real >> 20,
                Self::MEMORY_MAX >> 20
            );
            return Err(wrong(
                what,
                "let a real byte stand for more: raise workload.chunk or lower workload.chunk_real",
            ));
        }
        Ok(())
    }

    fn check_job(&self, job: &JobEntry) -> Result<()> {
        let what = |what: String| format!("job '{}': {what}", job.spec.title);
        if job.at.0 > self.duration.0 {
            let late = what(format!("at {} is after the run's end ({})", job.at, self.duration));
            return Err(wrong(late, "raise duration, or ask for it earlier"));
        }
        if job.every.is_some_and(|every| every.0.is_zero()) {
            return Err(wrong(what("every 0s would be at once for ever".into()), "leave `every` out for once"));
        }
        job.spec.check()
    }

    fn check_fault(&self, fault: &FaultEntry) -> Result<(), (String, &'static str)> {
        if fault.at.0 >= self.duration.0 {
            let what = format!("at {} is not before the run's end ({})", fault.at, self.duration);
            return Err((what, "raise duration, or let it strike earlier"));
        }
        if fault.every.is_some_and(|every| every.0 < Duration::from_millis(1)) {
            return Err(("every is less than 1ms".into(), "leave `every` out for once"));
        }
        if let Some(zone) = &fault.zone
            && (0..self.zones).all(|n| *zone != format!("zone-{n}"))
        {
            return Err((format!("there is no zone '{zone}'"), "zones are zone-0, zone-1, … as many as `zones` says"));
        }
        if let Victims::These(peers) = &fault.peers
            && let Some(peer) = peers.iter().find(|peer| **peer >= self.peers)
        {
            return Err((format!("there is no peer {peer}"), "peers are numbered from 0"));
        }
        match &fault.kind {
            FaultKind::Join(_) if self.latecomers == 0 => {
                Err(("nobody is left to join".into(), "say how many hosts are not there at first: latecomers = 10"))
            }
            FaultKind::DiskSlow(slow) => times(slow.times),
            FaultKind::SlowPeer(slow) => times(slow.times),
            FaultKind::Pause(pause) if pause.longest < pause.shortest => {
                Err((format!("longest ({}) is less than shortest ({})", pause.longest, pause.shortest), "swap them"))
            }
            FaultKind::Clock(clock) if clock.drift_ppm.abs() > crate::faults::Clock::DRIFT_PPM_MAX => Err((
                format!("drift_ppm is {}", clock.drift_ppm),
                "it is -500000 to 500000; real clocks stay below 100",
            )),
            FaultKind::Cut(cut) if !cut.again.0.is_zero() && cut.again.0 < Duration::from_millis(1) => {
                Err(("again is less than 1ms".into(), "leave `again` out for once"))
            }
            _ => Ok(()),
        }
    }
}

fn times(times: f64) -> Result<(), (String, &'static str)> {
    if (1.0..=10_000.0).contains(&times) {
        return Ok(());
    }
    Err((format!("times is {times}, and has to be 1 to 10000"), "20 is a bad disk or a busy machine"))
}

fn wrong(what: String, hint: &str) -> Error {
    Error::invalid(what, hint)
}

fn within(name: &str, value: u32, least: u32, most: u32, hint: &str) -> Result<()> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(wrong(format!("{name} is {value}, and has to be {least} to {most}"), hint))
}

fn lasts((name, value): (&str, Span), least: Duration, most: Duration) -> Result<()> {
    if (least..=most).contains(&value.0) {
        return Ok(());
    }
    let what = format!("{name} is {value}, and has to be {} to {}", Span(least), Span(most));
    Err(wrong(what, "a length of time is 250ms, 10s, 5m or 2h"))
}
