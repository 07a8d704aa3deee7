//! What DataFusion says went wrong, as the mesh says it.

use std::error::Error as StdError;

use arrow::error::ArrowError;
use datafusion::common::DataFusionError;
use parquet::errors::ParquetError;
use shoal_types::Error;

/// A mesh error on its way through DataFusion.
pub(crate) fn external(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// The mesh's error for one of DataFusion's met while a query was planned:
/// what is wrong with the query is the user's.
pub(crate) fn planning(error: DataFusionError) -> Error {
    if let Some(error) = shoal_error(&error) {
        return error;
    }
    if let Some(what) = exhausted(&error) {
        return Error::OutOfMemory { what };
    }
    match data_error(&error) {
        Some(what) => Error::BadData { object: "a table of the query".into(), what, hint: String::new() },
        None => Error::invalid(query_message(&error), "see what a table holds with: SELECT * FROM '…' LIMIT 5"),
    }
}

/// The mesh's error for one of DataFusion's met while a task ran.
/// `object` names what the task reads, for errors in data.
pub(crate) fn running(error: DataFusionError, object: &str) -> Error {
    if let Some(error) = shoal_error(&error) {
        return error;
    }
    if let Some(what) = exhausted(&error) {
        return Error::OutOfMemory { what };
    }
    if let Some(what) = data_error(&error) {
        let hint = "look at the object with: shoal get, or put it again".into();
        return Error::BadData { object: object.into(), what, hint };
    }
    match root(&error) {
        DataFusionError::ArrowError(error, _) if arithmetic(error) => Error::invalid(
            error.to_string(),
            "a value of the query's data does not fit; try_cast, nullif or a filter may help",
        ),
        DataFusionError::Execution(what) => Error::invalid(what.clone(), ""),
        DataFusionError::NotImplemented(what) => Error::invalid(what.clone(), "write the query another way"),
        DataFusionError::IoError(error) if error.kind() == std::io::ErrorKind::StorageFull => {
            Error::OutOfMemory { what: "no room to spill".into() }
        }
        error => Error::bug(error.to_string()),
    }
}

/// The mesh error that DataFusion carried, however deep it is wrapped.
pub(crate) fn shoal_error(error: &DataFusionError) -> Option<Error> {
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    // A cause of a cause of a cause: nothing real is deeper than this.
    const DEPTH_MAX: usize = 64;
    for _ in 0..DEPTH_MAX {
        let at = next?;
        if let Some(found) = at.downcast_ref::<Error>() {
            return Some(found.clone());
        }
        next = if let Some(error) = at.downcast_ref::<DataFusionError>() {
            inner(error)
        } else if let Some(ArrowError::ExternalError(inner)) = at.downcast_ref::<ArrowError>() {
            Some(inner.as_ref())
        } else if let Some(ParquetError::External(inner)) = at.downcast_ref::<ParquetError>() {
            Some(inner.as_ref())
        } else if let Some(error) = at.downcast_ref::<std::io::Error>() {
            error.get_ref().map(|inner| inner as &(dyn StdError + 'static))
        } else {
            at.source()
        };
    }
    None
}

/// What one of DataFusion's errors wraps.
fn inner(error: &DataFusionError) -> Option<&(dyn StdError + 'static)> {
    match error {
        DataFusionError::ArrowError(inner, _) => Some(inner.as_ref()),
        DataFusionError::ParquetError(inner) => Some(inner.as_ref()),
        DataFusionError::ObjectStore(inner) => Some(inner.as_ref()),
        DataFusionError::IoError(inner) => Some(inner),
        DataFusionError::External(inner) => Some(inner.as_ref()),
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => Some(inner.as_ref()),
        DataFusionError::Shared(inner) => Some(inner.as_ref()),
        DataFusionError::Collection(all) => all.first().map(|first| first as &(dyn StdError + 'static)),
        _ => None,
    }
}

/// The innermost of DataFusion's own errors.
fn root(error: &DataFusionError) -> &DataFusionError {
    let mut at = error;
    while let Some(next) = inner(at).and_then(|inner| inner.downcast_ref::<DataFusionError>()) {
        at = next;
    }
    at
}

fn exhausted(error: &DataFusionError) -> Option<String> {
    match root(error) {
        DataFusionError::ResourcesExhausted(what) => Some(first_line(what)),
        _ => None,
    }
}

/// The words of an error about the data itself.
fn data_error(error: &DataFusionError) -> Option<String> {
    match root(error) {
        DataFusionError::ParquetError(error) => Some(error.to_string()),
        DataFusionError::ArrowError(error, _) => match error.as_ref() {
            ArrowError::CsvError(what)
            | ArrowError::JsonError(what)
            | ArrowError::ParquetError(what)
            | ArrowError::AvroError(what)
            | ArrowError::IpcError(what) => Some(what.clone()),
            _ => None,
        },
        _ => None,
    }
}

/// Whether the error comes from computing with a value, as a cast does.
fn arithmetic(error: &ArrowError) -> bool {
    matches!(
        error,
        ArrowError::CastError(_)
            | ArrowError::DivideByZero
            | ArrowError::ArithmeticOverflow(_)
            | ArrowError::ParseError(_)
            | ArrowError::InvalidArgumentError(_)
            | ArrowError::ComputeError(_)
            | ArrowError::OffsetOverflowError(_)
    )
}

/// An error's message without DataFusion's own prefixes and backtraces, and
/// with the place in the query when that is known.
fn query_message(error: &DataFusionError) -> String {
    let message = match root(error) {
        DataFusionError::SQL(error, _) => error.to_string().replace("sql parser error: ", ""),
        DataFusionError::Plan(what) | DataFusionError::Execution(what) | DataFusionError::NotImplemented(what) => {
            what.clone()
        }
        DataFusionError::SchemaError(error, _) => error.to_string(),
        other => other.strip_backtrace(),
    };
    let message = first_line(&message);
    match error.diagnostic().and_then(|diagnostic| diagnostic.span) {
        Some(span) => format!("{message} (line {}, column {})", span.start.line, span.start.column),
        None => message,
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use shoal_types::{JobId, OutputId, PeerId, StageId, TaskId};

    use super::*;

    fn lost() -> Error {
        let task = TaskId { job: JobId::from_bytes([1; 10]), stage: StageId(0), partition: 3 };
        Error::OutputLost { output: OutputId { task, attempt: 0 }, holder: PeerId::from_bytes([2; 32]) }
    }

    #[test]
    fn a_mesh_error_is_found_again_under_every_wrapping() {
        let arrow = ArrowError::ExternalError(Box::new(lost()));
        let wrapped = DataFusionError::Shared(Arc::new(DataFusionError::Context(
            "joining".into(),
            Box::new(DataFusionError::ArrowError(Box::new(arrow), None)),
        )));
        assert_eq!(running(wrapped, "x"), lost());
        let parquet = ParquetError::External(Box::new(external(lost())));
        assert_eq!(running(DataFusionError::ParquetError(Box::new(parquet)), "x"), lost());
        let store = object_store::Error::Generic { store: "shoal", source: Box::new(lost()) };
        assert_eq!(running(DataFusionError::ObjectStore(Box::new(store)), "x"), lost());
        let io = std::io::Error::other(external(lost()));
        assert_eq!(running(DataFusionError::IoError(io), "x"), lost());
    }

    #[test]
    fn a_division_by_zero_is_the_users_and_a_broken_invariant_ours() {
        let zero = DataFusionError::ArrowError(Box::new(ArrowError::DivideByZero), None);
        assert!(matches!(running(zero, "x"), Error::Invalid { .. }));
        assert!(matches!(running(DataFusionError::Internal("odd".into()), "x"), Error::Bug { .. }));
    }
}
