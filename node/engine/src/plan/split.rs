//! Cutting a physical plan into stages.

use std::sync::Arc;

use datafusion::common::DataFusionError;
use datafusion::physical_expr::{Distribution, LexOrdering, Partitioning, PhysicalExpr};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::execution_plan::replace_children_if_necessary;
use datafusion::physical_plan::limit::LocalLimitExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, PlanProperties};
use shoal_types::{StageId, StageInput};

use super::nodes;
use super::place::{self, Placed};
use crate::exchange::{ExchangeReadExec, Gather};

/// A stage before it is written down.
pub(super) struct Draft {
    pub plan: Arc<dyn ExecutionPlan>,
    /// How rows are dealt to buckets; `None`: all go into one.
    pub hash: Option<(Vec<Arc<dyn PhysicalExpr>>, usize)>,
    pub inputs: Vec<StageInput>,
    /// The files that each partition reads: key and byte range.
    pub reads: Vec<Vec<place::FileRange>>,
    /// The bucket of the consumer's first partition, and how many there are.
    pub bucket_offset: usize,
    pub buckets: usize,
}

impl Draft {
    pub(super) fn partitions(&self) -> usize {
        self.plan.output_partitioning().partition_count()
    }
}

/// The stages of a plan, every producer before its consumer; the last has
/// one partition. An error says why the plan cannot be cut.
pub(super) fn stages(plan: Arc<dyn ExecutionPlan>) -> Result<Vec<Draft>, String> {
    let mut splitter = Splitter { drafts: Vec::new() };
    let mut root = splitter.cut(&plan)?;
    if partitions(&root) > 1 {
        let gather = match root.output_ordering() {
            Some(ordering) => Gather::Merge(ordering.clone()),
            None => Gather::InOrder,
        };
        let properties = Arc::clone(root.properties());
        root = splitter.gather(root, gather, None, &properties)?;
    }
    splitter.finish(root, None)?;
    Ok(splitter.drafts)
}

struct Splitter {
    drafts: Vec<Draft>,
}

