//! What is printed of a run, and the exit code.

use std::path::Path;

use serde_json::{Value, json};
use shoal_sim::Report;

use crate::failure::Failure;
use crate::stdout;

/// Writes the run as one page of SVG.
pub(super) fn plot(report: &Report, path: &Path) -> Result<(), Failure> {
    std::fs::write(path, report.plot()).map_err(|error| Failure::file("write", path, &error))?;
    eprintln!("plot in {}", path.display());
    Ok(())
}

/// One object a line; `more` joins the last, which is the verdict.
pub(super) fn lines(report: &Report, more: Value) -> Result<(), Failure> {
    let mut lines: Vec<Value> = report.json_lines().collect();
    if let (Some(Value::Object(verdict)), Value::Object(more)) = (lines.last_mut(), more) {
        verdict.insert("peak_memory_bytes".to_owned(), json!(peak_memory()));
        verdict.extend(more);
    }
    lines.iter().try_for_each(stdout::line)
}

/// The exit code for a run.
pub(super) fn outcome(holds: bool) -> Result<(), Failure> {
    // What was violated has been said.
    if holds { Ok(()) } else { Err(Failure::Silent(1)) }
}

/// The most memory that this process has had, where the system tells.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}
