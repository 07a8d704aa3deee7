//! Shapes of plans: each answer against DataFusion's, and the same twice.

use std::num::NonZeroUsize;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use datafusion::prelude::{ParquetReadOptions, SessionContext};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use shoal_ports::Compute;
use shoal_types::{Error, FragmentId, InputPin, JobId, OutputId, Query, StageId, TaskId, TaskSpec};
use tempfile::TempDir;

use super::mesh::{Asker, Mesh, peer};
use crate::{EngineConfig, fingerprint, plain_session};

/// Rows of the left table: enough for many chunks.
const ROWS: i64 = 12_000;

fn parquet(batch: &RecordBatch, group_rows: usize) -> Vec<u8> {
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(group_rows)).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    writer.into_inner().unwrap()
}

fn numbers(values: impl Iterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(values.collect::<Int64Array>())
}

/// Some tables: `l` is large, `r` has partners for some of its rows, both
/// have nulls; `e` is empty, `n` holds a null, `one` a single row.
fn tables() -> Vec<(&'static str, RecordBatch)> {
    let scattered = |at: i64| (at.wrapping_mul(7919)) % 1000;
    let l = RecordBatch::try_from_iter_with_nullable([
        ("id", numbers((0..ROWS).map(Some)), true),
        ("k", numbers((0..ROWS).map(|at| (at % 11 != 0).then(|| scattered(at)))), true),
        ("x", Arc::new((0..ROWS).map(|at| 1.0 / (at as f64 + 0.7)).collect::<Float64Array>()) as _, true),
        (
            "s",
            Arc::new(StringArray::from_iter_values((0..ROWS).map(|at| format!("row number {}", scattered(at))))) as _,
            true,
        ),
    ]);
    let r = RecordBatch::try_from_iter_with_nullable([
        ("k", numbers((0..6000).map(|at| (at % 13 != 0).then_some(at / 2 + 500))), true),
        ("y", numbers((0..6000).map(Some)), true),
    ]);
    let few = |values: &[Option<i64>]| {
        RecordBatch::try_from_iter_with_nullable([("k", numbers(values.iter().copied()), true)])
    };
    vec![
        ("l", l.unwrap()),
        ("r", r.unwrap()),
        ("e", few(&[]).unwrap()),
        ("n", few(&[Some(1), Some(501), None]).unwrap()),
        ("one", few(&[Some(501)]).unwrap()),
    ]
}

struct Shapes {
    meshes: Vec<Arc<Mesh>>,
    oracle: SessionContext,
    _dir: TempDir,
}

/// Meshes of three peers and of one, and one in which nothing is cut.
async fn shapes() -> Shapes {
    let large = |config| EngineConfig { scan_bytes_target: 1 << 30, shuffle_bytes_target: 1 << 30, ..config };
    let meshes = vec![Mesh::new(3), Mesh::new(1), Mesh::with(1, large)];
    let oracle = plain_session(NonZeroUsize::new(2).unwrap());
    let dir = TempDir::new().unwrap();
    for (name, batch) in tables() {
        let bytes = parquet(&batch, 700);
        let path = dir.path().join(format!("{name}.parquet"));
        std::fs::write(&path, &bytes).unwrap();
        oracle.register_parquet(name, path.to_str().unwrap(), ParquetReadOptions::default()).await.unwrap();
        meshes.iter().for_each(|mesh| mesh.put(&format!("t/{name}.parquet"), bytes.clone()));
    }
    Shapes { meshes, oracle, _dir: dir }
}

impl Shapes {
    /// Checks that the query gives DataFusion's rows on every mesh; on three
    /// peers and on one in the same order, to the last bit. Says whether it
    /// ran whole anywhere.
    async fn check(&self, sql: &str) -> bool {
        let expected = self.oracle.sql(sql).await.unwrap().collect().await.unwrap();
        let expected = fingerprint(&expected).unwrap();
        let mut tables = Vec::new();
        let mut whole = false;
        for mesh in &self.meshes {
            let answer = mesh.sql(sql).await.unwrap_or_else(|error| panic!("{sql}\n{error:?}"));
            if answer.fingerprint != expected {
                let explained = mesh.sql(&format!("EXPLAIN {sql}")).await.unwrap();
                panic!("{sql}\n{} of {} rows\n{}", answer.rows(), expected.rows, explained.text());
            }
            whole |= answer.is_whole();
            tables.push(answer.table());
        }
        assert_eq!(tables[0], tables[1], "on three peers and on one: {sql}");
        whole
    }

