//! The parts of a run that can be made smaller.

use std::collections::BTreeSet;
use std::time::Duration;

use shoal_types::Result;

use super::fewer::fewer;
use super::{Search, ShrinkStep};
use crate::scenario::{Bytes, Span};
use crate::simulation::Simulation;

/// Peers that are tried from here up.
const PEERS_LEAST: u32 = 3;

/// A run that fails at a moment is given this much more.
const AFTER: Duration = Duration::from_secs(1);

impl<T: FnMut(ShrinkStep)> Search<T> {
    /// Fewer faults.
    pub(super) fn faults(&mut self) -> Result<Option<()>> {
        let numbers: Vec<usize> = self.simulation.strikes().iter().map(|strike| strike.number).collect();
        if numbers.is_empty() {
            return Ok(Some(()));
        }
        let left = fewer(&numbers, |left| {
            let only: BTreeSet<usize> = left.iter().copied().collect();
            self.breaks(Simulation { only: Some(only), ..self.simulation.clone() })
        })?;
        Ok(left.map(drop))
    }

    /// No work and no faults after the moment at which it fails.
    pub(super) fn end(&mut self) -> Result<Option<()>> {
        let at = self.report.violations.first().map_or(self.report.simulated, |violation| violation.at);
        let past = whole_seconds(at.saturating_sub(self.begun) + AFTER);
        if past >= self.simulation.scenario.duration.0 {
            return Ok(Some(()));
        }
        Ok(self.breaks_with(|origin| origin.duration = Some(Span(past)))?.map(drop))
    }

    /// No time after the last fault, then half of it as long as that will do.
    pub(super) fn duration(&mut self) -> Result<Option<()>> {
        let ends = self.simulation.strikes().into_iter().map(|strike| strike.until().unwrap_or(strike.at));
        let mut shorter = whole_seconds(ends.max().unwrap_or_default() + AFTER);
        loop {
            let duration = self.simulation.scenario.duration.0;
            let half = whole_seconds(duration / 2);
            if shorter >= duration {
                shorter = half;
            }
            if shorter >= duration {
                return Ok(Some(()));
            }
            match self.breaks_with(|origin| origin.duration = Some(Span(shorter)))? {
                None => return Ok(None),
                Some(false) if shorter <= half => return Ok(Some(())),
                Some(_) => shorter = half.min(whole_seconds(shorter / 2)),
            }
        }
    }

    /// The smallest number of peers up to half of them that will do.
    pub(super) fn peers(&mut self) -> Result<Option<()>> {
        let peers = self.simulation.scenario.peers;
        let mut fewer = PEERS_LEAST;
        while fewer <= (peers / 2).max(PEERS_LEAST + 2) && fewer < peers {
            match self.breaks_with(|origin| origin.peers = Some(fewer))? {
                Some(true) => break,
                Some(false) => fewer += (fewer / 3).max(1),
                None => return Ok(None),
            }
        }
        Ok(Some(()))
    }

    /// Less to do: jobs, then clients, then data.
    pub(super) fn work(&mut self) -> Result<Option<()>> {
        let workload = &self.simulation.scenario.workload;
        let (jobs, clients, data) = (workload.jobs.len() as u32, workload.clients, workload.data.0);
        for jobs in candidates(u64::from(jobs)) {
            match self.breaks_with(|origin| origin.jobs = Some(jobs as u32))? {
                Some(true) => break,
                Some(false) => {}
                None => return Ok(None),
            }
        }
        for clients in candidates(u64::from(clients)) {
            match self.breaks_with(|origin| origin.clients = Some(clients as u32))? {
                Some(true) => break,
                Some(false) => {}
                None => return Ok(None),
            }
        }
        for data in [0, data / 2] {
            if data >= self.simulation.scenario.workload.data.0 {
                break;
            }
            match self.breaks_with(|origin| origin.data = Some(Bytes(data)))? {
                Some(true) => break,
                Some(false) => {}
                None => return Ok(None),
            }
        }
        Ok(Some(()))
    }
}

/// What is tried below a number: nothing, one, the half.
fn candidates(of: u64) -> BTreeSet<u64> {
    [0, 1, of / 2].into_iter().filter(|candidate| *candidate < of).collect()
}

/// Rounded up: durations are for people.
fn whole_seconds(time: Duration) -> Duration {
    Duration::from_secs(time.as_secs() + u64::from(time.subsec_nanos() > 0))
}
