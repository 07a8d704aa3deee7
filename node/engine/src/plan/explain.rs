use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::datasource::memory::MemorySourceConfig;
use shoal_types::{Error, JobPlan, Result, StageInput, StagePlan, wire};

use super::Planned;
use super::codec::{ShoalCodec, encode_plan};
use super::fragment::{Fragment, Part, StageFragment};

/// A job whose answer is the text of another's plan: a row per line, with
/// the number of its stage.
///
/// Scalar subqueries have been run by then: the plan that follows from their
/// values is the one that is shown.
pub(super) fn job(planned: &Planned, version: &str, codec: &ShoalCodec) -> Result<JobPlan> {
    let mut numbers = Vec::new();
    let mut lines = Vec::new();
    for (at, (stage, display)) in planned.job.stages.iter().zip(&planned.displays).enumerate() {
        let mut line = |text: String| {
            numbers.push(at as i64);
            lines.push(text);
        };
        line(heading(stage, at + 1 == planned.job.stages.len()));
        display.lines().for_each(|text| line(format!("  {text}")));
    }
    let schema = Arc::new(Schema::new(vec![
        Field::new("stage", DataType::Int64, false),
        Field::new("plan", DataType::Utf8, false),
    ]));
    let columns = vec![Arc::new(Int64Array::from(numbers)) as _, Arc::new(StringArray::from(lines)) as _];
    let failed = |what: String| Error::bug(format!("writing a plan as rows: {what}"));
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns).map_err(|error| failed(error.to_string()))?;
    let plan =
        MemorySourceConfig::try_new_exec(&[vec![batch]], schema, None).map_err(|error| failed(error.to_string()))?;
    let fragment = StageFragment {
        plan: encode_plan(&(plan as _), codec).map_err(|error| failed(error.to_string()))?,
        hashed: false,
        bucket_offset: 0,
        buckets: 1,
        answer: true,
        pins: Vec::new(),
    };
    let fragment = wire::encode(&Fragment { engine: version.to_owned(), part: Part::Stage(fragment) })?;
    let stage = StagePlan {
        title: "the plan".into(),
        fragment,
        partitions: 1,
        buckets: 1,
        inputs: Vec::new(),
        chunks: vec![Vec::new()],
    };
    Ok(JobPlan { title: format!("EXPLAIN {}", planned.job.title), stages: vec![stage], engine: version.to_owned() })
}

fn heading(stage: &StagePlan, last: bool) -> String {
    let inputs: Vec<String> = stage
        .inputs
        .iter()
        .map(|input| match input {
            StageInput::Partitioned(stage) => format!("its bucket of stage {stage}"),
            StageInput::Broadcast(stage) => format!("all of stage {stage}"),
        })
        .collect();
    let from = if inputs.is_empty() { String::new() } else { format!(", each reads {}", inputs.join(" and ")) };
    let tasks = if stage.partitions == 1 { "1 task".to_owned() } else { format!("{} tasks", stage.partitions) };
    let to = match (last, stage.buckets) {
        (true, _) => ", the answer".to_owned(),
        (false, 1) => String::new(),
        (false, buckets) => format!(", dealt into {buckets} buckets"),
    };
    format!("{tasks}: {}{from}{to}", stage.title)
}
