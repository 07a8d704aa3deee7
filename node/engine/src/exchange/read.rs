use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result as DfResult, internal_err};
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, LexOrdering, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::limit::LimitStream;
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet};
use datafusion::physical_plan::sorts::streaming_merge::StreamingMergeBuilder;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties, ReplaceChildrenOptions,
};

use shoal_types::StageId;

use super::inputs::TaskInputs;

/// The consumer's end of an exchange: a leaf that reads what the tasks of
/// another stage have made.
///
/// Partition `p` reads bucket `offset + p` of every producer, or bucket 0
/// when it is read whole by everyone. Producers are read in the order of
/// their partitions, so the rows come in the same order every time.
#[derive(Debug, Clone)]
pub(crate) struct ExchangeReadExec {
    /// Who makes it, while the plan is being cut into stages.
    pub producer: StageId,
    /// Which of the stage's inputs it is.
    pub input: usize,
    /// The bucket of the first partition. More than 0 where the reader is a
    /// later branch of a union.
    pub offset: usize,
    pub broadcast: bool,
    pub gather: Gather,
    /// Rows after which it stops.
    pub fetch: Option<usize>,
    pub properties: Arc<PlanProperties>,
    /// There when it runs.
    pub inputs: Option<Arc<TaskInputs>>,
}

/// In what order rows of several producers come.
#[derive(Debug, Clone)]
pub(crate) enum Gather {
    /// Producer after producer.
    InOrder,
    /// Merged; each producer's rows are sorted by this. Of equal rows those
    /// of the earlier producer come first.
    Merge(LexOrdering),
}

impl ExchangeReadExec {
    /// The properties of a reader.
    pub(crate) fn properties_of(
        schema: SchemaRef,
        partitioning: Partitioning,
        orderings: Vec<LexOrdering>,
    ) -> Arc<PlanProperties> {
        let equivalences = EquivalenceProperties::new_with_orderings(schema, orderings);
        Arc::new(PlanProperties::new(equivalences, partitioning, EmissionType::Incremental, Boundedness::Bounded))
    }

    pub(crate) fn partitions(&self) -> usize {
        self.properties.output_partitioning().partition_count()
    }

    fn merge(
        &self,
        ordering: &LexOrdering,
        inputs: &Arc<TaskInputs>,
        partition: usize,
        bucket: u32,
        context: &TaskContext,
    ) -> DfResult<SendableRecordBatchStream> {
        let schema = self.schema();
        let mut streams: Vec<_> =
            inputs.producers(self.input)?.iter().map(|pin| inputs.one(*pin, bucket, &schema)).collect();
        if streams.len() == 1 {
            return Ok(limited(streams.swap_remove(0), self.fetch, partition));
        }
        let metrics = ExecutionPlanMetricsSet::new();
        let reservation = MemoryConsumer::new(format!("exchange merge {partition}")).register(context.memory_pool());
        StreamingMergeBuilder::new()
            .with_streams(streams)
            .with_schema(schema)
            .with_expressions(ordering)
            .with_metrics(BaselineMetrics::new(&metrics, partition))
            .with_batch_size(context.session_config().batch_size())
            .with_fetch(self.fetch)
            .with_reservation(reservation)
            // Taking turns among equal rows would depend on who answers first.
            .with_round_robin_tie_breaker(false)
            .build()
    }
}

fn limited(stream: SendableRecordBatchStream, fetch: Option<usize>, partition: usize) -> SendableRecordBatchStream {
    match fetch {
        None => stream,
        Some(_) => {
            let metrics = BaselineMetrics::new(&ExecutionPlanMetricsSet::new(), partition);
            Box::pin(LimitStream::new(stream, 0, fetch, metrics))
        }
    }
}

impl DisplayAs for ExchangeReadExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = if self.broadcast { "all of" } else { "bucket of" };
        write!(f, "ExchangeReadExec: {how} stage {}, partitions={}", self.producer, self.partitions())?;
        if let Gather::Merge(ordering) = &self.gather {
            write!(f, ", merged by [{ordering}]")?;
        }
        match self.fetch {
            Some(fetch) => write!(f, ", fetch={fetch}"),
            None => Ok(()),
        }
    }
}

impl ExecutionPlan for ExchangeReadExec {
    fn name(&self) -> &'static str {
        "ExchangeReadExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> DfResult<TreeNodeRecursion>,
    ) -> DfResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> DfResult<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> DfResult<SendableRecordBatchStream> {
        let Some(inputs) = &self.inputs else {
            return internal_err!("an exchange is read outside of a task");
        };
        let bucket = if self.broadcast { 0 } else { (self.offset + partition) as u32 };
        match &self.gather {
            Gather::Merge(ordering) => self.merge(ordering, inputs, partition, bucket, &context),
            Gather::InOrder => {
                let schema = self.schema();
                let batches = inputs.in_order(inputs.producers(self.input)?, bucket, &schema);
                let batches: SendableRecordBatchStream = Box::pin(RecordBatchStreamAdapter::new(schema, batches));
                Ok(limited(batches, self.fetch, partition))
            }
        }
    }
}