impl Splitter {
    /// The part of the plan that stays in the stage of its consumer.
    fn cut(&mut self, plan: &Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>, String> {
        let mut children = Vec::new();
        for child in plan.children() {
            children.push(self.cut(child)?);
        }
        if let (Some(repartition), [child]) = (plan.downcast_ref::<RepartitionExec>(), &children[..]) {
            return self.cut_repartition(repartition, child);
        }
        if let (Some(coalesce), [child]) = (plan.downcast_ref::<CoalescePartitionsExec>(), &children[..])
            && partitions(child) > 1
        {
            let fetch = coalesce.fetch();
            return self.gather(limited(child, fetch), Gather::InOrder, fetch, plan.properties());
        }
        if let (Some(merge), [child]) = (plan.downcast_ref::<SortPreservingMergeExec>(), &children[..])
            && partitions(child) > 1
        {
            let (gather, fetch) = (Gather::Merge(merge.expr().clone()), merge.fetch());
            return self.gather(limited(child, fetch), gather, fetch, plan.properties());
        }
        let node = replace_children_if_necessary(Arc::clone(plan), children).map_err(odd)?;
        let node = self.cut_build_sides(node)?;
        nodes::check(node.as_ref())?;
        Ok(node)
    }

    fn cut_repartition(
        &mut self,
        repartition: &RepartitionExec,
        child: &Arc<dyn ExecutionPlan>,
    ) -> Result<Arc<dyn ExecutionPlan>, String> {
        let Partitioning::Hash(exprs, count) = repartition.partitioning() else {
            return Err(format!("a repartition by {}", repartition.partitioning()));
        };
        let sorted = repartition.preserve_order() && partitions(child) > 1;
        let gather = match child.output_ordering() {
            Some(ordering) if sorted => Gather::Merge(ordering.clone()),
            None if sorted => return Err("a repartition that keeps an order that is not known".into()),
            _ => Gather::InOrder,
        };
        let producer = self.finish(Arc::clone(child), Some((exprs.clone(), *count)))?;
        Ok(read(producer, gather, None, Arc::clone(repartition.properties())))
    }

    /// Build sides that every task of the stage would read become stages,
    /// so that they are made once.
    fn cut_build_sides(&mut self, node: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>, String> {
        let mut children: Vec<_> = node.children().into_iter().cloned().collect();
        if children.len() < 2 || partitions(&node) == 1 {
            return Ok(node);
        }
        let single = read_whole(node.as_ref());
        for (child, single) in children.iter_mut().zip(single) {
            if !single || child.downcast_ref::<ExchangeReadExec>().is_some() {
                continue;
            }
            if partitions(child) != 1 {
                return Err("a build side in several partitions".into());
            }
            let properties = Arc::clone(child.properties());
            *child = self.gather(Arc::clone(child), Gather::InOrder, None, &properties)?;
        }
        replace_children_if_necessary(node, children).map_err(odd)
    }

    /// A stage of `child`, and the reader of all its rows in one partition.
    fn gather(
        &mut self,
        child: Arc<dyn ExecutionPlan>,
        gather: Gather,
        fetch: Option<usize>,
        like: &Arc<PlanProperties>,
    ) -> Result<Arc<dyn ExecutionPlan>, String> {
        let producer = self.finish(child, None)?;
        let one = Partitioning::UnknownPartitioning(1);
        let properties = Arc::new(PlanProperties::clone(like).with_partitioning(one));
        Ok(read(producer, gather, fetch, properties))
    }

    /// Ends a stage: its readers learn which buckets are theirs, and the
    /// producers into how many they deal.
    fn finish(
        &mut self,
        plan: Arc<dyn ExecutionPlan>,
        hash: Option<(Vec<Arc<dyn PhysicalExpr>>, usize)>,
    ) -> Result<StageId, String> {
        let Placed { plan, inputs, reads, dealt } = place::place(&plan)?;
        for (producer, offset, total) in dealt {
            let Some(draft) = self.drafts.get_mut(producer.0 as usize) else {
                return Err("a reader of a stage that is not there".into());
            };
            (draft.bucket_offset, draft.buckets) = (offset, total);
        }
        let id = u32::try_from(self.drafts.len()).map_err(|_| "too many stages".to_owned())?;
        self.drafts.push(Draft { plan, hash, inputs, reads, bucket_offset: 0, buckets: 1 });
        Ok(StageId(id))
    }
}

/// For each input, whether every partition of the node reads it whole.
pub(super) fn read_whole(node: &dyn ExecutionPlan) -> Vec<bool> {
    let count = node.children().len();
    if count < 2 {
        return vec![false; count];
    }
    let requirements = node.input_distribution_requirements();
    requirements.per_child_distributions().map(|wanted| matches!(wanted, Distribution::SinglePartition)).collect()
}

pub(super) fn partitions(plan: &Arc<dyn ExecutionPlan>) -> usize {
    plan.output_partitioning().partition_count()
}

fn limited(plan: &Arc<dyn ExecutionPlan>, fetch: Option<usize>) -> Arc<dyn ExecutionPlan> {
    match fetch {
        Some(fetch) => Arc::new(LocalLimitExec::new(Arc::clone(plan), fetch)),
        None => Arc::clone(plan),
    }
}

fn read(
    producer: StageId,
    gather: Gather,
    fetch: Option<usize>,
    properties: Arc<PlanProperties>,
) -> Arc<dyn ExecutionPlan> {
    Arc::new(ExchangeReadExec {
        producer,
        input: 0,
        offset: 0,
        broadcast: false,
        gather,
        fetch,
        properties,
        inputs: None,
    })
}

fn odd(error: DataFusionError) -> String {
    error.strip_backtrace()
}

/// The orderings that a plan's rows are known to have.
pub(super) fn orderings(properties: &PlanProperties) -> Vec<LexOrdering> {
    properties.eq_properties.oeq_class().iter().cloned().collect()
}
