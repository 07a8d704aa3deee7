//! Functions that give another value each time, `random()` and `uuid()`,
//! drawn from a seed instead: a task that is run again gives the same rows.

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{ArrayRef, Float64Array, StringArray};
use arrow::datatypes::DataType;
use datafusion::common::{DataFusionError, Result as DfResult};
use datafusion::execution::registry::FunctionRegistry;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use shoal_types::{TaskId, wire};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed, xxh3_128_with_seed};

/// The seed where nothing is drawn yet: while planning.
pub(crate) const UNSEEDED: u64 = 0;

const NAMES: [&str; 2] = ["random", "uuid"];

/// The seed of a task: the same for each of its attempts.
pub(crate) fn seed(task: TaskId) -> u64 {
    wire::encode(&task).map_or(UNSEEDED, |bytes| xxh3_64(&bytes))
}

/// Replaces DataFusion's functions by seeded ones.
pub(crate) fn register(state: &mut SessionState, seed: u64) {
    for name in NAMES {
        if let Some(function) = function(name, seed) {
            // Registering fails only where functions cannot be registered at all.
            let _ = state.register_udf(function);
        }
    }
}

/// Whether calls of the function must be given a seed where they run.
pub(crate) fn is_volatile(name: &str) -> bool {
    NAMES.contains(&name)
}

/// The seeded function of this name.
pub(crate) fn function(name: &str, seed: u64) -> Option<Arc<ScalarUDF>> {
    let name = NAMES.into_iter().find(|known| *known == name)?;
    // Two functions in one query are two streams of numbers.
    let seed = xxh3_64_with_seed(name.as_bytes(), seed);
    let signature = Signature::nullary(Volatility::Volatile);
    Some(Arc::new(ScalarUDF::from(Seeded { name, seed, drawn: AtomicU64::new(0), signature })))
}

/// A function without arguments whose n-th value follows from seed and n.
#[derive(Debug)]
struct Seeded {
    name: &'static str,
    seed: u64,
    drawn: AtomicU64,
    signature: Signature,
}

impl PartialEq for Seeded {
    fn eq(&self, other: &Self) -> bool {
        (self.name, self.seed) == (other.name, other.seed)
    }
}

impl Eq for Seeded {}

impl Hash for Seeded {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.name, self.seed).hash(state);
    }
}

impl ScalarUDFImpl for Seeded {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> DfResult<DataType> {
        Ok(if self.name == "random" { DataType::Float64 } else { DataType::Utf8 })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        let rows = args.number_rows as u64;
        let first = self.drawn.fetch_add(rows, Ordering::Relaxed);
        let numbers = (first..first + rows).map(|at| at.to_le_bytes());
        let values: ArrayRef = match self.name {
            "random" => {
                // The upper 53 bits are all that a float between 0 and 1 can hold.
                let unit = |bits: u64| (bits >> 11) as f64 / (1u64 << 53) as f64;
                Arc::new(numbers.map(|at| unit(xxh3_64_with_seed(&at, self.seed))).collect::<Float64Array>())
            }
            "uuid" => {
                let texts = numbers.map(|at| uuid(xxh3_128_with_seed(&at, self.seed)));
                Arc::new(StringArray::from_iter_values(texts))
            }
            name => return Err(DataFusionError::Internal(format!("{name} is not seeded"))),
        };
        Ok(ColumnarValue::Array(values))
    }
}

/// A version 4 UUID of these bits.
fn uuid(bits: u128) -> String {
    let bits = (bits & !(0xf << 76) & !(0b11 << 62)) | (4 << 76) | (0b10 << 62);
    let hex = format!("{bits:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_says_that_it_is_random() {
        assert_eq!(uuid(0), "00000000-0000-4000-8000-000000000000");
        assert_eq!(uuid(u128::MAX), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }
}
