use super::rows::{Row, Table};
use super::spec::JobSpec;

/// The rows that a job over these objects gives, in the order of their keys,
/// computed from the bytes alone. The objects come in the order of their names.
pub fn expected<'a>(spec: &JobSpec, objects: impl IntoIterator<Item = &'a [u8]>) -> Vec<Row> {
    let mut table = Table::default();
    for bytes in objects {
        table.add(bytes, spec.groups);
    }
    table.into_rows()
}
