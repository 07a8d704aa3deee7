use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::json::reader::{Decoder, ReaderBuilder};

use super::Decode;
use crate::session::BATCH_ROWS;

/// Decodes JSON lines: an object per line, its members the columns. What is
/// absent is null; members that are not columns are skipped.
pub(crate) struct JsonDecode {
    decoder: Decoder,
    schema: SchemaRef,
    unfinished_bytes: usize,
}

impl JsonDecode {
    pub(crate) fn new(table: &Schema, projection: &[usize]) -> Result<Self, ArrowError> {
        let schema = Arc::new(table.project(projection)?);
        let decoded = if projection.is_empty() {
            // Rows are counted by a column that no object needs to have.
            Arc::new(Schema::new(vec![Field::new("", arrow::datatypes::DataType::Utf8, true)]))
        } else {
            Arc::clone(&schema)
        };
        let decoder =
            ReaderBuilder::new(decoded).with_batch_size(BATCH_ROWS).with_coerce_primitive(true).build_decoder()?;
        Ok(Self { decoder, schema, unfinished_bytes: 0 })
    }

    fn flush(&mut self, out: &mut Vec<RecordBatch>) -> Result<(), ArrowError> {
        if let Some(batch) = self.decoder.flush()? {
            let columns = if self.schema.fields().is_empty() { Vec::new() } else { batch.columns().to_vec() };
            let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            out.push(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?);
        }
        Ok(())
    }
}

impl Decode for JsonDecode {
    fn push(&mut self, bytes: &[u8], out: &mut Vec<RecordBatch>) -> Result<(), ArrowError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let before = self.decoder.len();
            let taken = self.decoder.decode(rest)?;
            rest = &rest[taken..];
            let is_between = self.decoder.len() > before || !self.decoder.has_partial_record();
            self.unfinished_bytes = if is_between { 0 } else { self.unfinished_bytes.saturating_add(taken) };
            if !rest.is_empty() {
                self.flush(out)?;
            }
        }
        Ok(())
    }

    fn unfinished_bytes(&self) -> usize {
        self.unfinished_bytes
    }

    fn finish(&mut self, out: &mut Vec<RecordBatch>) -> Result<(), ArrowError> {
        self.flush(out)
    }
}