    async fn check_cut(&self, queries: &[&str]) {
        for sql in queries {
            if self.check(sql).await {
                let explained = self.meshes[0].sql(&format!("EXPLAIN {sql}")).await.unwrap();
                panic!("runs whole: {sql}\n{}", explained.text());
            }
        }
    }
}

#[tokio::test]
async fn every_kind_of_join_gives_what_datafusion_gives() {
    let shapes = shapes().await;
    let mut queries = Vec::new();
    for kind in ["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "LEFT SEMI JOIN", "LEFT ANTI JOIN"] {
        for (left, right) in [("l", "r"), ("n", "l"), ("l", "e"), ("e", "l"), ("one", "r")] {
            queries.push(format!("SELECT {left}.* FROM {left} {kind} {right} ON {left}.k = {right}.k"));
        }
    }
    queries.push("SELECT * FROM l JOIN r ON l.k = r.k AND l.id < r.y".into());
    queries.push("SELECT * FROM l LEFT JOIN r ON l.k = r.k AND l.id % 3 = r.y % 3".into());
    shapes.check_cut(&queries.iter().map(String::as_str).collect::<Vec<_>>()).await;
}

#[tokio::test]
async fn joins_without_an_equal_sign_give_what_datafusion_gives() {
    let shapes = shapes().await;
    let queries = [
        "SELECT n.k, l.id FROM l JOIN n ON l.k < n.k",
        "SELECT n.k, l.id FROM l LEFT JOIN n ON l.k < n.k",
        "SELECT n.k, l.id FROM n LEFT JOIN l ON l.k < n.k - 480",
        "SELECT n.k, l.id FROM l FULL JOIN n ON l.k < n.k AND l.id > 11000",
        "SELECT n.k FROM n WHERE EXISTS (SELECT 1 FROM l WHERE l.k > n.k)",
        "SELECT n.k FROM n WHERE NOT EXISTS (SELECT 1 FROM l WHERE l.k > n.k + 300)",
        "SELECT l.id FROM l, one WHERE l.k <> one.k",
        "SELECT count(*) FROM n, r",
        "SELECT * FROM n CROSS JOIN e",
    ];
    shapes.check_cut(&queries).await;
}

#[tokio::test]
async fn subqueries_and_nulls_give_what_datafusion_gives() {
    let shapes = shapes().await;
    let queries = [
        "SELECT id FROM l WHERE k IN (SELECT k FROM r)",
        "SELECT id FROM l WHERE k NOT IN (SELECT k FROM r WHERE k IS NOT NULL)",
        "SELECT id FROM l WHERE k NOT IN (SELECT k FROM n)",
        "SELECT id FROM l WHERE k NOT IN (SELECT k FROM e)",
        "SELECT k FROM n WHERE k NOT IN (SELECT k FROM l)",
        "SELECT id FROM l WHERE k = (SELECT k FROM one)",
        "SELECT id, (SELECT max(y) FROM r) AS m FROM l WHERE x > (SELECT avg(x) FROM l)",
        "SELECT count(*) FROM l WHERE k = (SELECT k FROM e)",
        "SELECT (SELECT k FROM e), (SELECT count(*) FROM l WHERE x > (SELECT avg(x) FROM l))",
        "SELECT id FROM l WHERE k > (SELECT avg(r.k) FROM r WHERE r.y = l.id)",
        "SELECT id, (SELECT max(y) FROM r WHERE r.k = l.k) FROM l WHERE id < 100",
        "WITH c AS (SELECT k, count(*) AS c FROM l GROUP BY k) SELECT a.k, a.c FROM c a JOIN c b ON a.k = b.c",
    ];
    shapes.check_cut(&queries).await;

    let two = shapes.meshes[0].sql("SELECT id FROM l WHERE k = (SELECT k FROM n)").await;
    let Err(Error::Invalid { what, .. }) = two else { panic!("two rows are no value") };
    assert!(what.contains("more than one row"), "{what}");
}

