//! The same answer from every peer, whoever dies.

use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::mesh::{Mesh, SHOAL, alone, said, wait};

const JOIN: &str = "SELECT o.o_orderdate, c.c_mktsegment, count(*) AS lines, sum(l.l_extendedprice * (1 - l.l_discount)) AS revenue \
    FROM 'tpch/customer.parquet' c JOIN 'tpch/orders.parquet' o ON c.c_custkey = o.o_custkey \
    JOIN 'tpch/lineitem.parquet' l ON l.l_orderkey = o.o_orderkey \
    WHERE o.o_orderdate < DATE '1995-03-15' GROUP BY 1, 2 ORDER BY 1, 2";

/// TPC-H tables in a directory `tpch`, in many row groups.
fn tpch(mesh: &Mesh, sf: &str) -> String {
    let dir = mesh.path("tpch");
    let args = ["generate", "tpch", "--sf", sf, "--row-group-rows", "8192", &dir];
    said(&args, alone(mesh.dir.path(), &args, None));
    dir
}

/// The fingerprint of an answer, as a command prints it with `--stats`.
fn fingerprint(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let line =
        text.lines().find(|line| line.contains("fingerprint")).unwrap_or_else(|| panic!("no fingerprint: {text}"));
    line.split_whitespace().last().unwrap().to_owned()
}

#[test]
fn a_three_table_join_gives_the_rows_of_plain_datafusion_on_every_peer() {
    let mesh = Mesh::of(3);
    let dir = tpch(&mesh, "0.02");
    mesh.peers[0].ok(&["put", &dir, "tpch/"]);
    let sql = ["sql", JOIN, "--format", "csv"];
    // Where nobody runs, the same names are files; and plain DataFusion has no mesh in it at all.
    let local = said(&sql, alone(mesh.dir.path(), &["sql", "--local", JOIN, "--format", "csv"], None));
    assert!(local.lines().count() > 100, "{local}");
    let plain = plain_datafusion(mesh.dir.path());
    assert_eq!(sorted(&local), sorted(&plain), "embedded against plain DataFusion");
    for peer in &mesh.peers {
        assert_eq!(peer.ok(&sql), local, "{}", peer.name);
    }
}

/// The join's rows by DataFusion alone, as CSV.
fn plain_datafusion(dir: &std::path::Path) -> String {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let context = datafusion::prelude::SessionContext::new();
        let mut sql = JOIN.to_owned();
        for table in ["customer", "orders", "lineitem"] {
            let path = dir.join(format!("tpch/{table}.parquet"));
            context.register_parquet(table, path.to_str().unwrap(), Default::default()).await.unwrap();
            sql = sql.replace(&format!("'tpch/{table}.parquet'"), table);
        }
        let batches = context.sql(&sql).await.unwrap().collect().await.unwrap();
        let mut csv = Vec::new();
        let mut writer = arrow::csv::Writer::new(&mut csv);
        for batch in &batches {
            writer.write(batch).unwrap();
        }
        drop(writer);
        String::from_utf8(csv).unwrap()
    })
}

fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines
}

/// Text in which every word's count is known.
fn words(lines: usize) -> Vec<u8> {
    let mut text = Vec::new();
    for n in 0..lines {
        text.extend_from_slice(
            format!("the shoal turns as one, fish {} of many in line {}\n", n % 1000, n % 7).as_bytes(),
        );
    }
    text
}

const WORD_COUNT: &str = "SELECT word, count(*) AS n FROM words('texts/*.txt') GROUP BY word ORDER BY n DESC, word";

#[test]
fn a_worker_that_is_killed_in_the_middle_of_a_query_changes_nothing_in_the_answer() {
    let mut mesh = Mesh::of(5);
    for n in 0..6 {
        let file = mesh.file(&format!("texts/{n}.txt"), &words(300_000));
        mesh.peers[n % 5].ok(&["put", &file, &format!("texts/{n}.txt")]);
    }
    let undisturbed = mesh.peers[0].shoal(&["sql", WORD_COUNT, "--format", "csv", "--stats"]);
    let wanted = said(&["sql"], undisturbed.clone());
    assert!(wanted.contains("\nshoal,1800000\n"), "{}", &wanted[..400.min(wanted.len())]);

    let disturbed = Command::new(SHOAL)
        .args(["sql", WORD_COUNT, "--format", "csv", "--stats"])
        .env("SHOAL_PEER", &mesh.peers[0].gateway)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let ids: Vec<String> = mesh
        .peers
        .iter()
        .map(|peer| {
            let status = peer.status().unwrap();
            let own = status["members"].as_array().unwrap().iter().find(|m| m["self"] == true).unwrap();
            own["id"].as_str().unwrap().to_owned()
        })
        .collect();
    // As soon as a peer other than the coordinator runs a task, it is killed.
    let victim = wait("a task to run elsewhere", || {
        let jobs = mesh.peers[0].json(&["job", "ls", "--json"]);
        let job = jobs.as_array()?.iter().find(|job| job["state"] == "running")?["id"].as_str()?.to_owned();
        let job = mesh.peers[0].json(&["job", "show", &job, "--json"]);
        let busy = busy_peer(&job, &ids[0])?;
        ids.iter().position(|id| *id == busy)
    });
    mesh.peers[victim].kill();
    let output = disturbed.wait_with_output().unwrap();
    let stats = output.stderr.clone();
    let got = said(&["sql"], output);
    assert!(got == wanted, "another answer");
    assert_eq!(fingerprint(&stats), fingerprint(&undisturbed.stderr));
    let job = &mesh.peers[0].json(&["job", "ls", "--json"])[0];
    let job = mesh.peers[0].json(&["job", "show", job["id"].as_str().unwrap(), "--json"]);
    let is_lost = |event: &Value| event["event"] == "peer_lost" && event["peer"] == ids[victim].as_str();
    assert!(job["events"].as_array().unwrap().iter().any(is_lost), "the job saw the peer die: {job}");
    let reruns: u64 = job["stages"].as_array().unwrap().iter().filter_map(|stage| stage["reruns"].as_u64()).sum();
    assert!(reruns > 0, "what it ran was run again");
}

