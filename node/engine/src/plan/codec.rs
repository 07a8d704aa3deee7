//! Plans as bytes: DataFusion's encoding, and ours for our own nodes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::compute::SortOptions;
use arrow::datatypes::{Schema, SchemaRef};
use bytes::Bytes;
use datafusion::common::{DataFusionError, Result as DfResult, Statistics, internal_datafusion_err, internal_err};
use datafusion::execution::TaskContext;
use datafusion::logical_expr::ScalarUDF;
use datafusion::physical_expr::{LexOrdering, Partitioning, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::ExecutionPlan;
use datafusion_proto::bytes::{
    physical_plan_from_bytes_with_proto_converter, physical_plan_to_bytes_with_proto_converter,
};
use datafusion_proto::physical_plan::{
    DeduplicatingProtoConverter, PhysicalExtensionCodec, PhysicalPlanDecodeContext, PhysicalProtoConverterExtension,
};
use datafusion_proto::protobuf;
use prost::Message;
use serde::{Deserialize, Serialize};
use shoal_types::{StageId, wire};

use super::split::orderings;
use crate::error::external;
use crate::exchange::{ExchangeReadExec, Gather, TaskInputs};
use crate::pins::PinStore;
use crate::scan::{RecordScan, RecordScanExec};
use crate::volatile;

/// What our nodes need besides their bytes, where a plan is decoded.
#[derive(Debug)]
pub(crate) struct ShoalCodec {
    store: Arc<PinStore>,
    inputs: Option<Arc<TaskInputs>>,
    seed: u64,
    /// Calls of volatile functions decoded so far: each gets its own seed.
    calls: AtomicU64,
}

impl ShoalCodec {
    pub(super) fn for_planning(store: Arc<PinStore>) -> Self {
        Self { store, inputs: None, seed: volatile::UNSEEDED, calls: AtomicU64::new(0) }
    }

    pub(crate) fn for_task(store: Arc<PinStore>, inputs: Arc<TaskInputs>, seed: u64) -> Self {
        Self { store, inputs: Some(inputs), seed, calls: AtomicU64::new(0) }
    }
}

pub(super) fn encode_plan(plan: &Arc<dyn ExecutionPlan>, codec: &ShoalCodec) -> DfResult<Bytes> {
    physical_plan_to_bytes_with_proto_converter(Arc::clone(plan), codec, &DeduplicatingProtoConverter {})
}

/// The plan in `bytes`, its leaves bound to what `codec` has.
pub(crate) fn decode_plan(bytes: &[u8], context: &TaskContext, codec: &ShoalCodec) -> DfResult<Arc<dyn ExecutionPlan>> {
    physical_plan_from_bytes_with_proto_converter(bytes, context, codec, &DeduplicatingProtoConverter {})
}

/// One of our nodes.
#[derive(Serialize, Deserialize)]
enum Node {
    Read(Read),
    Scan { scan: RecordScan, table: Vec<u8> },
}

#[derive(Serialize, Deserialize)]
struct Read {
    producer: StageId,
    input: u32,
    offset: u32,
    broadcast: bool,
    fetch: Option<u64>,
    schema: Vec<u8>,
    partitions: u32,
    /// The expressions by which the partitions were dealt, if they were.
    hash: Option<Vec<Vec<u8>>>,
    orderings: Vec<Vec<Sort>>,
    merge: Option<Vec<Sort>>,
}

#[derive(Serialize, Deserialize)]
struct Sort {
    expr: Vec<u8>,
    descending: bool,
    nulls_first: bool,
}

impl PhysicalExtensionCodec for ShoalCodec {
    fn try_encode(
        &self,
        node: Arc<dyn ExecutionPlan>,
        buf: &mut Vec<u8>,
        proto: &dyn PhysicalProtoConverterExtension,
    ) -> DfResult<()> {
        let node = if let Some(scan) = node.downcast_ref::<RecordScanExec>() {
            Node::Scan { scan: RecordScan::clone(&scan.scan), table: schema_bytes(&scan.table)? }
        } else if let Some(read) = node.downcast_ref::<ExchangeReadExec>() {
            Node::Read(self.encode_read(read, proto)?)
        } else {
            return internal_err!("{} has no encoding", node.name());
        };
        buf.extend_from_slice(&wire::encode(&node).map_err(external)?);
        Ok(())
    }

    fn try_decode(
        &self,
        buf: &[u8],
        _: &[Arc<dyn ExecutionPlan>],
        context: &TaskContext,
        proto: &dyn PhysicalProtoConverterExtension,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        match wire::decode(buf).map_err(external)? {
            Node::Scan { scan, table } => {
                let table = schema_of(&table)?;
                let statistics = Statistics::new_unknown(&table.project(&scan.projection)?);
                Ok(Arc::new(RecordScanExec::new(scan, table, statistics, Arc::clone(&self.store))?))
            }
            Node::Read(read) => self.decode_read(&read, context, proto),
        }
    }

    fn try_encode_udf(&self, function: &ScalarUDF, buf: &mut Vec<u8>) -> DfResult<()> {
        if volatile::is_volatile(function.name()) {
            // A mark, so that the decoder asks us and not its registry.
            buf.push(1);
        }
        Ok(())
    }

    fn try_decode_udf(&self, name: &str, _: &[u8]) -> DfResult<Arc<ScalarUDF>> {
        let seed =
            self.seed.wrapping_add(self.calls.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        volatile::function(name, seed).ok_or_else(|| internal_datafusion_err!("there is no function {name}"))
    }
}

impl ShoalCodec {
    fn encode_read(&self, read: &ExchangeReadExec, proto: &dyn PhysicalProtoConverterExtension) -> DfResult<Read> {
        let expr = |expr: &Arc<dyn PhysicalExpr>| -> DfResult<Vec<u8>> {
            Ok(proto.physical_expr_to_proto(expr, self)?.encode_to_vec())
        };
        let sorts = |ordering: &LexOrdering| -> DfResult<Vec<Sort>> {
            let sort = |sort: &PhysicalSortExpr| -> DfResult<Sort> {
                let SortOptions { descending, nulls_first } = sort.options;
                Ok(Sort { expr: expr(&sort.expr)?, descending, nulls_first })
            };
            ordering.iter().map(sort).collect()
        };
        let hash = match read.properties.output_partitioning() {
            Partitioning::Hash(exprs, _) => Some(exprs.iter().map(expr).collect::<DfResult<_>>()?),
            _ => None,
        };
        Ok(Read {
            producer: read.producer,
            input: read.input as u32,
            offset: read.offset as u32,
            broadcast: read.broadcast,
            fetch: read.fetch.map(|fetch| fetch as u64),
            schema: schema_bytes(&read.schema())?,
            partitions: read.partitions() as u32,
            hash,
            orderings: orderings(&read.properties).iter().map(sorts).collect::<DfResult<_>>()?,
            merge: match &read.gather {
                Gather::InOrder => None,
                Gather::Merge(ordering) => Some(sorts(ordering)?),
            },
        })
    }

    fn decode_read(
        &self,
        read: &Read,
        context: &TaskContext,
        proto: &dyn PhysicalProtoConverterExtension,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let schema = schema_of(&read.schema)?;
        let decode = PhysicalPlanDecodeContext::new(context, self);
        let expr = |bytes: &[u8]| -> DfResult<Arc<dyn PhysicalExpr>> {
            let node = protobuf::PhysicalExprNode::decode(bytes).map_err(undecodable)?;
            proto.proto_to_physical_expr(&node, &schema, &decode)
        };
        let ordering = |sorts: &Vec<Sort>| -> DfResult<LexOrdering> {
            let sort = |sort: &Sort| -> DfResult<PhysicalSortExpr> {
                let options = SortOptions { descending: sort.descending, nulls_first: sort.nulls_first };
                Ok(PhysicalSortExpr::new(expr(&sort.expr)?, options))
            };
            let sorts = sorts.iter().map(sort).collect::<DfResult<Vec<_>>>()?;
            LexOrdering::new(sorts).ok_or_else(|| internal_datafusion_err!("an ordering by nothing"))
        };
        let partitions = read.partitions as usize;
        let partitioning = match &read.hash {
            Some(exprs) => {
                let exprs = exprs.iter().map(|bytes| expr(bytes)).collect::<DfResult<_>>()?;
                Partitioning::Hash(exprs, partitions)
            }
            None => Partitioning::UnknownPartitioning(partitions),
        };
        let orderings = read.orderings.iter().map(ordering).collect::<DfResult<_>>()?;
        let gather = match &read.merge {
            Some(sorts) => Gather::Merge(ordering(sorts)?),
            None => Gather::InOrder,
        };
        Ok(Arc::new(ExchangeReadExec {
            producer: read.producer,
            input: read.input as usize,
            offset: read.offset as usize,
            broadcast: read.broadcast,
            gather,
            fetch: read.fetch.map(|fetch| usize::try_from(fetch).unwrap_or(usize::MAX)),
            properties: ExchangeReadExec::properties_of(Arc::clone(&schema), partitioning, orderings),
            inputs: self.inputs.clone(),
        }))
    }
}

fn schema_bytes(schema: &Schema) -> DfResult<Vec<u8>> {
    let proto: protobuf::Schema = schema.try_into()?;
    Ok(proto.encode_to_vec())
}

fn schema_of(bytes: &[u8]) -> DfResult<SchemaRef> {
    let proto = protobuf::Schema::decode(bytes).map_err(undecodable)?;
    Ok(Arc::new((&proto).try_into()?))
}

fn undecodable(error: prost::DecodeError) -> DataFusionError {
    internal_datafusion_err!("a plan's bytes do not decode: {error}")
}
