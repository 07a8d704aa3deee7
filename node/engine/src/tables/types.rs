//! Types of columns when files of one table do not agree.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema, TimeUnit};
use shoal_types::{Error, Result};

/// The type that holds the values of both, if there is one.
///
/// Integers and floats widen; a date and a timestamp make a timestamp. What
/// is guessed from a sample (`guessed`) falls back to text.
pub(crate) fn widen(one: &DataType, other: &DataType, guessed: bool) -> Option<DataType> {
    use DataType::{
        Date32, Float32, Float64, Int8, Int16, Int32, Int64, Null, Timestamp, UInt8, UInt16, UInt32, Utf8View,
    };
    if one == other {
        return Some(one.clone());
    }
    let integer = |of: &DataType| match of {
        Int8 | UInt8 => Some(1),
        Int16 | UInt16 => Some(2),
        Int32 | UInt32 => Some(4),
        Int64 => Some(8),
        _ => None,
    };
    let text = |of: &DataType| matches!(of, DataType::Utf8 | DataType::LargeUtf8 | Utf8View);
    match (one, other) {
        (Null, known) | (known, Null) => Some(known.clone()),
        (one, other) if text(one) && text(other) => Some(Utf8View),
        (one, other) if integer(one).is_some() && integer(other).is_some() => Some(Int64),
        (Float32 | Float64, number) | (number, Float32 | Float64)
            if integer(number).is_some() || matches!(number, Float32 | Float64) =>
        {
            Some(Float64)
        }
        (Date32, Timestamp(unit, None)) | (Timestamp(unit, None), Date32) => Some(Timestamp(*unit, None)),
        (Timestamp(one, zone), Timestamp(other, same)) if zone == same => {
            Some(Timestamp(finer(*one, *other), zone.clone()))
        }
        _ if guessed && !one.is_nested() && !other.is_nested() => Some(Utf8View),
        _ => None,
    }
}

fn finer(one: TimeUnit, other: TimeUnit) -> TimeUnit {
    one.max(other)
}

/// The columns of a table of several files, by name: each file's, in the
/// order in which they are first met. Every column may be null.
pub(crate) fn merge<'a>(schemas: impl IntoIterator<Item = (&'a str, &'a Schema)>, guessed: bool) -> Result<Schema> {
    let mut fields: Vec<FieldRef> = Vec::new();
    for (file, schema) in schemas {
        for field in schema.fields() {
            let Some(known) = fields.iter_mut().find(|known| known.name() == field.name()) else {
                fields.push(Arc::new(Field::new(field.name(), field.data_type().clone(), true)));
                continue;
            };
            let merged = widen(known.data_type(), field.data_type(), guessed).ok_or_else(|| {
                Error::invalid(
                    format!(
                        "column '{}' is {} in {file} and {} in a file before",
                        field.name(),
                        field.data_type(),
                        known.data_type()
                    ),
                    "query the files apart and cast the column",
                )
            })?;
            *known = Arc::new(Field::new(field.name(), merged, true));
        }
    }
    Ok(Schema::new(fields))
}

/// The type in which a table has a column: text as views, nothing in dictionaries.
pub(crate) fn table_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Dictionary(_, values) => table_type(values),
        DataType::Utf8 | DataType::LargeUtf8 => DataType::Utf8View,
        DataType::Binary | DataType::LargeBinary => DataType::BinaryView,
        other => other.clone(),
    }
}

/// A schema with the types that tables have.
pub(crate) fn table_schema(schema: &Schema) -> Schema {
    let fields: Vec<_> = schema
        .fields()
        .iter()
        .map(|field| Field::new(field.name(), table_type(field.data_type()), field.is_nullable()))
        .collect();
    Schema::new(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_merge_by_name_and_widen() {
        let one = Schema::new(vec![Field::new("a", DataType::Int32, false), Field::new("b", DataType::Utf8, true)]);
        let two =
            Schema::new(vec![Field::new("b", DataType::Utf8View, true), Field::new("a", DataType::Float64, true)]);
        let merged = merge([("one", &one), ("two", &two)], false).unwrap();
        let types: Vec<_> = merged.fields().iter().map(|field| (field.name().as_str(), field.data_type())).collect();
        assert_eq!(types, [("a", &DataType::Float64), ("b", &DataType::Utf8View)]);

        let three = Schema::new(vec![Field::new("a", DataType::Utf8, true)]);
        assert!(matches!(merge([("one", &one), ("three", &three)], false), Err(Error::Invalid { .. })));
        assert_eq!(widen(&DataType::Int64, &DataType::Utf8, true), Some(DataType::Utf8View));
    }
}