#[tokio::test]
async fn aggregates_windows_and_sets_give_what_datafusion_gives() {
    let shapes = shapes().await;
    let queries = [
        "SELECT count(*), count(k), min(s), max(id) FROM l",
        "SELECT k, count(*), sum(id), min(s) FROM l GROUP BY k",
        "SELECT k, s, count(DISTINCT id) FROM l GROUP BY k, s",
        "SELECT count(DISTINCT k), count(DISTINCT s) FROM l",
        "SELECT DISTINCT k FROM l",
        "SELECT k % 10, s, sum(id) FROM l GROUP BY GROUPING SETS ((k % 10), (s), ())",
        "SELECT k, count(*) FROM l GROUP BY k HAVING count(*) > 12",
        "SELECT sum(id) FROM e, l WHERE e.k = l.k",
        "SELECT count(*) FROM e",
        "SELECT * FROM e",
        "SELECT k FROM l UNION SELECT k FROM r",
        "SELECT k FROM l UNION ALL SELECT k FROM r UNION ALL SELECT k FROM n",
        "SELECT k, count(*) FROM (SELECT k FROM l UNION ALL SELECT k FROM r) GROUP BY k",
        "SELECT k FROM l INTERSECT SELECT k FROM r",
        "SELECT k FROM l EXCEPT SELECT k FROM r",
        "(SELECT k, count(*) AS c FROM l GROUP BY k) UNION ALL (SELECT k, count(*) FROM r GROUP BY k)",
        "(SELECT max(k + 1) FROM l) UNION ALL (SELECT k FROM r) UNION ALL (SELECT sum(k) FROM r)",
        "(SELECT k FROM l ORDER BY id LIMIT 3) UNION ALL (SELECT k FROM r ORDER BY y LIMIT 5)",
        "SELECT id, row_number() OVER (PARTITION BY k ORDER BY id) FROM l",
        "SELECT id, sum(id) OVER (ORDER BY id ROWS BETWEEN 3 PRECEDING AND CURRENT ROW) FROM l",
        "SELECT id, rank() OVER (ORDER BY k) FROM l",
        "SELECT k, max(id) OVER (PARTITION BY k) - id FROM l",
        "SELECT * FROM (VALUES (1, 'a'), (2, 'b'), (NULL, 'c')) AS v(k, t) LEFT JOIN one ON v.k = one.k",
        "SELECT v.t, l.id FROM l JOIN (VALUES (1, 'a'), (501, 'b')) AS v(k, t) ON v.k = l.k",
        "SELECT 1 + 1",
        "SELECT unnest([1, 2, 3]) + id FROM l WHERE id < 10",
        "SELECT CASE WHEN k > 500 THEN 'high' ELSE 'low' END AS h, avg(id) FROM l GROUP BY h",
        "SELECT g.value, l.id FROM generate_series(1, 5) AS g(value) JOIN l ON l.id = g.value",
    ];
    shapes.check_cut(&queries).await;
    // Answered by statistics in a way that DataFusion cannot encode: whole or not, the rows are right.
    shapes.check("(SELECT max(k) FROM l) UNION ALL (SELECT k FROM r) UNION ALL (SELECT count(*) FROM r)").await;
}

#[tokio::test]
async fn orders_and_limits_give_what_datafusion_gives() {
    let shapes = shapes().await;
    let queries = [
        "SELECT id, k FROM l ORDER BY k, id",
        "SELECT id, k FROM l ORDER BY k DESC NULLS LAST, id LIMIT 17",
        "SELECT id FROM l ORDER BY s, id LIMIT 10 OFFSET 995",
        "SELECT k, count(*) AS c FROM l GROUP BY k ORDER BY c DESC, k LIMIT 9",
        "SELECT count(*) FROM (SELECT * FROM l LIMIT 5000)",
        "SELECT count(*) FROM (SELECT * FROM l LIMIT 100 OFFSET 11950)",
        "SELECT l.id, r.y FROM l JOIN r ON l.k = r.k ORDER BY l.id, r.y LIMIT 50",
        "SELECT id FROM l LIMIT 0",
        "SELECT id, k FROM (SELECT id, k FROM l ORDER BY id LIMIT 1000) ORDER BY k, id DESC LIMIT 100",
    ];
    shapes.check_cut(&queries).await;

    let ordered = shapes.meshes[0].sql("SELECT id FROM l ORDER BY x").await.unwrap().table();
    let ids: Vec<_> = ordered.column(0).to_data().buffers()[0].typed_data::<i64>().to_vec();
    assert!(ids.is_sorted_by(|one, next| one > next), "x falls as id grows");
}

