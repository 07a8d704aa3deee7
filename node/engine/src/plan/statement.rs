//! Statements: which are taken, and where their tables are looked up.

use std::sync::Arc;

use datafusion::catalog::{
    CatalogProvider, MemoryCatalogProvider, MemorySchemaProvider, SchemaProvider, TableProvider,
};
use datafusion::common::{DataFusionError, Result as DfResult, TableReference};
use datafusion::execution::context::SQLOptions;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::ast::Statement as SqlStatement;
use shoal_types::{Error, Result};

/// How deep expressions and subqueries may nest.
const NESTING_MAX: usize = 100;

/// The longest query, in bytes.
const QUERY_BYTES_MAX: usize = 1 << 20;

const ONLY_QUERIES: &str =
    "queries read: SELECT, WITH, VALUES, EXPLAIN; objects are put and removed with: shoal put, shoal rm";

/// A statement that can be planned.
pub(super) struct Parsed {
    pub statement: Statement,
    /// Whether its plan is wanted, not its rows.
    pub explain: bool,
}

/// The one statement in `sql`.
pub(super) fn parse(sql: &str) -> Result<Parsed> {
    if sql.len() > QUERY_BYTES_MAX {
        return Err(Error::invalid(
            format!("the query has {} bytes", sql.len()),
            format!("it may have {QUERY_BYTES_MAX}; put long lists into a table and join it"),
        ));
    }
    let mut parser =
        DFParserBuilder::new(sql).with_recursion_limit(NESTING_MAX).build().map_err(|error| syntax(&error))?;
    let mut statements = parser.parse_statements().map_err(|error| syntax(&error))?;
    let Some(statement) = statements.pop_front() else {
        return Err(Error::invalid("there is no query", "for example: SELECT count(*) FROM 'trips/*.parquet'"));
    };
    if !statements.is_empty() {
        return Err(Error::invalid("there is more than one statement", "send them one by one"));
    }
    match statement {
        Statement::Explain(explain) => {
            if explain.to_string().to_ascii_uppercase().starts_with("EXPLAIN ANALYZE") {
                return Err(Error::invalid("EXPLAIN ANALYZE is not there", "run the query with: shoal sql --stats"));
            }
            Ok(Parsed { statement: query(*explain.statement)?, explain: true })
        }
        other => Ok(Parsed { statement: query(other)?, explain: false }),
    }
}

fn query(statement: Statement) -> Result<Statement> {
    match &statement {
        Statement::Statement(inner) if matches!(inner.as_ref(), SqlStatement::Query(_)) => Ok(statement),
        other => {
            let text = other.to_string();
            let kind: Vec<&str> = text.split_whitespace().take(2).collect();
            Err(Error::invalid(format!("{} is not a query", kind.join(" ")), ONLY_QUERIES))
        }
    }
}

fn syntax(error: &DataFusionError) -> Error {
    let message = match error {
        DataFusionError::SQL(error, _) => error.to_string(),
        other => other.strip_backtrace(),
    };
    let message = message.replace("sql parser error: ", "");
    Error::invalid(message, "the place is counted from the beginning of the query")
}

/// Refuses a plan that would change something.
pub(super) fn only_reads(plan: &LogicalPlan) -> Result<()> {
    let options = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    options.verify_plan(plan).map_err(|_| Error::invalid("the statement is not a query", ONLY_QUERIES))
}

/// Makes a table known under its name, and the schema and catalog in which
/// the query looks for it.
pub(super) fn register(state: &SessionState, reference: TableReference, table: Arc<dyn TableProvider>) -> DfResult<()> {
    let defaults = &state.config_options().catalog;
    let resolved = reference.resolve(&defaults.default_catalog, &defaults.default_schema);
    let catalogs = state.catalog_list();
    let catalog: Arc<dyn CatalogProvider> = match catalogs.catalog(&resolved.catalog) {
        Some(catalog) => catalog,
        None => {
            let catalog = Arc::new(MemoryCatalogProvider::new());
            catalogs.register_catalog(resolved.catalog.to_string(), Arc::clone(&catalog) as _);
            catalog
        }
    };
    let schema: Arc<dyn SchemaProvider> = match catalog.schema(&resolved.schema) {
        Some(schema) => schema,
        None => {
            let schema = Arc::new(MemorySchemaProvider::new());
            catalog.register_schema(&resolved.schema, Arc::clone(&schema) as _)?;
            schema
        }
    };
    schema.register_table(resolved.table.to_string(), table)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_query_is_taken() {
        assert!(parse("SELECT 1;").is_ok() && parse("VALUES (1)").is_ok());
        assert!(parse("EXPLAIN SELECT 1").unwrap().explain);
        for bad in
            ["", "SELECT 1; SELECT 2", "DROP TABLE x", "INSERT INTO x VALUES (1)", "SHOW TABLES", "COPY x TO 'y'"]
        {
            assert!(matches!(parse(bad), Err(Error::Invalid { .. })), "{bad}");
        }
        let Err(Error::Invalid { what, .. }) = parse("SELECT 1\n  FROM a b c d") else { panic!() };
        assert!(what.contains("Line: 2"), "{what}");
    }

    #[test]
    fn a_query_that_nests_too_deep_is_refused() {
        let deep = format!("SELECT {}1{}", "(".repeat(5000), ")".repeat(5000));
        assert!(matches!(parse(&deep), Err(Error::Invalid { .. })));
    }
}
