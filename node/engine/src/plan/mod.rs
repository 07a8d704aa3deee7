//! From a query to a job.
//!
//! ```text
//! SQL ─▶ statement ─▶ logical plan ─▶ (scalar subqueries evaluated) ─▶ physical plan ─▶ stages ─▶ fragments
//!            └ tables pinned                                             └ not cut? ─▶ one stage, run whole
//! ```
//!
//! A plan is cut where rows must meet: below a hash repartition, a coalesce,
//! a sorted merge, and the build side of a broadcast join. Each task then
//! runs exactly one partition of its stage's plan. A plan that has a node of
//! which we do not know that this is right runs whole, in one task: slower,
//! and the same answer.

mod codec;
mod demote;
mod explain;
mod fragment;
mod nodes;
mod place;
mod prepare;
mod scalar;
mod split;
mod statement;

use std::sync::Arc;

use chrono::{DateTime, TimeZone, Utc};
use datafusion::common::DFSchema;
use datafusion::execution::cache::cache_manager::FileMetadataCache;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::displayable;
use datafusion::sql::parser::Statement;
use shoal_ports::Planning;
use shoal_types::{Error, JobPlan, Query, Result, StagePlan, wire};

pub(crate) use codec::{ShoalCodec, decode_plan};
pub(crate) use demote::DemoteBroadcast;
pub(crate) use fragment::{Fragment, Part, StageFragment, WholeFragment};
pub(crate) use nodes::has_dictionary;

use crate::config::EngineConfig;
use crate::error::planning as planning_error;
use crate::pins::{ByteSource, Pin, PinStore};
use crate::session::{Surroundings, planning_state, runtime_env};
use crate::tables::{MeshTable, OpenTable, PinnedTable, open_table, pin_tables, references};

use self::statement::Parsed;

/// A shuffle has at most this many partitions.
const SHUFFLE_PARTITIONS_MAX: u64 = 64;

/// A query over more bytes than [`SMALL_BYTES`] has at least this many.
const SHUFFLE_PARTITIONS_MIN: u64 = 4;

/// A query over fewer bytes is not shuffled at all.
const SMALL_BYTES: u64 = 4 << 20;

/// Characters of a query that its job's title keeps.
const TITLE_CHARS_MAX: usize = 200;

/// Why a plan is not distributed.
pub(crate) enum Obstacle {
    /// It has to run whole; why, for people.
    Whole(String),
    Failed(Error),
}

impl From<Error> for Obstacle {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Plans queries.
pub(crate) struct Planner {
    pub config: EngineConfig,
    pub footers: Arc<FileMetadataCache>,
    pub version: String,
}

/// A job, and its stages as people read them.
struct Planned {
    job: JobPlan,
    displays: Vec<String>,
}

/// What planning one query needs all along.
struct Scope<'a> {
    planner: &'a Planner,
    state: SessionState,
    store: Arc<PinStore>,
    pins: Vec<Pin>,
    planning: Arc<dyn Planning>,
    title: String,
}

impl Planner {
    pub(crate) async fn plan(&self, query: Query, planning: Arc<dyn Planning>) -> Result<JobPlan> {
        let Parsed { mut statement, explain } = statement::parse(&query.sql)?;
        let tables = pin_tables(references(&mut statement)?, &planning).await?;
        // Times of a query are those of its planning, to the microsecond that a plan can carry.
        let now_us = Utc::now().timestamp_micros();
        let planned = match self.distribute(&query, statement, &tables, &planning, now_us).await {
            Ok(planned) => planned,
            Err(Obstacle::Failed(error)) => return Err(error),
            Err(Obstacle::Whole(why)) => self.whole(&query, tables, now_us, &why)?,
        };
        if !explain {
            return Ok(planned.job);
        }
        let nothing = Arc::new(PinStore::new([], ByteSource::Planning(planning)));
        explain::job(&planned, &self.version, &ShoalCodec::for_planning(nothing))
    }

    async fn distribute(
        &self,
        query: &Query,
        statement: Statement,
        tables: &[PinnedTable],
        planning: &Arc<dyn Planning>,
        now_us: i64,
    ) -> Result<Planned, Obstacle> {
        let source = ByteSource::Planning(Arc::clone(planning));
        let (state, store) = self.state(tables, source, None, now_us, false).await?;
        let logical = logical_plan(&state, statement).await?;
        let pins = tables.iter().flat_map(|table| table.pins.iter().cloned()).collect();
        let scope = Scope {
            planner: self,
            state,
            store,
            pins,
            planning: Arc::clone(planning),
            title: query.sql.chars().take(TITLE_CHARS_MAX).collect(),
        };
        scope.job(logical).await
    }

