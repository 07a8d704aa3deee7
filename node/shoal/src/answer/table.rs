use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::util::display::FormatOptions;
use arrow::util::pretty::{pretty_format_batches_with_options, pretty_format_batches_with_schema};

/// Rows shown. More are a matter for --format csv, or a LIMIT.
const ROWS_MAX: usize = 10_000;

/// Rows in boxes, for people. Held until all are there, as the widths of the
/// columns depend on all of them.
pub(crate) struct Table {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    shown: usize,
    all: usize,
}

impl Table {
    pub(crate) fn new(schema: SchemaRef) -> Self {
        Self { schema, batches: Vec::new(), shown: 0, all: 0 }
    }

    pub(crate) fn push(&mut self, batch: &RecordBatch) {
        self.all += batch.num_rows();
        let room = (ROWS_MAX - self.shown).min(batch.num_rows());
        if room > 0 {
            self.shown += room;
            self.batches.push(batch.slice(0, room));
        }
    }

    pub(crate) fn print(&self, out: &mut impl Write) -> Result<(), ArrowError> {
        if self.shown == 0 {
            let table = pretty_format_batches_with_schema(self.schema.clone(), &[])?;
            return Ok(writeln!(out, "{table}")?);
        }
        let options = FormatOptions::default().with_null("NULL").with_display_error(true);
        let table = pretty_format_batches_with_options(&self.batches, &options)?;
        Ok(writeln!(out, "{table}")?)
    }

    /// What the reader must know of rows that are left out.
    pub(crate) fn note(&self) -> Option<String> {
        (self.all > self.shown).then(|| {
            format!("the first {} of {} rows; --format csv, json, arrow or parquet gives all", self.shown, self.all)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Int64Array, StringArray};
    use std::sync::Arc;

    fn printed(table: &Table) -> String {
        let mut out = Vec::new();
        table.print(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn null_is_told_from_an_empty_text() {
        let text = Arc::new(StringArray::from(vec![Some(""), None])) as ArrayRef;
        let batch = RecordBatch::try_from_iter(vec![("t", text)]).unwrap();
        let mut table = Table::new(batch.schema());
        table.push(&batch);
        assert_eq!(printed(&table), "+------+\n| t    |\n+------+\n|      |\n| NULL |\n+------+\n");
        assert_eq!(table.note(), None);
    }

    #[test]
    fn rows_beyond_the_most_are_counted_and_told() {
        let numbers = Arc::new(Int64Array::from_iter_values(0..8_000)) as ArrayRef;
        let batch = RecordBatch::try_from_iter(vec![("n", numbers)]).unwrap();
        let mut table = Table::new(batch.schema());
        table.push(&batch);
        table.push(&batch);
        table.push(&batch);
        assert_eq!(printed(&table).lines().count(), ROWS_MAX + 4);
        assert!(table.note().unwrap().contains("first 10000 of 24000 rows"));
    }

    #[test]
    fn an_answer_without_rows_still_shows_its_columns() {
        let numbers = Arc::new(Int64Array::from_iter_values(0..0)) as ArrayRef;
        let batch = RecordBatch::try_from_iter(vec![("number", numbers)]).unwrap();
        assert!(printed(&Table::new(batch.schema())).contains("| number |"));
    }
}
