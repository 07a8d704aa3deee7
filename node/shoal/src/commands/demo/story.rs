//! What the demo tells, step by step.

use std::collections::BTreeMap;
use std::time::Instant;

use arrow::array::RecordBatch;
use arrow::util::pretty::pretty_format_batches;
use futures::{StreamExt, stream};
use shoal_gateway::Client;
use shoal_gateway::view::{EventView, JobView};
use shoal_runtime::PutCondition;
use shoal_types::ObjectName;

use super::DemoArgs;
use super::disturb::{Ambush, Told, query};
use crate::failure::Failure;
use crate::local_mesh::{LocalMesh, MeshOptions};
use crate::transfer::{Reading, Source, progress};
use crate::{stdout, text, tpch, units};

/// Customers, their orders and the lines of those, by nation: four tables.
const JOIN: &str = "
  SELECT n.n_name AS nation, count(DISTINCT o.o_orderkey) AS orders,
         sum(l.l_extendedprice * (1 - l.l_discount)) AS revenue
  FROM 'tpch/nation.parquet' n
  JOIN 'tpch/customer.parquet' c ON c.c_nationkey = n.n_nationkey
  JOIN 'tpch/orders.parquet' o ON o.o_custkey = c.c_custkey
  JOIN 'tpch/lineitem.parquet' l ON l.l_orderkey = o.o_orderkey
  WHERE o.o_orderdate >= DATE '1994-01-01'
  GROUP BY n.n_name ORDER BY revenue DESC";

const WORDS: &str = "SELECT word, count(*) AS n FROM words('text/*.txt') GROUP BY word ORDER BY n DESC, word LIMIT 8";

/// Bytes of text for the word count.
const TEXT_BYTES: usize = 48 << 20;

/// How often the kill is tried, should a query end before it bites.
const KILLS_MAX: usize = 3;

/// Rows of an answer that are shown.
const ROWS_SHOWN: usize = 5;

pub(super) async fn tell(args: DemoArgs) -> Result<(), Failure> {
    let began = Instant::now();
    let options = MeshOptions { peers: args.peers, ..MeshOptions::default() };
    say(format!("\n1. A mesh of {} peers on this machine: real processes, real sockets.", args.peers))?;
    let mut mesh = LocalMesh::start(&options).await?;
    let outcome = acts(&args, &mut mesh).await;
    mesh.stop().await;
    outcome?;
    say(format!("\nAll of it took {}. Try it yourself: shoal dev -n 5", units::duration(ms(began))))
}

async fn acts(args: &DemoArgs, mesh: &mut LocalMesh) -> Result<(), Failure> {
    let client = mesh.client(0)?;
    let names = introduce(&client).await?;
    say(format!(
        "\n2. Data in: TPC-H at scale {}, and text; each chunk on three peers before `put` returns.",
        args.sf
    ))?;
    fill(args, mesh, &client).await?;

    say("\n3. A join of four tables, planned into stages, run where the chunks are.")?;
    let calm = query(&client, JOIN, |_| {}).await?;
    show(&calm)?;

    say("\n4. Word count over the text, the same way.")?;
    let words = query(&client, WORDS, |_| {}).await?;
    show(&words)?;

    say("\n5. The join again. In the middle of it one of the peers that run it dies: kill -9.")?;
    disturbed(mesh, &client, &names, &calm).await?;

    say("\n6. Nothing is lost: what the dead peer held is read from the other holders.")?;
    let peer = mesh.living_client()?;
    let again = query(&peer, WORDS, |_| {}).await?;
    verdict(&words, &again)
}

fn say(text: impl std::fmt::Display) -> Result<(), Failure> {
    stdout::line(text)
}

