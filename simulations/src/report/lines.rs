//! The report as JSON lines.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::Report;

impl Report {
    /// One object a line, `kind` tells which: `sample`, `peer`, `host`, `fault`,
    /// `task`, `job`, `operation`, and at last one `verdict` with the totals and
    /// all `violations`. Names end with their units.
    pub fn json_lines(&self) -> impl Iterator<Item = Value> {
        let operations = self.operations.iter().map(|(operation, stats)| {
            let mut line = line("operation", stats);
            if let Value::Object(fields) = &mut line {
                fields.insert("operation".to_owned(), json!(operation));
            }
            line
        });
        (self.samples.iter().map(|sample| line("sample", sample)))
            .chain(self.loads.iter().map(|load| line("peer", load)))
            .chain(self.hosts.iter().map(|host| line("host", host)))
            .chain(self.faults.iter().map(|fault| line("fault", fault)))
            .chain(self.tasks.iter().map(|task| line("task", task)))
            .chain(self.jobs.iter().map(|job| line("job", job)))
            .chain(operations)
            .chain(std::iter::once_with(|| self.verdict_line()))
    }

    fn verdict_line(&self) -> Value {
        let (totals, exposure) = (self.totals(), self.exposure());
        json!({
            "kind": "verdict",
            "holds": self.holds(),
            "violations": self.violations,
            "wrong_answers": self.wrong_answers(),
            "checks": self.checks,
            "scenario": self.scenario,
            "seed": self.seed,
            "trace": self.trace,
            "peers": self.peers,
            "events": self.events,
            "simulated_seconds": self.simulated.as_secs_f64(),
            "wall_seconds": self.wall.as_secs_f64(),
            "formed_seconds": self.formed.as_secs_f64(),
            "formed_wall_seconds": self.formed_wall.as_secs_f64(),
            "simulated_seconds_per_wall_second": self.speed(),
            "events_per_wall_second": self.events_per_second(),
            "jobs": self.jobs.len(),
            "jobs_ended": self.jobs.iter().filter(|job| job.makespan.is_some()).count(),
            "makespan_seconds": self.makespan().map(|makespan| makespan.as_secs_f64()),
            "tasks_done": totals.tasks_done,
            "tasks_rerun": totals.tasks_rerun,
            "sent_bytes": totals.sent_bytes,
            "operations_ok": totals.operations_ok,
            "operations_failed": totals.operations_failed,
            "operations_unknown": totals.operations_unknown,
            "under_replicated_seconds": exposure.time.as_secs_f64(),
            "under_replicated_chunk_seconds": exposure.chunk_seconds,
            "under_replicated_chunks_max": exposure.chunks_max,
            "without_copy_seconds": exposure.without_copy.as_secs_f64(),
            "without_copy_chunks_max": exposure.without_copy_max,
            "faults": self.faults.len(),
            "healed_after_seconds": self.healed_after.map(|after| after.as_secs_f64()),
        })
    }
}

/// The value's fields, and its kind.
fn line(kind: &str, value: &impl Serialize) -> Value {
    let mut fields = match serde_json::to_value(value) {
        Ok(Value::Object(fields)) => fields,
        // Nothing here serialises so; a line that says it is better than none.
        Ok(other) => Map::from_iter([("value".to_owned(), other)]),
        Err(error) => Map::from_iter([("error".to_owned(), json!(error.to_string()))]),
    };
    fields.insert("kind".to_owned(), json!(kind));
    Value::Object(fields)
}
