//! Ending with another process.

use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};
use shoal_types::{Error, Result};

/// Asks the kernel to kill this process once its parent, which is `pid`, is
/// gone, however it went. Nothing acknowledged is lost by that.
pub(crate) fn end_with_parent(pid: u32) -> Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|error| Error::invalid(format!("cannot be tied to process {pid}: {error}"), ""))?;
    // It may have gone before the kernel was asked.
    let parent = getppid().map(Pid::as_raw_pid);
    if parent != i32::try_from(pid).ok() {
        return Err(Error::invalid(format!("process {pid} is not this one's parent, or is gone"), ""));
    }
    Ok(())
}
