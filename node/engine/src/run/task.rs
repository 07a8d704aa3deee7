use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::Result as DfResult;
use datafusion::execution::TaskContext;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::session_state::SessionState;
use datafusion::physical_expr::Partitioning;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::Time;
use datafusion::physical_plan::repartition::{BatchPartitioner, RepartitionExec};
use futures::StreamExt;
use shoal_ports::TaskIo;
use shoal_types::{Error, Result, TaskReport, TaskSpec};

use crate::error::running;
use crate::exchange::{BucketWriter, Outputs, SpillDir, TaskInputs};
use crate::fingerprint::{Fingerprinter, plain_type};
use crate::pins::{ByteSource, Pin, PinStore};
use crate::plan::{Part, Planner, ShoalCodec, StageFragment, WholeFragment, decode_plan, has_dictionary};
use crate::session::{Surroundings, runtime_env};
use crate::volatile;

/// What all tasks of an engine share.
pub(crate) struct Workshop {
    pub planner: Planner,
    pub functions: SessionState,
    pub outputs: Arc<Outputs>,
    pub spill_dir: Arc<SpillDir>,
}

impl Workshop {
    /// The context of a task: its environment, and the functions of all.
    fn context(&self, env: Arc<RuntimeEnv>) -> Result<TaskContext> {
        let context =
            Arc::into_inner(self.functions.task_ctx()).ok_or_else(|| Error::bug("a task's context is shared"))?;
        Ok(context.with_runtime(env))
    }
}

/// One task, about to run.
pub(crate) struct TaskRunner {
    pub workshop: Arc<Workshop>,
    pub task: TaskSpec,
    pub io: Arc<dyn TaskIo>,
}

/// A task's plan, bound to its inputs.
struct Bound {
    plan: Arc<dyn ExecutionPlan>,
    partition: usize,
    context: Arc<TaskContext>,
    store: Arc<PinStore>,
    inputs: Arc<TaskInputs>,
    /// How rows are dealt, and to which bucket the first deal goes.
    dealer: Option<BatchPartitioner>,
    bucket_offset: usize,
    buckets: usize,
    answer: bool,
    /// What the task reads, for messages.
    reads: String,
}

impl TaskRunner {
    /// Runs the task and keeps its output.
    pub(crate) async fn run(self, part: &Part) -> Result<TaskReport> {
        let start = Instant::now();
        let bound = match part {
            Part::Stage(stage) => self.bind_stage(stage)?,
            Part::Whole(whole) => self.bind_whole(whole).await?,
        };
        let mut report = self.execute(bound).await?;
        report.elapsed_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(report)
    }

    fn bind_stage(&self, stage: &StageFragment) -> Result<Bound> {
        let workshop = &self.workshop;
        let partition = self.task.output.task.partition as usize;
        let store = Arc::new(PinStore::new(stage.pins.iter().cloned(), ByteSource::Task(Arc::clone(&self.io))));
        let inputs = self.inputs();
        let around = Surroundings {
            store: Arc::clone(&store) as _,
            footers: Arc::clone(&workshop.planner.footers),
            config: &workshop.planner.config,
            memory_bytes: Some(self.task.memory_bytes),
        };
        let unplannable = |error| running(error, "a stage's plan");
        let env = runtime_env(&around).map_err(unplannable)?;
        let context = workshop.context(env)?;
        let codec =
            ShoalCodec::for_task(Arc::clone(&store), Arc::clone(&inputs), volatile::seed(self.task.output.task));
        let root = decode_plan(&stage.plan, &context, &codec).map_err(unplannable)?;
        let (plan, dealer) = if stage.hashed { dealt(&root)? } else { (root, None) };
        if stage.buckets != self.task.buckets {
            let (asked, planned) = (self.task.buckets, stage.buckets);
            return Err(Error::bug(format!("a task was asked for {asked} buckets, its stage has {planned}")));
        }
        Ok(Bound {
            plan,
            partition,
            context: Arc::new(context),
            store,
            inputs,
            dealer,
            bucket_offset: stage.bucket_offset as usize,
            buckets: stage.buckets as usize,
            answer: stage.answer,
            reads: names(&stage.pins),
        })
    }

    async fn bind_whole(&self, whole: &WholeFragment) -> Result<Bound> {
        let source = ByteSource::Task(Arc::clone(&self.io));
        let seed = volatile::seed(self.task.output.task);
        let planner = &self.workshop.planner;
        let (state, store, plan) = planner.plan_whole(whole, source, self.task.memory_bytes, seed).await?;
        let pins: Vec<_> = whole.tables.iter().flat_map(|table| table.pins.iter().cloned()).collect();
        Ok(Bound {
            plan,
            partition: 0,
            context: state.task_ctx(),
            store,
            inputs: self.inputs(),
            dealer: None,
            bucket_offset: 0,
            buckets: 1,
            answer: true,
            reads: names(&pins),
        })
    }

