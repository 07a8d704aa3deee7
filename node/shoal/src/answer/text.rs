//! Columns that CSV has no cell for (lists, structs, maps), as text.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};

/// The schema with its nested columns as text.
pub(crate) fn flat_schema(schema: &SchemaRef) -> SchemaRef {
    if !schema.fields().iter().any(|field| field.data_type().is_nested()) {
        return schema.clone();
    }
    let fields = schema.fields().iter().map(|field| match field.data_type().is_nested() {
        true => Arc::new(Field::new(field.name(), DataType::Utf8, true)),
        false => field.clone(),
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// The rows with their nested columns as text.
pub(crate) fn flat(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let schema = flat_schema(&batch.schema());
    if schema == batch.schema() {
        return Ok(batch.clone());
    }
    let columns = batch.columns().iter().map(|column| match column.data_type().is_nested() {
        true => as_text(column),
        false => Ok(column.clone()),
    });
    RecordBatch::try_new(schema, columns.collect::<Result<_, _>>()?)
}

fn as_text(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let options = FormatOptions::default().with_null("null");
    let formatter = ArrayFormatter::try_new(column, &options)?;
    let cell = |row| match column.is_null(row) {
        true => Ok(None),
        false => formatter.value(row).try_to_string().map(Some),
    };
    let cells: Vec<Option<String>> = (0..column.len()).map(cell).collect::<Result<_, _>>()?;
    Ok(Arc::new(StringArray::from(cells)))
}
