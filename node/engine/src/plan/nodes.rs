//! The nodes of which one partition depends on one partition of each input
//! (or on a build side that is read whole), and what they are called.

use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::physical_plan::{FileScanConfig, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::joins::{HashJoinExec, PartitionMode};

/// Known good: node, and its name in titles (empty: not worth a mention).
const KNOWN: [(&str, &str); 25] = [
    ("AggregateExec", "aggregate"),
    ("BoundedWindowAggExec", "window"),
    ("CoalesceBatchesExec", ""),
    ("CoalescePartitionsExec", ""),
    ("CooperativeExec", ""),
    ("CrossJoinExec", "cross join"),
    ("DataSourceExec", "scan"),
    ("EmptyExec", "nothing"),
    ("ExchangeReadExec", "read"),
    ("FilterExec", "filter"),
    ("GlobalLimitExec", "limit"),
    ("HashJoinExec", "join"),
    ("LazyMemoryExec", "series"),
    ("LocalLimitExec", "limit"),
    ("NestedLoopJoinExec", "join"),
    ("PlaceholderRowExec", "one row"),
    ("ProjectionExec", ""),
    ("RecordScanExec", "scan"),
    ("SortExec", "sort"),
    ("SortExec(TopK)", "top rows"),
    ("SortMergeJoinExec", "join"),
    ("SortPreservingMergeExec", "merge"),
    ("UnionExec", "union"),
    ("UnnestExec", "unnest"),
    ("WindowAggExec", "window"),
];

/// Whether a node may be a part of a stage; why not, if it may not.
pub(super) fn check(node: &dyn ExecutionPlan) -> Result<(), String> {
    let name = node.name();
    if !KNOWN.iter().any(|(known, _)| *known == name) {
        return Err(format!("{name} is not known to be right when it is cut"));
    }
    if node.output_partitioning_count() == 0 {
        return Err(format!("{name} has no partitions"));
    }
    if let Some(source) = node.downcast_ref::<DataSourceExec>() {
        let source = source.data_source();
        let parquet = source
            .downcast_ref::<FileScanConfig>()
            .is_some_and(|config| config.file_source().downcast_ref::<ParquetSource>().is_some());
        if !parquet && source.downcast_ref::<MemorySourceConfig>().is_none() {
            return Err("a source that is neither a table of ours nor values".into());
        }
    }
    let undecided = |join: &HashJoinExec| *join.partition_mode() == PartitionMode::Auto;
    if node.downcast_ref::<HashJoinExec>().is_some_and(undecided) {
        return Err("a join of which the mode was not decided".into());
    }
    if name == "LazyMemoryExec" && node.output_partitioning_count() != 1 {
        return Err("a generated series in several partitions".into());
    }
    if node.schema().fields().iter().any(|field| has_dictionary(field.data_type())) {
        return Err("a column in dictionary encoding".into());
    }
    Ok(())
}

trait Partitions {
    fn output_partitioning_count(&self) -> usize;
}

impl Partitions for dyn ExecutionPlan + '_ {
    fn output_partitioning_count(&self) -> usize {
        self.properties().output_partitioning().partition_count()
    }
}

/// Whether values of the type share a dictionary, which streams of several
/// producers cannot.
pub(crate) fn has_dictionary(data_type: &arrow::datatypes::DataType) -> bool {
    use arrow::datatypes::DataType;
    match data_type {
        DataType::Dictionary(_, _) | DataType::RunEndEncoded(_, _) => true,
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _)
        | DataType::Map(item, _) => has_dictionary(item.data_type()),
        DataType::Struct(fields) => fields.iter().any(|field| has_dictionary(field.data_type())),
        DataType::Union(fields, _) => fields.iter().any(|(_, field)| has_dictionary(field.data_type())),
        _ => false,
    }
}

/// What a stage does, in a few words: its nodes from the leaves to the root.
pub(super) fn title(plan: &dyn ExecutionPlan) -> String {
    /// Words of a title; the rest is left to EXPLAIN.
    const WORDS_MAX: usize = 6;
    let mut words: Vec<&str> = Vec::new();
    collect(plan, &mut words);
    words.dedup();
    if words.len() > WORDS_MAX {
        let left_out = words.len() - WORDS_MAX;
        words.drain(1..=left_out);
        words.insert(1, "…");
    }
    words.join(", ")
}

fn collect<'a>(plan: &'a dyn ExecutionPlan, words: &mut Vec<&'a str>) {
    for child in plan.children() {
        collect(child.as_ref(), words);
    }
    let word = KNOWN.iter().find(|(known, _)| *known == plan.name()).map_or("", |(_, word)| *word);
    if !word.is_empty() {
        words.push(word);
    }
}