fn ms(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Shows the peers; gives their names by id.
async fn introduce(client: &Client) -> Result<BTreeMap<String, String>, Failure> {
    let status = client.status().await?;
    for member in &status.members {
        let pid = member.pid.map_or_else(String::new, |pid| format!("pid {pid}"));
        say(format!("   {:<8} {:<12} {}", member.name, pid, member.state.as_str()))?;
    }
    Ok(status.members.into_iter().map(|member| (member.id, member.name)).collect())
}

async fn fill(args: &DemoArgs, mesh: &LocalMesh, client: &Client) -> Result<(), Failure> {
    let dir = mesh.dir().join("data");
    std::fs::create_dir_all(&dir).map_err(|error| Failure::file("make the directory", &dir, &error))?;
    let (made, sf, from) = (dir.clone(), args.sf, args.text.clone());
    // Small row groups, so that a little data has many chunks.
    let rows = ((250_000.0 * sf) as usize).clamp(5_000, tpch::ROW_GROUP_ROWS);
    let work = tokio::task::spawn_blocking(move || -> anyhow::Result<_> {
        let mut files = Vec::new();
        for table in tpch::TABLES {
            files.push((tpch::write(table, sf, &made, rows)?, format!("tpch/{table}.parquet")));
        }
        let (text, source) = text::collect(from.as_deref(), TEXT_BYTES)?;
        let path = made.join("text.txt");
        std::fs::write(&path, &text)?;
        files.push((path, "text/text.txt".to_owned()));
        Ok((files, source))
    });
    let (files, source) = work
        .await
        .map_err(|error| Failure::request(format!("cannot make the data: {error}"), ""))?
        .map_err(|error| {
        Failure::request(format!("cannot make the data: {error:#}"), "name a directory with text: --text DIR")
    })?;
    let started = Instant::now();
    let total: u64 = files.iter().filter_map(|(path, _)| std::fs::metadata(path).ok()).map(|meta| meta.len()).sum();
    let puts = stream::iter(files).map(|(path, name)| async move {
        let name = ObjectName::new(name)?;
        let body = Reading::of(Source::File(path)).open(progress(None)).await?;
        Ok::<_, Failure>(client.put(&name, None, &PutCondition::Always, body).await?)
    });
    let mut puts = std::pin::pin!(puts.buffer_unordered(2));
    let mut objects = 0;
    while let Some(put) = puts.next().await {
        put?;
        objects += 1;
    }
    let status = client.status().await?;
    say(format!(
        "   {objects} objects, {} (text out of {}), in {}; this peer alone holds {} chunks",
        units::bytes(total),
        source.display(),
        units::duration(ms(started)),
        status.chunks
    ))
}

fn show(told: &Told) -> Result<(), Failure> {
    say(indented(&table(&told.batches)?))?;
    say(format!("   {}", line(&told.job, told.ms)))
}

fn line(job: &JobView, ms: u128) -> String {
    let workers = job.stages.len();
    format!(
        "{} rows in {} ms; {workers} stages, {} tasks, {} of them run again; fingerprint {}",
        job.rows.unwrap_or(0),
        ms,
        job.tasks(),
        job.reruns(),
        job.fingerprint.as_deref().unwrap_or("-")
    )
}

fn table(batches: &[RecordBatch]) -> Result<String, Failure> {
    let mut left = ROWS_SHOWN;
    let shown: Vec<RecordBatch> = batches
        .iter()
        .map(|batch| {
            let rows = batch.num_rows().min(left);
            left -= rows;
            batch.slice(0, rows)
        })
        .collect();
    let table = pretty_format_batches(&shown).map_err(|error| Failure::request(error, ""))?;
    Ok(table.to_string())
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("   {line}")).collect::<Vec<_>>().join("\n")
}

async fn disturbed(
    mesh: &mut LocalMesh,
    client: &Client,
    names: &BTreeMap<String, String>,
    calm: &Told,
) -> Result<(), Failure> {
    let called = |id: &str| names.get(id).cloned().unwrap_or_else(|| id.chars().take(8).collect());
    for _ in 0..KILLS_MAX {
        let status = client.status().await?;
        let own = status.this().map(|member| member.id.clone()).unwrap_or_default();
        let mut ambush = Ambush::default();
        let mut killed: Option<String> = None;
        let told = query(client, JOIN, |event| {
            if killed.is_none()
                && let Some(peer) = ambush.target(event, &own)
                && let Some(name) = names.get(&peer)
                && mesh.kill(name)
            {
                killed = Some(name.clone());
            }
        })
        .await?;
        let lost = told.events.iter().find_map(|event| match event {
            EventView::PeerLost { peer, running, outputs } => Some((peer.clone(), running.clone(), outputs.clone())),
            _ => None,
        });
        let Some((peer, running, outputs)) = lost else {
            say("   (the query was over before the loss mattered; once more)")?;
            continue;
        };
        say(format!("   {} was killed.", called(&peer)))?;
        say(format!("   It ran {}, and held the outputs {}.", list(&running), list(&outputs)))?;
        say(format!("   Run again: {}", again(&told.events, &called)))?;
        say(format!("   {}", line(&told.job, told.ms)))?;
        return verdict(calm, &told);
    }
    Err(Failure::mesh("no kill came in the middle of the query", "try more data: --sf 1"))
}

fn list(attempts: &[String]) -> String {
    /// More are counted.
    const SHOWN: usize = 8;
    match attempts.len() {
        0 => "nothing".into(),
        count if count <= SHOWN => attempts.join(", "),
        count => format!("{} and {} more", attempts[..SHOWN].join(", "), count - SHOWN),
    }
}

/// Which attempts beyond the first ran, and where.
fn again(events: &[EventView], called: &impl Fn(&str) -> String) -> String {
    let reruns: Vec<String> = events
        .iter()
        .filter_map(|event| match event {
            EventView::Started { attempt, peer } if !attempt.ends_with("#0") => {
                Some(format!("{attempt} on {}", called(peer)))
            }
            _ => None,
        })
        .collect();
    list(&reruns)
}

fn verdict(before: &Told, after: &Told) -> Result<(), Failure> {
    let same = before.job.fingerprint == after.job.fingerprint && before.batches_equal(after);
    if !same || before.job.fingerprint.is_none() {
        return Err(Failure::request("the two answers differ", "this must never happen: please report it"));
    }
    say("   The answer is the undisturbed one, to the last bit.")
}
