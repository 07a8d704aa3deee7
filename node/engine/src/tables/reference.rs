//! The tables that a statement names.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

use datafusion::common::TableReference;
use datafusion::sql::parser::Statement;
use datafusion::sql::resolve::resolve_table_references;
use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, Ident, ObjectName, Query, Statement as SqlStatement, TableAlias, TableFactor,
    Value, VisitMut, VisitorMut,
};
use serde::{Deserialize, Serialize};
use shoal_types::{Error, Result};

/// A table as a query names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reference {
    /// The name under which the planner looks for it: one part, or two or
    /// three that the query wrote with dots.
    pub path: Vec<String>,
    /// The name or glob of the files that it stands for.
    pub pattern: String,
    pub kind: TableKind,
}

/// How a query wants a table read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum TableKind {
    /// By its format and name.
    ByName,
    Parquet,
    Csv,
    Json,
    Text,
    Lines,
    Words,
}

impl TableKind {
    fn of_function(name: &str) -> Option<Self> {
        Some(match name {
            "read_parquet" => Self::Parquet,
            "read_csv" => Self::Csv,
            "read_json" => Self::Json,
            "read_text" => Self::Text,
            "lines" => Self::Lines,
            "words" => Self::Words,
            _ => return None,
        })
    }
}

/// The tables of a statement. Calls as `read_csv('…')` are replaced by plain
/// names on the way, so that the planner need not know them.
pub(crate) fn references(statement: &mut Statement) -> Result<Vec<Reference>> {
    let mut functions = Functions::default();
    if let ControlFlow::Break(error) = visit(statement, &mut functions) {
        return Err(error);
    }
    let (tables, _) = resolve_table_references(statement, true).map_err(crate::error::planning)?;
    let mut found = Vec::with_capacity(tables.len());
    for table in tables {
        let path = match &table {
            TableReference::Bare { table } => vec![table.to_string()],
            TableReference::Partial { schema, table } => vec![schema.to_string(), table.to_string()],
            TableReference::Full { catalog, schema, table } => {
                vec![catalog.to_string(), schema.to_string(), table.to_string()]
            }
        };
        let pattern = path.join(".");
        if functions.others.contains(&pattern) {
            continue;
        }
        found.push(match functions.tables.get(&pattern) {
            Some((kind, pattern)) => Reference { path, pattern: pattern.clone(), kind: *kind },
            None => Reference { path, pattern, kind: TableKind::ByName },
        });
    }
    Ok(found)
}

fn visit(statement: &mut Statement, functions: &mut Functions) -> ControlFlow<Error> {
    match statement {
        Statement::Statement(statement) => {
            let statement: &mut SqlStatement = statement;
            statement.visit(functions)
        }
        Statement::Explain(explain) => visit(&mut explain.statement, functions),
        Statement::CreateExternalTable(_) | Statement::CopyTo(_) | Statement::Reset(_) => ControlFlow::Continue(()),
    }
}

/// Calls in the place of tables.
#[derive(Default)]
struct Functions {
    tables: HashMap<String, (TableKind, String)>,
    /// Functions of DataFusion's own, as `generate_series`.
    others: HashSet<String>,
}

impl VisitorMut for Functions {
    type Break = Error;

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<Error> {
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Error> {
        let TableFactor::Table { name, args, alias, .. } = factor else { return ControlFlow::Continue(()) };
        let Some(call) = args.as_ref() else { return ControlFlow::Continue(()) };
        let function = name.to_string().to_ascii_lowercase();
        let Some(kind) = TableKind::of_function(&function) else {
            self.others.insert(function);
            return ControlFlow::Continue(());
        };
        let [FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(value)))] = &call.args[..] else {
            return ControlFlow::Break(one_name(&function));
        };
        let Value::SingleQuotedString(pattern) = &value.value else {
            return ControlFlow::Break(one_name(&function));
        };
        let key = format!("{function}('{pattern}')");
        self.tables.insert(key.clone(), (kind, pattern.clone()));
        *name = ObjectName::from(vec![Ident::with_quote('"', key)]);
        *args = None;
        // So that columns can be called `lines.line`.
        alias.get_or_insert_with(|| TableAlias {
            explicit: true,
            name: Ident::new(function),
            columns: Vec::new(),
            at: None,
        });
        ControlFlow::Continue(())
    }
}

fn one_name(function: &str) -> Error {
    Error::invalid(format!("{function} wants one name in quotes"), format!("for example {function}('bucket/*.txt')"))
}

#[cfg(test)]
mod tests {
    use datafusion::sql::parser::DFParser;

    use super::*;

    fn of(sql: &str) -> Result<Vec<(String, TableKind)>> {
        let mut statement = DFParser::parse_sql(sql).unwrap().pop_front().unwrap();
        let mut found: Vec<_> =
            references(&mut statement)?.into_iter().map(|found| (found.pattern, found.kind)).collect();
        found.sort_by(|one, other| one.0.cmp(&other.0));
        Ok(found)
    }

    #[test]
    fn names_paths_and_calls_are_found_wherever_they_are() {
        let sql = "WITH c AS (SELECT * FROM 'trips/*.parquet') \
                   SELECT * FROM c JOIN Orders o ON true WHERE EXISTS (SELECT 1 FROM read_csv('a b.csv')) \
                   UNION ALL SELECT * FROM trips.january, lines('x/*.log'), generate_series(1, 3)";
        assert_eq!(
            of(sql).unwrap(),
            [
                ("a b.csv".into(), TableKind::Csv),
                ("orders".into(), TableKind::ByName),
                ("trips.january".into(), TableKind::ByName),
                ("trips/*.parquet".into(), TableKind::ByName),
                ("x/*.log".into(), TableKind::Lines),
            ]
        );
    }

    #[test]
    fn a_call_without_a_name_says_what_it_wants() {
        assert!(matches!(of("SELECT * FROM words(3)"), Err(Error::Invalid { .. })));
        assert!(matches!(of("SELECT * FROM lines('a', 'b')"), Err(Error::Invalid { .. })));
    }
}