    fn inputs(&self) -> Arc<TaskInputs> {
        let outputs = Arc::clone(&self.workshop.outputs);
        Arc::new(TaskInputs::new(self.task.inputs.clone(), Arc::clone(&self.io), outputs))
    }

    async fn execute(&self, mut bound: Bound) -> Result<TaskReport> {
        let failed = |error| running(error, &bound.reads);
        let schema = plain_schema(&bound.plan.schema());
        let (outputs, spill_dir) = (Arc::clone(&self.workshop.outputs), Arc::clone(&self.workshop.spill_dir));
        let mut writer = BucketWriter::new(Arc::clone(&schema), bound.buckets, outputs, spill_dir);
        let mut fingerprinter = Fingerprinter::default();
        let mut rows = bound.plan.execute(bound.partition, Arc::clone(&bound.context)).map_err(failed)?;
        while let Some(batch) = rows.next().await {
            let batch = plain_batch(batch.map_err(failed)?, &schema).map_err(failed)?;
            if bound.answer {
                fingerprinter.add(&batch)?;
            }
            match &mut bound.dealer {
                None => writer.push(bound.bucket_offset, batch)?,
                Some(dealer) => {
                    for dealt in dealer.partition_iter(batch).map_err(failed)? {
                        let (bucket, batch) = dealt.map_err(failed)?;
                        writer.push(bound.bucket_offset + bucket, batch)?;
                    }
                }
            }
            // One task must not hold its thread for long.
            tokio::task::consume_budget().await;
        }
        drop(rows);
        let (output, rows, bytes) = writer.finish()?;
        self.workshop.outputs.put(self.task.output, output);
        let counters = bound.store.counters();
        Ok(TaskReport {
            rows,
            bytes,
            fingerprint: fingerprinter.sum,
            elapsed_ms: 0,
            scanned_local_bytes: counters.local_bytes.load(Ordering::Relaxed),
            scanned_remote_bytes: counters.remote_bytes.load(Ordering::Relaxed),
            fetched_bytes: bound.inputs.fetched_bytes(),
        })
    }
}

/// The plan below a repartition, and the dealer that does what it says.
fn dealt(root: &Arc<dyn ExecutionPlan>) -> Result<(Arc<dyn ExecutionPlan>, Option<BatchPartitioner>)> {
    let Some(repartition) = root.downcast_ref::<RepartitionExec>() else {
        return Err(Error::bug("a stage that deals by hash has no repartition at its root"));
    };
    let Partitioning::Hash(exprs, count) = repartition.partitioning() else {
        return Err(Error::bug("a stage deals its rows in an unknown way"));
    };
    let dealer = BatchPartitioner::new_hash_partitioner(exprs.clone(), *count, Time::new())
        .map_err(|error| Error::bug(error.strip_backtrace()))?;
    Ok((Arc::clone(repartition.input()), Some(dealer)))
}

/// A schema of which streams of several producers can be put together.
fn plain_schema(schema: &SchemaRef) -> SchemaRef {
    if !schema.fields().iter().any(|field| has_dictionary(field.data_type())) {
        return Arc::clone(schema);
    }
    let field = |field: &Arc<Field>| -> Arc<Field> {
        if has_dictionary(field.data_type()) {
            Arc::new(Field::new(field.name(), plain_type(field.data_type()), field.is_nullable()))
        } else {
            Arc::clone(field)
        }
    };
    Arc::new(Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>()))
}

fn plain_batch(batch: RecordBatch, schema: &SchemaRef) -> DfResult<RecordBatch> {
    if batch.schema_ref() == schema {
        return Ok(batch);
    }
    let plain = |(column, field): (&ArrayRef, &Arc<Field>)| {
        if column.data_type() == field.data_type() { Ok(Arc::clone(column)) } else { cast(column, field.data_type()) }
    };
    let columns = batch.columns().iter().zip(schema.fields()).map(plain).collect::<Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}

/// Pinned files in a few words.
fn names(pins: &[Pin]) -> String {
    match pins {
        [] => "the query".into(),
        [one] => one.name.clone(),
        [first, .., last] => format!("one of the {} objects from {} to {}", pins.len(), first.name, last.name),
    }
}
