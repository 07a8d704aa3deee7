//! Scalar subqueries that do not depend on the rows around them: each is run
//! as a job of its own first, and its value put in its place.

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result as DfResult, ScalarValue};
use datafusion::logical_expr::expr::Expr;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder, Subquery};
use shoal_types::{Error, Result};

use super::{Obstacle, Scope};
use crate::error::planning as planning_error;
use crate::exchange::read_frames;

/// Scalar subqueries that one query may have.
const SUBQUERIES_MAX: usize = 64;

/// The plan with the values of its uncorrelated scalar subqueries in their place.
pub(super) async fn evaluated(scope: &Scope<'_>, plan: LogicalPlan) -> Result<LogicalPlan, Obstacle> {
    let mut found = Vec::new();
    collect(&plan, &mut found).map_err(planning_error)?;
    if found.is_empty() {
        return Ok(plan);
    }
    if found.len() > SUBQUERIES_MAX {
        return Err(Obstacle::Whole(format!("it has more than {SUBQUERIES_MAX} scalar subqueries")));
    }
    let mut values: Vec<(Subquery, ScalarValue)> = Vec::with_capacity(found.len());
    for subquery in found {
        if !values.iter().any(|(known, _)| *known == subquery) {
            let value = value_of(scope, &subquery).await?;
            values.push((subquery, value));
        }
    }
    Ok(substituted(plan, &values).map_err(planning_error)?)
}

/// The outermost uncorrelated scalar subqueries; those within them come up
/// when they are planned themselves.
fn collect(plan: &LogicalPlan, found: &mut Vec<Subquery>) -> DfResult<()> {
    plan.apply(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| match expr {
                Expr::ScalarSubquery(subquery) if is_uncorrelated(subquery) => {
                    found.push(subquery.clone());
                    Ok(TreeNodeRecursion::Jump)
                }
                Expr::ScalarSubquery(subquery) => {
                    collect(&subquery.subquery, found)?;
                    Ok(TreeNodeRecursion::Continue)
                }
                Expr::InSubquery(within) => {
                    collect(&within.subquery.subquery, found)?;
                    Ok(TreeNodeRecursion::Continue)
                }
                Expr::Exists(exists) => {
                    collect(&exists.subquery.subquery, found)?;
                    Ok(TreeNodeRecursion::Continue)
                }
                _ => Ok(TreeNodeRecursion::Continue),
            })
        })
    })?;
    Ok(())
}

fn is_uncorrelated(subquery: &Subquery) -> bool {
    subquery.outer_ref_columns.is_empty() && subquery.subquery.all_out_ref_exprs().is_empty()
}

async fn value_of(scope: &Scope<'_>, subquery: &Subquery) -> Result<ScalarValue, Obstacle> {
    // The second row is there to be complained about.
    let plan = LogicalPlanBuilder::from(LogicalPlan::clone(&subquery.subquery))
        .limit(0, Some(2))
        .and_then(LogicalPlanBuilder::build)
        .map_err(planning_error)?;
    let wanted = match &plan.schema().fields()[..] {
        [one] => one.data_type().clone(),
        several => {
            let what = format!("a subquery used as a value has {} columns", several.len());
            return Err(Error::invalid(what, "select one column in it").into());
        }
    };
    let planned = scope.job(plan).await?;
    let frames = scope.planning.evaluate(planned.job).await?;
    let (_, batches) = read_frames(frames)?;
    let mut rows = batches.iter().filter(|batch| batch.num_rows() > 0);
    let value = match (rows.next(), rows.next()) {
        (None, _) => ScalarValue::try_from(&wanted),
        (Some(batch), None) if batch.num_rows() == 1 => {
            ScalarValue::try_from_array(batch.column(0), 0).and_then(|value| value.cast_to(&wanted))
        }
        _ => {
            return Err(Error::invalid(
                "a subquery used as a value gave more than one row",
                "add LIMIT 1, an aggregate, or use IN",
            )
            .into());
        }
    };
    Ok(value.map_err(planning_error)?)
}

fn substituted(plan: LogicalPlan, values: &[(Subquery, ScalarValue)]) -> DfResult<LogicalPlan> {
    plan.transform_up_with_subqueries(|node| {
        let names = NamePreserver::new(&node);
        node.map_expressions(|expr| {
            let name = names.save(&expr);
            let replaced = expr.transform_down(|expr| match &expr {
                Expr::ScalarSubquery(subquery) => match values.iter().find(|(known, _)| known == subquery) {
                    Some((_, value)) => Ok(Transformed::yes(Expr::Literal(value.clone(), None))),
                    None => Ok(Transformed::no(expr)),
                },
                _ => Ok(Transformed::no(expr)),
            })?;
            Ok(replaced.update_data(|expr| name.restore(expr)))
        })?
        .map_data(LogicalPlan::recompute_schema)
    })
    .data()
}
