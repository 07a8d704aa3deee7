//! Bytes between files and the mesh: pieces, progress, temporary files.

mod room;
mod source;

use std::io::IsTerminal;
use std::path::Path;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use indicatif::{ProgressBar, ProgressStyle};
use shoal_gateway::{Client, ClientError};
use shoal_runtime::PutCondition;
use shoal_types::{AppendId, Format, ObjectName};
use tokio::fs::File;
use tokio::io::AsyncReadExt;

use crate::failure::Failure;
pub(crate) use room::Room;
pub(crate) use source::{Reading, Source};

/// As many objects on their way at once as may be asked for.
const JOBS_MAX: usize = 64;

/// How many at once, as said on the command line.
pub(crate) fn jobs(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(jobs @ 1..=JOBS_MAX) => Ok(jobs),
        _ => Err(format!("a number from 1 to {JOBS_MAX} is wanted")),
    }
}

/// The formats of objects, as said on the command line.
pub(crate) fn formats() -> impl TypedValueParser<Value = Format> {
    PossibleValuesParser::new(Format::ALL.iter().map(|format| format.as_str())).try_map(|text| text.parse::<Format>())
}

/// The BLAKE3 hash of a file, in hex.
pub(crate) async fn hash(path: &Path) -> Result<String, Failure> {
    let read = path.to_owned();
    let hashed = tokio::task::spawn_blocking(move || {
        let mut hash = blake3::Hasher::new();
        hash.update_reader(std::fs::File::open(read)?)?;
        Ok(hash.finalize().to_hex().to_string())
    });
    hashed.await.unwrap_or_else(|error| Err(error.into())).map_err(|error| Failure::file("read", path, &error))
}

/// The first bytes of a file, so many unless it is shorter.
pub(crate) async fn head(path: &Path, bytes: usize) -> Result<Vec<u8>, Failure> {
    let broken = |error: &std::io::Error| Failure::file("read", path, error);
    let mut head = Vec::with_capacity(bytes);
    let file = File::open(path).await.map_err(|error| broken(&error))?;
    file.take(bytes as u64).read_to_end(&mut head).await.map_err(|error| broken(&error))?;
    Ok(head)
}

/// How often a write of which nobody knows whether it was made is sent again.
const TRIES: u32 = 5;
/// The pause before the second try; each later one is longer by as much.
const PAUSE: Duration = Duration::from_millis(500);

/// Sends a write that has an id until its outcome is known: by the id it is known again.
pub(crate) async fn until_known<T>(mut send: impl AsyncFnMut() -> Result<T, ClientError>) -> Result<T, ClientError> {
    let may_be_told = |error: &ClientError| error.is_in_doubt() && error.may_be_asked_again();
    let mut doubt = match send().await {
        Err(error) if may_be_told(&error) => error,
        known => return known,
    };
    for tries in 1..TRIES {
        tokio::time::sleep(PAUSE * tries).await;
        match send().await {
            Err(error) if may_be_told(&error) => doubt = error,
            // That it cannot be made now says nothing of the time before.
            Err(error) if error.may_pass() => {}
            known => return known,
        }
    }
    Err(doubt)
}

/// Removes an object under an id.
pub(crate) async fn remove(
    client: &Client,
    name: &ObjectName,
    condition: PutCondition,
    id: AppendId,
) -> Result<(), ClientError> {
    let terms = condition.asked_as(id);
    until_known(async || client.remove(name, terms.clone()).await).await
}

/// A bar on stderr, on a terminal only. Without a total, a count.
pub(crate) fn progress(total: Option<u64>) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let (bar, template) = match total {
        Some(total) => (ProgressBar::new(total), OF_TOTAL),
        None => (ProgressBar::no_length(), "{spinner} {msg} {bytes} {bytes_per_sec}"),
    };
    styled(bar, template)
}

/// Bytes of bytes, how fast they go, and how long the rest will take; before
/// that what else is counted.
const OF_TOTAL: &str = "{msg} {bytes}/{total_bytes} {wide_bar} {bytes_per_sec} {eta} left";

/// The total becomes known while a bar without one is shown.
pub(crate) fn set_total(bar: &ProgressBar, total: u64) {
    bar.set_length(total);
    bar.set_style(style(OF_TOTAL));
}

/// A count of so many objects on stderr, on a terminal only.
pub(crate) fn counting(total: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    styled(ProgressBar::new(total), "{human_pos}/{human_len} objects {wide_bar} {per_sec} {eta} left")
}

/// A line on stderr that is said again and again, on a terminal only.
pub(crate) fn saying() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    styled(ProgressBar::no_length(), "{spinner} {msg}")
}

fn styled(bar: ProgressBar, template: &str) -> ProgressBar {
    bar.enable_steady_tick(Duration::from_millis(200));
    bar.with_style(style(template))
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use shoal_types::Error;

    use super::*;

    /// Once an answer that was certain of itself was taken for one about the
    /// time before, too: what might have been stored was told not to be.
    #[tokio::test]
    async fn that_a_write_cannot_be_made_now_says_nothing_of_the_time_before() {
        let timeout = Error::Timeout { what: "a put".into(), ms: 1 };
        let no_quorum = Error::NoQuorum { what: "a name".into(), answered: 1, needed: 2 };
        let mut answers = vec![Ok(7), Err(no_quorum.clone().into()), Err(timeout.into())];
        assert_eq!(until_known(async || answers.pop().unwrap()).await, Ok(7));
        // The first answer is one about all that was ever asked.
        let refused = ClientError::from(no_quorum);
        assert_eq!(until_known(async || Err::<(), _>(refused.clone())).await, Err(refused));
    }
}
