//! What a table's name in a query stands for.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::{FutureExt, StreamExt};
use globset::{GlobBuilder, GlobMatcher};
use shoal_ports::{BoxFuture, Planning, TableFile, TableSource};
use shoal_types::{ChunkId, Copies, Error, JobPlan, ObjectName, Query, Result};

use crate::context::{Context, lock};
use crate::in_use::Hold;
use crate::{buckets, chunks, jobs, names};

/// Objects listed in one page.
const PAGE: u32 = 1_000;

/// Endings that may be left out of a table's name.
const ENDINGS: [&str; 6] = ["parquet", "csv", "jsonl", "json", "ndjson", "txt"];

/// What planning may ask, answered by this peer. As long as it lives what it
/// has answered with can be read, whatever becomes of the names meanwhile:
/// planning may take long, where a subquery has to run first.
pub(crate) struct Tables {
    context: Arc<Context>,
    query: Query,
    known: Arc<Mutex<Known>>,
}

/// Of the tables that were asked for.
#[derive(Default)]
struct Known {
    kept: KeptCopies,
    holds: Vec<Hold>,
}

/// How many copies there are of chunks that tables are made of, where their
/// buckets say so.
pub(crate) type KeptCopies = BTreeMap<ChunkId, Copies>;

impl Tables {
    pub(crate) fn of(context: &Arc<Context>, query: Query) -> Self {
        Self { context: context.clone(), query, known: Arc::default() }
    }

    /// Of the tables that were asked for until now.
    pub(crate) fn kept(&self) -> KeptCopies {
        lock(&self.known).kept.clone()
    }
}

impl Planning for Tables {
    fn resolve(&self, table: String) -> BoxFuture<'static, Result<Vec<TableFile>>> {
        let (context, known) = (self.context.clone(), self.known.clone());
        async move {
            if let Some(files) = context.ports.files.clone() {
                return context.blocking(move || files.resolve(&table)).await;
            }
            let found = resolve(&context, &table).await?;
            let chunks = found.iter().filter_map(TableFile::manifest).flat_map(|manifest| &manifest.chunks);
            let hold = context.in_use.hold(chunks.map(|chunk| chunk.id).collect());
            lock(&known).holds.push(hold);
            note_copies(&context, &found, &known).await?;
            Ok(found)
        }
        .boxed()
    }

    fn read_chunk(&self, chunk: ChunkId, range: Option<(u32, u32)>) -> BoxFuture<'static, Result<Bytes>> {
        let context = self.context.clone();
        async move { chunks::read(&context, chunk, range).await.map(|(bytes, _)| bytes) }.boxed()
    }

    fn evaluate(&self, plan: JobPlan) -> BoxFuture<'static, Result<Vec<Bytes>>> {
        let (context, query) = (self.context.clone(), self.query.clone());
        async move {
            let bound = context.config.bounds.subquery_bytes;
            let mut updates = jobs::start(&context, jobs::Work::Plan(plan, query))?.updates;
            let (mut frames, mut bytes) = (Vec::new(), 0);
            while let Some(update) = updates.next().await {
                if let crate::Update::Frame(frame) = update? {
                    bytes += frame.len();
                    if bytes > bound {
                        return Err(Error::invalid(
                            format!("a subquery that should give one value gives more than {bound} bytes"),
                            "add an aggregate or LIMIT 1 to it",
                        ));
                    }
                    frames.push(frame);
                }
            }
            Ok(frames)
        }
        .boxed()
    }
}

async fn note_copies(context: &Arc<Context>, files: &[TableFile], known: &Mutex<Known>) -> Result<()> {
    for file in files {
        if let TableSource::Object(name, manifest) = &file.source {
            let copies = buckets::settings(context, &name.bucket_name()).await?.copies();
            if copies != Copies::DEFAULT {
                lock(known).kept.extend(manifest.chunks.iter().map(|chunk| (chunk.id, copies)));
            }
        }
    }
    Ok(())
}

/// The objects that `table` stands for: one by its name, whatever characters
/// that has; all that match a glob, all under a prefix (`trips/`, or `trips`
/// for short), or one whose ending was left out.
async fn resolve(context: &Arc<Context>, table: &str) -> Result<Vec<TableFile>> {
    let table = table.trim_start_matches("shoal://");
    if let Ok(name) = ObjectName::new(table)
        && let Some(manifest) = names::read(context, &name).await?
    {
        return Ok(vec![TableFile { name: table.into(), source: TableSource::Object(name, manifest) }]);
    }
    if table.contains(['*', '?', '[', '{']) {
        let glob = glob(table)?;
        let literal = table.find(['*', '?', '[', '{', '\\']).unwrap_or(table.len());
        return some(list(context, &table[..literal], |name| glob.is_match(name)).await?, table);
    }
    let folder = format!("{}/", table.trim_end_matches('/'));
    let inside = list(context, &folder, |_| true).await?;
    if !inside.is_empty() {
        return Ok(inside);
    }
    for ending in ENDINGS {
        if let Ok(name) = ObjectName::new(format!("{table}.{ending}"))
            && let Some(manifest) = names::read(context, &name).await?
        {
            return Ok(vec![TableFile { name: name.to_string(), source: TableSource::Object(name, manifest) }]);
        }
    }
    some(inside, table)
}

fn some(files: Vec<TableFile>, table: &str) -> Result<Vec<TableFile>> {
    if files.is_empty() {
        return Err(Error::not_found(
            format!("there is no table '{table}': no object of the mesh has that name"),
            "see what there is with: shoal ls; bring a local file in with: shoal put FILE BUCKET/",
        ));
    }
    Ok(files)
}

fn glob(pattern: &str) -> Result<GlobMatcher> {
    GlobBuilder::new(pattern).literal_separator(true).build().map(|glob| glob.compile_matcher()).map_err(|error| {
        Error::invalid(format!("'{pattern}' is not a glob: {error}"), "for example trips/*.parquet or logs/**/*.txt")
    })
}

async fn list(context: &Arc<Context>, prefix: &str, wanted: impl Fn(&str) -> bool) -> Result<Vec<TableFile>> {
    let mut files = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let (entries, more) = names::list(context, prefix, after.as_deref(), PAGE).await?;
        after = entries.last().map(|entry| entry.name.to_string());
        for entry in entries.into_iter().filter(|entry| wanted(entry.name.as_str())) {
            if files.len() >= context.config.bounds.table_files {
                return Err(Error::invalid(
                    format!("'{prefix}' stands for more than {} objects", context.config.bounds.table_files),
                    "name fewer with a longer prefix",
                ));
            }
            files.push(TableFile {
                name: entry.name.to_string(),
                source: TableSource::Object(entry.name, entry.manifest),
            });
        }
        if !more || after.is_none() {
            return Ok(files);
        }
    }
}
