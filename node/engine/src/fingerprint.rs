//! The fingerprint of rows: the same for the same rows in any order.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef};
use arrow::error::ArrowError;
use arrow::row::{RowConverter, SortField};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use shoal_types::{Error, Fingerprint, Result};
use xxhash_rust::xxh3::xxh3_128;

/// The fingerprint of all rows of `batches`.
///
/// The order of columns matters, their names do not. How a value is laid out
/// in memory (plain, view, dictionary) does not matter either; its type
/// does, and so does every bit of a float. About 20 ns per row and column.
pub fn fingerprint<'a>(batches: impl IntoIterator<Item = &'a RecordBatch>) -> Result<Fingerprint> {
    let mut summer = Fingerprinter::default();
    for batch in batches {
        summer.add(batch)?;
    }
    Ok(summer.sum)
}

/// A fingerprint under way.
#[derive(Default)]
pub(crate) struct Fingerprinter {
    rows: Option<(Vec<DataType>, RowConverter)>,
    pub(crate) sum: Fingerprint,
}

impl Fingerprinter {
    pub(crate) fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        self.try_add(batch).map_err(|error| Error::bug(format!("fingerprinting rows: {error}")))
    }

    fn try_add(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        let columns = batch.columns().iter().map(plain).collect::<Result<Vec<_>, _>>()?;
        self.sum.rows += batch.num_rows() as u64;
        if columns.is_empty() {
            let empty = xxh3_128(&[]).wrapping_mul(batch.num_rows() as u128);
            self.sum.sum = self.sum.sum.wrapping_add(empty);
            return Ok(());
        }
        let types: Vec<_> = columns.iter().map(|column| column.data_type().clone()).collect();
        let converter = match &mut self.rows {
            Some((known, converter)) if *known == types => converter,
            rows => {
                let fields = types.iter().cloned().map(SortField::new).collect();
                &mut rows.insert((types, RowConverter::new(fields)?)).1
            }
        };
        for row in &converter.convert_columns(&columns)? {
            self.sum.sum = self.sum.sum.wrapping_add(xxh3_128(row.as_ref()));
        }
        Ok(())
    }
}

/// The column in the plainest layout of its type.
fn plain(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let wanted = plain_type(column.data_type());
    let column = if &wanted == column.data_type() { Arc::clone(column) } else { cast(column, &wanted)? };
    if RowConverter::supports_fields(&[SortField::new(wanted)]) {
        return Ok(column);
    }
    // Types without an order, as maps: their text stands for them.
    let options = FormatOptions::default().with_null("\u{0}");
    let texts = ArrayFormatter::try_new(column.as_ref(), &options)?;
    let texts = (0..column.len()).map(|row| texts.value(row).try_to_string()).collect::<Result<Vec<_>, _>>()?;
    Ok(Arc::new(arrow::array::StringArray::from(texts)))
}

/// The type of the same values without dictionaries, views and wide offsets.
pub(crate) fn plain_type(data_type: &DataType) -> DataType {
    let field =
        |field: &FieldRef| -> FieldRef { Arc::new(Field::new(field.name(), plain_type(field.data_type()), true)) };
    match data_type {
        DataType::Dictionary(_, values) => plain_type(values),
        DataType::RunEndEncoded(_, values) => plain_type(values.data_type()),
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => DataType::Binary,
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _) => DataType::List(field(item)),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(field).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{DictionaryArray, Float64Array, Int64Array, StringArray, StringViewArray};
    use arrow::datatypes::Int32Type;

    use super::*;

    fn batch(columns: Vec<ArrayRef>) -> RecordBatch {
        let named = columns.into_iter().enumerate().map(|(at, column)| (format!("c{at}"), column, true));
        RecordBatch::try_from_iter_with_nullable(named).unwrap()
    }

    #[test]
    fn layout_batching_and_order_do_not_matter_but_bits_do() {
        let texts = ["a", "a longer text than fits a view", "b"];
        let numbers: ArrayRef = Arc::new(Float64Array::from(vec![0.1, 0.2, f64::NAN]));
        let plain = batch(vec![Arc::new(StringArray::from(texts.to_vec())), Arc::clone(&numbers)]);
        let view = batch(vec![Arc::new(StringViewArray::from(texts.to_vec())), Arc::clone(&numbers)]);
        let dictionary: DictionaryArray<Int32Type> = texts.into_iter().collect();
        let dictionary = batch(vec![Arc::new(dictionary), numbers]);
        let expected = fingerprint([&plain]).unwrap();
        assert_eq!(expected.rows, 3);
        assert_eq!(fingerprint([&view]).unwrap(), expected);
        assert_eq!(fingerprint([&dictionary]).unwrap(), expected);
        assert_eq!(fingerprint([&view.slice(2, 1), &plain.slice(0, 2)]).unwrap(), expected);

        let other = 0.1 + f64::EPSILON;
        let changed: ArrayRef = Arc::new(Float64Array::from(vec![other, 0.2, f64::NAN]));
        let changed = batch(vec![Arc::new(StringArray::from(texts.to_vec())), changed]);
        assert_ne!(fingerprint([&changed]).unwrap(), expected);
    }

    #[test]
    fn rows_that_come_twice_count_twice() {
        let one = batch(vec![Arc::new(Int64Array::from(vec![Some(7), None]))]);
        assert_ne!(fingerprint([&one]).unwrap(), fingerprint([&one, &one]).unwrap());
        assert_eq!(fingerprint([&one]).unwrap().and(fingerprint([&one]).unwrap()), fingerprint([&one, &one]).unwrap());
    }
}
