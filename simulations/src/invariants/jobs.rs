use super::{Invariant, Moment, durable, short};
use crate::host::HostId;
use crate::ledger::{JobEnd, JobRecord};
use crate::world::{State, World};

/// Every job that clients asked for ends, once, with the rows that one peer
/// without faults would have given.
///
/// Wrong rows are found when the client has them; here it is that none fails
/// that could be answered, and that none is left when all is well.
pub(crate) struct JobsEndRight;

impl Invariant for JobsEndRight {
    fn name(&self) -> &'static str {
        "jobs-end-right"
    }

    fn check(&mut self, world: &World, moment: Moment) -> bool {
        let (wrong, judged) = {
            let state = world.state();
            let wrong = |job: &JobRecord| match &job.end {
                Some((_, JobEnd::Failed(why))) => Some(format!("job '{}' failed: {why}", job.title)),
                None if moment == Moment::End => Some(format!("job '{}' has not ended", job.title)),
                Some((_, JobEnd::Right | JobEnd::Wrong(_))) | None => None,
            };
            let records = &state.ledger.jobs.records;
            let wrong: Vec<(Vec<HostId>, String)> = match has_lost_data(world, &state) {
                true => Vec::new(),
                false => records.iter().filter_map(|job| Some((coordinator(job), wrong(job)?))).collect(),
            };
            (wrong, records.iter().any(|job| job.end.is_some()))
        };
        for (hosts, what) in wrong {
            world.violate(self.name(), &hosts, what);
        }
        judged
    }

    fn is_whole(&mut self, world: &World) -> bool {
        let state = world.state();
        has_lost_data(world, &state) || state.ledger.jobs.records.iter().all(|job| job.end.is_some())
    }

    fn symptom(&mut self, world: &World) -> Option<String> {
        let state = world.state();
        let job = state.ledger.jobs.records.iter().find(|job| job.end.is_none())?;
        let since = job.submitted.as_secs_f64();
        let Some(run) = job.runs.last().filter(|run| run.over.is_none()) else {
            return Some(format!("job '{}', asked for at {since:.3} s, is taken by nobody", job.title));
        };
        let (mut running, mut keeping) = (Vec::new(), Vec::new());
        for (n, host) in (0..).zip(&state.hosts) {
            let Some(peer) = &host.running else {
                continue;
            };
            let tasks = peer.compute.running();
            let tasks = tasks.iter().filter(|(output, _)| output.task.job == run.id);
            running.extend(
                tasks.map(|(output, since)| format!("{output} on {} (since {} s of it)", HostId(n), since.as_secs())),
            );
            if peer.compute.kept().iter().any(|(job, _)| *job == run.id) {
                keeping.push(HostId(n));
            }
        }
        let running = if running.is_empty() {
            "no task of it runs".into()
        } else {
            format!("it runs {}", short(&running, String::clone))
        };
        Some(format!(
            "job '{}', asked for at {since:.3} s, is still under way at {} as {} after {} tasks: {running}, outputs are on {}",
            job.title,
            run.coordinator,
            run.id,
            run.tasks,
            if keeping.is_empty() { "no peer".into() } else { short(&keeping, |host| host.name()) },
        ))
    }
}

/// Whether data is gone for good, with an excuse: then a job need not end.
fn has_lost_data(world: &World, state: &State) -> bool {
    state.ledger.copies.lost().any(|chunk| durable::is_excused(world, state, chunk))
}

fn coordinator(job: &JobRecord) -> Vec<HostId> {
    job.runs.last().map(|run| run.coordinator).into_iter().collect()
}