/// A peer that runs a task now, other than `not`.
fn busy_peer(job: &Value, not: &str) -> Option<String> {
    let events = job["events"].as_array()?;
    let over: Vec<&Value> = events.iter().filter(|e| e["event"] != "started").map(|e| &e["attempt"]).collect();
    events
        .iter()
        .filter(|event| event["event"] == "started" && !over.contains(&&event["attempt"]))
        .filter_map(|event| event["peer"].as_str())
        .find(|peer| *peer != not)
        .map(str::to_owned)
}

#[test]
fn a_cancelled_query_stops_and_says_so() {
    let mesh = Mesh::of(2);
    let file = mesh.file("texts/0.txt", &words(200_000));
    mesh.peers[0].ok(&["put", &file, "texts/0.txt"]);
    // Hours of work, if it were let.
    let endless = "SELECT count(*) FROM words('texts/*.txt') a, words('texts/*.txt') b WHERE a.word < b.word";
    let query = Command::new(SHOAL)
        .args(["sql", endless])
        .env("SHOAL_PEER", &mesh.peers[0].gateway)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let id = wait("the job to run", || {
        let jobs = mesh.peers[1].json(&["job", "ls", "--json"]);
        let job = jobs.as_array()?.iter().find(|job| job["state"] == "running")?;
        Some(job["id"].as_str()?.to_owned())
    });
    mesh.peers[1].ok(&["job", "cancel", &id]);
    let output = query.wait_with_output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("cancelled"));
    wait("the job to be over", || {
        let job = mesh.peers[1].json(&["job", "show", &id, "--json"]);
        (job["state"] == "cancelled").then_some(())
    });
}

#[test]
fn a_query_whose_client_goes_away_is_cancelled() {
    let mesh = Mesh::of(1);
    let file = mesh.file("texts/0.txt", &words(100_000));
    mesh.peers[0].ok(&["put", &file, "texts/0.txt"]);
    let endless = "SELECT count(*) FROM words('texts/*.txt') a, words('texts/*.txt') b WHERE a.word < b.word";
    let mut query = Command::new(SHOAL)
        .args(["sql", endless])
        .env("SHOAL_PEER", &mesh.peers[0].gateway)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let state = |wanted: &str| {
        let jobs = mesh.peers[0].json(&["job", "ls", "--json"]);
        jobs.as_array()?.iter().any(|job| job["state"] == wanted).then_some(())
    };
    wait("the job to run", || state("running"));
    query.kill().unwrap();
    query.wait().unwrap();
    wait("the job to be cancelled", || state("cancelled"));
    std::thread::sleep(Duration::from_millis(10));
}

#[test]
fn lines_are_found_by_grep_in_sql() {
    let mesh = Mesh::of(3);
    let file = mesh.file("a.log", b"all is well\nan error came\nall is well again\nthe last error\n");
    mesh.peers[0].ok(&["put", &file, "logs/a.log"]);
    let found = mesh.peers[2].ok(&[
        "sql",
        "SELECT line FROM 'logs/*.log' WHERE line LIKE '%error%' ORDER BY line",
        "--format",
        "csv",
    ]);
    assert_eq!(found, "line\nan error came\nthe last error\n");
}

#[test]
fn when_the_peer_that_took_a_query_dies_the_command_asks_another() {
    let mut mesh = Mesh::of(3);
    for n in 0..3 {
        let file = mesh.file(&format!("texts/{n}.txt"), &words(300_000));
        mesh.peers[n].ok(&["put", &file, &format!("texts/{n}.txt")]);
    }
    let wanted = mesh.peers[1].ok(&["sql", WORD_COUNT, "--format", "csv"]);
    let answer = mesh.path("answer.csv");
    let query = Command::new(SHOAL)
        .args(["sql", WORD_COUNT, "-o", &answer])
        .env("SHOAL_PEER", &mesh.peers[0].gateway)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait("the query to run", || {
        let jobs = mesh.peers[1].json(&["job", "ls", "--json"]);
        jobs.as_array()?.iter().any(|job| job["state"] == "running").then_some(())
    });
    mesh.peers[0].kill();
    let output = query.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    said(&["sql"], output);
    assert!(told.contains("asking"), "it says that it asks another: {told}");
    assert!(std::fs::read_to_string(answer).unwrap() == wanted, "another answer");
}