    /// A session in which the tables can be planned with: in as many
    /// partitions as their bytes ask for, or `whole`, in one.
    async fn state(
        &self,
        tables: &[PinnedTable],
        source: ByteSource,
        memory_bytes: Option<u64>,
        now_us: i64,
        whole: bool,
    ) -> Result<(SessionState, Arc<PinStore>)> {
        let pins = tables.iter().flat_map(|table| table.pins.iter().cloned());
        let store = Arc::new(PinStore::new(pins, source));
        let mut opened = Vec::with_capacity(tables.len());
        for table in tables {
            let open = open_table(table, &store, &self.footers, self.config.scan_bytes_target).await?;
            opened.push((table.reference.table_reference(), open));
        }
        let partitions = if whole { 1 } else { shuffle_partitions(&opened, self.config.shuffle_bytes_target) };
        let around = Surroundings {
            store: Arc::clone(&store) as _,
            footers: Arc::clone(&self.footers),
            config: &self.config,
            memory_bytes,
        };
        let env = runtime_env(&around).map_err(planning_error)?;
        let now: DateTime<Utc> = Utc.timestamp_micros(now_us).single().unwrap_or_default();
        let state = planning_state(env, partitions, now);
        for (reference, open) in opened {
            let table = MeshTable::new(open, Arc::clone(&store), self.config.scan_bytes_target, whole);
            statement::register(&state, reference, Arc::new(table)).map_err(planning_error)?;
        }
        Ok((state, store))
    }

    /// A job of one task that plans and runs the query where it runs.
    fn whole(&self, query: &Query, tables: Vec<PinnedTable>, now_us: i64, why: &str) -> Result<Planned> {
        tracing::debug!(why, "query runs whole");
        let mut chunks: Vec<_> =
            tables.iter().flat_map(|table| &table.pins).flat_map(|pin| pin.chunks(0, pin.bytes)).collect();
        chunks.sort_unstable();
        chunks.dedup();
        let part = Part::Whole(WholeFragment { sql: query.sql.clone(), tables, now_us });
        let fragment = Fragment { engine: self.version.clone(), part };
        let stage = StagePlan {
            title: "the whole query".into(),
            fragment: wire::encode(&fragment)?,
            partitions: 1,
            buckets: 1,
            inputs: Vec::new(),
            chunks: vec![chunks],
        };
        let title = query.sql.chars().take(TITLE_CHARS_MAX).collect();
        let job = JobPlan { title, stages: vec![stage], engine: self.version.clone() };
        Ok(Planned { job, displays: vec![format!("the whole query in one task: {why}")] })
    }

    /// The physical plan of a whole query, in the task that runs it.
    pub(crate) async fn plan_whole(
        &self,
        whole: &WholeFragment,
        source: ByteSource,
        memory_bytes: u64,
        seed: u64,
    ) -> Result<(SessionState, Arc<PinStore>, Arc<dyn ExecutionPlan>)> {
        let Parsed { mut statement, .. } = statement::parse(&whole.sql)?;
        references(&mut statement)?;
        let (mut state, store) = self.state(&whole.tables, source, Some(memory_bytes), whole.now_us, true).await?;
        crate::volatile::register(&mut state, seed);
        let logical = logical_plan(&state, statement).await?;
        let plan = state.create_physical_plan(&logical).await.map_err(planning_error)?;
        Ok((state, store, prepare::for_one_task(plan).map_err(planning_error)?))
    }
}

impl Scope<'_> {
    /// A job for a logical plan, which may be a subquery's.
    async fn job(&self, logical: LogicalPlan) -> Result<Planned, Obstacle> {
        let logical = Box::pin(scalar::evaluated(self, logical)).await?;
        let plan = self.state.create_physical_plan(&logical).await.map_err(planning_error)?;
        let plan = prepare::one_probe(plan).map_err(planning_error)?;
        let drafts = split::stages(plan).map_err(Obstacle::Whole)?;
        let mut stages = Vec::with_capacity(drafts.len());
        let mut displays = Vec::with_capacity(drafts.len());
        for (at, draft) in drafts.iter().enumerate() {
            let answer = at + 1 == drafts.len();
            stages.push(fragment::stage_plan(draft, self, answer)?);
            displays.push(displayable(draft.plan.as_ref()).indent(false).to_string());
        }
        let engine = self.planner.version.clone();
        Ok(Planned { job: JobPlan { title: self.title.clone(), stages, engine }, displays })
    }
}

async fn logical_plan(state: &SessionState, statement: Statement) -> Result<LogicalPlan> {
    let plan = state.statement_to_plan(statement).await.map_err(planning_error)?;
    statement::only_reads(&plan)?;
    unique_columns(plan.schema())?;
    Ok(plan)
}

/// Columns of an answer may share a name; it only must have some.
fn unique_columns(schema: &DFSchema) -> Result<()> {
    if schema.fields().is_empty() {
        return Err(Error::invalid("the query gives no columns", "name some after SELECT"));
    }
    Ok(())
}

fn shuffle_partitions<T>(tables: &[(T, OpenTable)], target: u64) -> usize {
    let total: u64 = tables.iter().flat_map(|(_, table)| &table.units).map(|unit| unit.bytes()).sum();
    if total < SMALL_BYTES.min(target) {
        return 1;
    }
    (total / target.max(1)).clamp(SHUFFLE_PARTITIONS_MIN, SHUFFLE_PARTITIONS_MAX) as usize
}
