use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions, new_null_array};
use arrow::csv::reader::{Decoder, ReaderBuilder};
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::error::ArrowError;

use super::{Decode, ScanFile};
use crate::cut::Quotes;
use crate::session::BATCH_ROWS;

/// Decodes CSV records of one file into columns of the table.
///
/// Columns go by name: a file may have them in another order than the table,
/// and lack some, which are then null.
pub(crate) struct CsvDecode {
    /// `None` for a file without columns, which has blank lines alone.
    decoder: Option<Decoder>,
    schema: SchemaRef,
    /// For each wanted column, where the decoder gives it.
    sources: Vec<Option<usize>>,
    /// `None` where it does not matter how the bytes end.
    quotes: Option<Quotes>,
    unfinished_bytes: usize,
}

impl CsvDecode {
    /// Quotes are followed, which costs a pass over the bytes, where
    /// `may_be_cut`: where a record might not end with them, or not at all.
    pub(crate) fn new(
        table: &Schema,
        projection: &[usize],
        file: &ScanFile,
        has_header: bool,
        may_be_cut: bool,
    ) -> Result<Self, ArrowError> {
        let columns = &file.columns;
        let mut fields = Vec::with_capacity(columns.len());
        for column in columns {
            let field = table.field_with_name(column)?;
            fields.push(Field::new(column, field.data_type().clone(), true));
        }
        let wanted: Vec<Option<usize>> =
            projection.iter().map(|at| columns.iter().position(|column| column == table.field(*at).name())).collect();
        let mut decoded: Vec<usize> = wanted.iter().flatten().copied().collect();
        decoded.sort_unstable();
        decoded.dedup();
        if decoded.is_empty() && !columns.is_empty() {
            // Rows are counted by a column, any.
            decoded.push(0);
        }
        let sources = wanted.iter().map(|at| at.and_then(|at| decoded.binary_search(&at).ok())).collect();
        let decoder = (!columns.is_empty()).then(|| {
            ReaderBuilder::new(Arc::new(Schema::new(fields)))
                .with_header(has_header)
                .with_delimiter(file.delimiter)
                .with_batch_size(BATCH_ROWS)
                .with_projection(decoded)
                .build_decoder()
        });
        let schema = Arc::new(table.project(projection)?);
        let quotes = may_be_cut.then(|| Quotes::new(file.delimiter));
        Ok(Self { decoder, schema, sources, quotes, unfinished_bytes: 0 })
    }

    fn flush(&mut self, out: &mut Vec<RecordBatch>) -> Result<bool, ArrowError> {
        let Some(decoder) = &mut self.decoder else { return Ok(false) };
        let Some(batch) = decoder.flush()? else { return Ok(false) };
        let columns = self
            .sources
            .iter()
            .zip(self.schema.fields())
            .map(|(source, field)| match source {
                Some(at) => Arc::clone(batch.column(*at)),
                None => new_null_array(field.data_type(), batch.num_rows()),
            })
            .collect();
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        out.push(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?);
        Ok(true)
    }
}

impl Decode for CsvDecode {
    fn push(&mut self, bytes: &[u8], out: &mut Vec<RecordBatch>) -> Result<(), ArrowError> {
        let end = self.quotes.as_mut().map(|quotes| quotes.advance(bytes));
        let mut rest = bytes;
        let mut has_ended = false;
        while !rest.is_empty() {
            let Some(decoder) = &mut self.decoder else { return blank(rest) };
            let room = decoder.capacity();
            let taken = decoder.decode(rest)?;
            has_ended |= decoder.capacity() < room;
            let full = decoder.capacity() == 0;
            rest = &rest[taken..];
            if full {
                self.flush(out)?;
            } else if taken == 0 {
                break;
            }
        }
        self.unfinished_bytes = match end {
            None => 0,
            Some(Some(end)) => bytes.len() - end,
            // By a carriage return alone.
            Some(None) if has_ended => 0,
            Some(None) => self.unfinished_bytes.saturating_add(bytes.len()),
        };
        Ok(())
    }

    fn unfinished_bytes(&self) -> usize {
        self.unfinished_bytes
    }

    fn is_open(&self) -> bool {
        self.quotes.as_ref().is_some_and(Quotes::is_open)
    }

    fn finish(&mut self, out: &mut Vec<RecordBatch>) -> Result<(), ArrowError> {
        // An empty piece says that the last record ends here.
        if let Some(decoder) = &mut self.decoder {
            decoder.decode(&[])?;
        }
        while self.flush(out)? {}
        Ok(())
    }
}

/// Rows of a file that has no columns would be missing without a word.
fn blank(bytes: &[u8]) -> Result<(), ArrowError> {
    if bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n')) {
        return Ok(());
    }
    Err(ArrowError::CsvError("it begins with too many blank lines to tell its columns".into()))
}