#[tokio::test]
async fn sums_of_floats_have_the_same_bits_on_any_mesh() {
    let shapes = shapes().await;
    for sql in [
        "SELECT sum(x), avg(x), stddev(x) FROM l",
        "SELECT k, sum(x), avg(x) FROM l GROUP BY k ORDER BY k",
        "SELECT l.k, sum(l.x * r.y) FROM l JOIN r ON l.k = r.k GROUP BY l.k",
        "SELECT s, array_agg(id) FROM l GROUP BY s",
        "SELECT k, first_value(id), last_value(s) FROM l GROUP BY k",
        "SELECT id, sum(x) OVER (PARTITION BY k ORDER BY id) FROM l",
        "SELECT id FROM l WHERE k > 3 LIMIT 10",
        "SELECT id, random() AS dice, uuid() AS name FROM l WHERE random() < 0.5",
    ] {
        let volatile = sql.contains("random");
        let mut tables = Vec::new();
        for mesh in [&shapes.meshes[0], &shapes.meshes[0], &shapes.meshes[1]] {
            let plan = mesh.engines[0].plan(Query::new(sql), Arc::new(Asker(Arc::clone(mesh)))).await.unwrap();
            let answer = mesh.run(plan, Query::TASK_MEMORY_BYTES).await.unwrap();
            assert!(!answer.is_whole(), "{sql}");
            tables.push(answer.table());
        }
        if volatile {
            // Another job draws other numbers; see below for the same job.
            assert_ne!(tables[0], tables[1]);
            assert!((5000..7000).contains(&tables[0].num_rows()));
        } else {
            assert_eq!(tables[0], tables[1], "{sql}");
            assert_eq!(tables[0], tables[2], "{sql}");
        }
    }
}

#[tokio::test]
async fn what_cannot_be_cut_runs_whole_and_right() {
    let shapes = shapes().await;
    for sql in [
        "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 50) SELECT sum(n) FROM t",
        "WITH RECURSIVE t(n) AS (SELECT min(k) FROM r UNION ALL SELECT n + 1 FROM t WHERE n < 520) \
         SELECT t.n, l.id FROM t JOIN l ON l.k = t.n",
        "SELECT arrow_cast(s, 'Dictionary(Int32, Utf8)') AS d, count(*) FROM l GROUP BY d",
    ] {
        assert!(shapes.check(sql).await, "cut: {sql}");
    }
}

#[tokio::test]
async fn a_shuffle_of_sixteen_gives_what_one_partition_gives() {
    let batch = tables().swap_remove(0).1;
    let sql = "SELECT a.k, count(*), sum(b.id) FROM l a FULL JOIN l b ON a.id = b.k GROUP BY a.k";
    let mut answers = Vec::new();
    for target in [1 << 30, 16 << 10, 1 << 10] {
        let change = |config| EngineConfig { shuffle_bytes_target: target, scan_bytes_target: target, ..config };
        let mesh = Mesh::with(2, change);
        mesh.put("t/l.parquet", parquet(&batch, 100));
        let answer = mesh.sql(sql).await.unwrap();
        answers.push((answer.plan.stages.iter().map(|stage| stage.partitions).max(), answer.fingerprint));
    }
    assert!(answers[0].0 == Some(1) && answers[2].0 >= Some(16), "{answers:?}");
    assert!(answers.iter().all(|answer| answer.1 == answers[0].1));
}

#[tokio::test]
async fn outputs_past_the_budget_are_spilled_and_read_back() {
    let batch = tables().swap_remove(0).1;
    let sql = "SELECT a.s, count(*) FROM l a JOIN l b ON a.id = b.id GROUP BY a.s ORDER BY a.s";
    let mut answers = Vec::new();
    for budget in [1 << 30, 0] {
        let mesh = Mesh::with(2, |config| EngineConfig { exchange_memory_bytes: budget, ..config });
        mesh.put("t/l.parquet", parquet(&batch, 700));
        answers.push(mesh.sql(sql).await.unwrap().table());
    }
    assert_eq!(answers[0], answers[1]);
}

