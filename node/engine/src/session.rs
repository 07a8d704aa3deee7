//! DataFusion sessions: the one set of settings by which everything is
//! planned and run, and the plain session that answers are compared with.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use datafusion::common::DataFusionError;
use datafusion::execution::cache::cache_manager::{CacheManagerConfig, FileMetadataCache};
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{FairSpillPool, MemoryPool, UnboundedMemoryPool};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::prelude::{SessionConfig, SessionContext};
use object_store::ObjectStore;

use crate::config::EngineConfig;
use crate::pins::STORE_URL;
use crate::plan::DemoteBroadcast;
use crate::volatile;

/// Rows per batch.
pub(crate) const BATCH_ROWS: usize = 8192;

/// A build side of a join up to this size is sent to every task instead of
/// shuffling both sides. It is built once per task.
const BROADCAST_BYTES_MAX: usize = 8 << 20;
const BROADCAST_ROWS_MAX: usize = 500_000;

/// The settings of every plan and task. They are a part of the engine's
/// version: another value may give another order of float additions.
pub(crate) fn settings(target_partitions: usize) -> SessionConfig {
    let mut config = SessionConfig::new()
        .with_target_partitions(target_partitions)
        .with_batch_size(BATCH_ROWS)
        .with_information_schema(false);
    let options = config.options_mut();
    options.sql_parser.collect_spans = true;

    // A task runs one partition alone; whatever makes partitions of one plan
    // wait for or take work from each other must be off.
    options.execution.enable_file_stream_work_stealing = false;
    options.optimizer.enable_dynamic_filter_pushdown = false;
    options.optimizer.enable_join_dynamic_filter_pushdown = false;
    options.optimizer.enable_topk_dynamic_filter_pushdown = false;
    options.optimizer.enable_aggregate_dynamic_filter_pushdown = false;

    // Partitions are ours to make: scans come in groups, and a round robin
    // would deal rows by arrival.
    options.optimizer.enable_round_robin_repartition = false;
    options.optimizer.repartition_file_scans = false;
    options.optimizer.preserve_file_partitions = 0;

    // These pick among equal rows, or merge streams, by seed or by arrival.
    options.optimizer.enable_topk_aggregation = false;
    options.optimizer.prefer_existing_union = true;
    options.optimizer.enable_sort_pushdown = false;

    options.optimizer.prefer_hash_join = true;
    options.optimizer.hash_join_single_partition_threshold = BROADCAST_BYTES_MAX;
    options.optimizer.hash_join_single_partition_threshold_rows = BROADCAST_ROWS_MAX;
    options.execution.parquet.pushdown_filters = true;
    config
}

/// What a session shares with the engine or gets from its task.
pub(crate) struct Surroundings<'a> {
    pub store: Arc<dyn ObjectStore>,
    pub footers: Arc<FileMetadataCache>,
    pub config: &'a EngineConfig,
    /// The memory that operators may use, in bytes; `None` for planning.
    pub memory_bytes: Option<u64>,
}

/// The runtime environment of one task or one planning.
pub(crate) fn runtime_env(around: &Surroundings<'_>) -> Result<Arc<RuntimeEnv>, DataFusionError> {
    let pool: Arc<dyn MemoryPool> = match around.memory_bytes {
        Some(bytes) => Arc::new(FairSpillPool::new(usize::try_from(bytes).unwrap_or(usize::MAX))),
        None => Arc::new(UnboundedMemoryPool::default()),
    };
    let cache = CacheManagerConfig::default()
        .with_file_statistics_cache_limit(0)
        .with_list_files_cache_limit(0)
        .with_metadata_cache_limit(around.config.footer_cache_bytes)
        .with_file_metadata_cache(Some(Arc::clone(&around.footers)));
    let env = RuntimeEnvBuilder::new()
        .with_memory_pool(pool)
        .with_cache_manager(cache)
        .with_disk_manager_builder(disk(&around.config.spill_dir, around.config.task_spill_bytes_max))
        .build_arc()?;
    env.register_object_store(ObjectStoreUrl::parse(STORE_URL)?.as_ref(), Arc::clone(&around.store));
    Ok(env)
}

fn disk(spill_dir: &Path, bytes_max: u64) -> DiskManagerBuilder {
    DiskManagerBuilder::default()
        .with_mode(DiskManagerMode::Directories(vec![spill_dir.to_path_buf()]))
        .with_max_temp_directory_size(bytes_max)
}

/// The state in which a query is planned into `target_partitions`, as of `now`.
pub(crate) fn planning_state(env: Arc<RuntimeEnv>, target_partitions: usize, now: DateTime<Utc>) -> SessionState {
    let mut rules = PhysicalOptimizer::new().rules;
    let after_join_selection = rules.iter().position(|rule| rule.name() == "join_selection").map_or(0, |at| at + 1);
    rules.insert(after_join_selection, Arc::new(DemoteBroadcast));
    let mut state = SessionStateBuilder::new()
        .with_config(settings(target_partitions))
        .with_runtime_env(env)
        .with_default_features()
        .with_physical_optimizer_rules(rules)
        .with_execution_props(ExecutionProps::new().with_query_execution_start_time(now))
        .build();
    volatile::register(&mut state, volatile::UNSEEDED);
    state
}

/// The state in which a task runs: settings and functions, no planner.
pub(crate) fn running_state(env: Arc<RuntimeEnv>) -> SessionState {
    SessionStateBuilder::new().with_config(settings(1)).with_runtime_env(env).with_default_features().build()
}

/// A plain DataFusion session, as it comes, with `threads` partitions: what
/// the engine's answers and times are compared with. It reads local files by
/// DataFusion's own table providers and knows nothing of a mesh.
pub fn plain_session(threads: NonZeroUsize) -> SessionContext {
    SessionContext::new_with_config(
        SessionConfig::new().with_target_partitions(threads.get()).with_information_schema(true),
    )
    .enable_url_table()
}
