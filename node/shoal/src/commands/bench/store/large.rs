//! Objects of 16 MiB, put from files and got again.

use std::path::Path;
use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt, TryStreamExt};
use indicatif::ProgressBar;
use shoal_gateway::Client;
use shoal_runtime::PutCondition;
use shoal_types::ObjectName;

use super::LARGE_AT_ONCE;
use super::scratch::{OBJECT_BYTES, Scratch};
use crate::failure::Failure;
use crate::transfer::{Reading, Source};

/// Puts every file of `scratch`, the peers asked in turn. Gives the time that it took.
pub(super) async fn put(clients: &[Client], scratch: &Scratch) -> Result<Duration, Failure> {
    let started = Instant::now();
    stream::iter(asked(clients, scratch)?)
        .map(async |(client, name, file)| {
            let body = Reading::of(Source::File(file.to_path_buf())).open(ProgressBar::hidden()).await?;
            client.put(&name, None, &PutCondition::Always, body).await?;
            Ok::<_, Failure>(())
        })
        .buffer_unordered(LARGE_AT_ONCE)
        .try_collect::<()>()
        .await?;
    Ok(started.elapsed())
}

/// Gets every object again, of the same peer that it was put through. The
/// bytes are counted and dropped. Gives the time that it took.
pub(super) async fn get(clients: &[Client], scratch: &Scratch) -> Result<Duration, Failure> {
    let started = Instant::now();
    stream::iter(asked(clients, scratch)?)
        .map(async |(client, name, _)| {
            let mut download = client.get(&name).await?;
            let mut bytes = 0;
            while let Some(piece) = download.next().await? {
                bytes += piece.len() as u64;
            }
            match bytes {
                OBJECT_BYTES => Ok(()),
                bytes => Err(Failure::mesh(format!("'{name}' came back as {bytes} bytes of {OBJECT_BYTES}"), "")),
            }
        })
        .buffer_unordered(LARGE_AT_ONCE)
        .try_collect::<()>()
        .await?;
    Ok(started.elapsed())
}

/// Which peer is asked for which object, made of which file.
fn asked<'a>(clients: &'a [Client], scratch: &'a Scratch) -> Result<Vec<(&'a Client, ObjectName, &'a Path)>, Failure> {
    let files = clients.iter().cycle().zip(scratch.files()).enumerate();
    files
        .map(|(at, (client, file))| Ok((client, ObjectName::new(format!("large/{at}.bin"))?, file.as_path())))
        .collect()
}