#[tokio::test]
async fn a_query_that_needs_more_memory_than_its_budget_says_so() {
    let mesh = Mesh::new(1);
    mesh.put("t/l.parquet", parquet(&tables().swap_remove(0).1, 700));
    let sql = "SELECT a.id FROM l a JOIN l b ON a.k = b.k WHERE a.s || b.s LIKE '%1%' ORDER BY a.s, b.s LIMIT 5";
    let failed = mesh.query(Query { sql: sql.into(), task_memory_bytes: 20_000 }).await;
    assert!(matches!(failed, Err(Error::OutOfMemory { .. })), "{:?}", failed.err());
}

#[tokio::test]
async fn a_task_whose_input_is_gone_names_the_output_and_its_holder() {
    let mesh = Mesh::new(2);
    mesh.put("t/l.parquet", parquet(&tables().swap_remove(0).1, 700));
    let query = Query::new("SELECT k, sum(id) FROM l GROUP BY k");
    let plan = mesh.engines[0].plan(query, Arc::new(Asker(Arc::clone(&mesh)))).await.unwrap();
    let stage = &plan.stages[1];
    let task = |stage| TaskId { job: JobId::from_bytes([9; 10]), stage: StageId(stage), partition: 0 };
    let lost = OutputId { task: task(0), attempt: 3 };
    for holder in [peer(0), peer(1)] {
        let spec = TaskSpec {
            output: OutputId { task: task(1), attempt: 0 },
            coordinator: peer(0),
            fragment: FragmentId::of(&stage.fragment),
            buckets: stage.buckets,
            inputs: vec![vec![InputPin { output: lost, holder }]],
            memory_bytes: 1 << 30,
        };
        let failed = mesh.engines[0].run(spec, stage.fragment.clone(), mesh.io(0)).await;
        assert_eq!(failed, Err(Error::OutputLost { output: lost, holder }));
    }
}

#[tokio::test]
async fn a_fragment_of_another_engine_is_for_another_peer() {
    let mesh = Mesh::new(1);
    let fragment = crate::plan::Fragment {
        engine: "shoal 0.0.0".into(),
        part: crate::plan::Part::Whole(crate::plan::WholeFragment {
            sql: "SELECT 1".into(),
            tables: vec![],
            now_us: 0,
        }),
    };
    let fragment = shoal_types::wire::encode(&fragment).unwrap();
    let task = TaskId { job: JobId::from_bytes([9; 10]), stage: StageId(0), partition: 0 };
    let spec = TaskSpec {
        output: OutputId { task, attempt: 0 },
        coordinator: peer(0),
        fragment: FragmentId::of(&fragment),
        buckets: 1,
        inputs: vec![],
        memory_bytes: 1 << 30,
    };
    let failed = mesh.engines[0].run(spec, fragment, mesh.io(0)).await;
    assert!(matches!(failed, Err(Error::NotReady { .. })), "{failed:?}");
}

#[tokio::test]
async fn an_error_in_a_query_is_the_users_with_a_place_or_a_hint() {
    let shapes = shapes().await;
    let mesh = &shapes.meshes[0];
    for (sql, part) in [
        ("SELECT nope FROM l", "nope"),
        ("SELECT id FROM l WHERE", "Expected"),
        ("SELECT sum(s) FROM l", "sum"),
        ("SELECT unknown_function(id) FROM l", "unknown_function"),
        ("SELECT id / 0 FROM l", "zero"),
        ("SELECT CAST(s AS BIGINT) FROM l", "row number"),
        ("SELECT id FROM l a JOIN l b ON a.id = b.id", "id"),
    ] {
        match mesh.sql(sql).await.map(|answer| answer.text()) {
            Err(Error::Invalid { what, .. }) => {
                assert!(what.to_lowercase().contains(&part.to_lowercase()), "{sql}: {what}")
            }
            other => panic!("{sql}: {other:?}"),
        }
    }
    assert!(matches!(mesh.sql("SELECT * FROM nothing").await, Err(Error::NotFound { .. })));
}

#[tokio::test]
async fn explain_shows_the_stages() {
    let shapes = shapes().await;
    let text = shapes.meshes[0].sql("EXPLAIN SELECT k, count(*) FROM l GROUP BY k ORDER BY k").await.unwrap().text();
    assert!(text.contains("tasks: scan") && text.contains("the answer") && text.contains("AggregateExec"), "{text}");
}
