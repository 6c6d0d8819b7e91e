//! Functions of numbers, as osquery has them: `log` is the natural one, `ceil` and `floor` give whole numbers. What has no
//! answer (the root of -1, the logarithm of 0) ends the query and says so.

use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Result};

use super::{PURE, real, refusal};

type Function = fn(f64) -> f64;

/// Functions of one number.
const FUNCTIONS: [(&str, Function); 14] = [
    ("sqrt", f64::sqrt),
    ("exp", f64::exp),
    ("log", f64::ln),
    ("ln", f64::ln),
    ("log10", f64::log10),
    ("sin", f64::sin),
    ("cos", f64::cos),
    ("tan", f64::tan),
    ("cot", |number| 1.0 / number.tan()),
    ("asin", f64::asin),
    ("acos", f64::acos),
    ("atan", f64::atan),
    ("degrees", f64::to_degrees),
    ("radians", f64::to_radians),
];

/// Functions that round, by their names.
const ROUNDINGS: [(&str, Function); 3] = [("ceil", f64::ceil), ("ceiling", f64::ceil), ("floor", f64::floor)];

pub(super) fn register(connection: &Connection) -> Result<()> {
    for (name, function) in FUNCTIONS {
        connection.create_scalar_function(name, 1, PURE, move |context| {
            let Some(number) = real(context, 0) else { return Ok(None) };
            let answer = function(number);
            if answer.is_finite() || !number.is_finite() {
                return Ok(Some(answer));
            }
            Err(refusal(format!("{name}({number}) is not a number")))
        })?;
    }
    for (name, round) in ROUNDINGS {
        connection.create_scalar_function(name, 1, PURE, move |context| {
            Ok(match context.get_raw(0) {
                ValueRef::Integer(number) => Value::Integer(number),
                #[allow(clippy::cast_possible_truncation)] // it is whole; beyond 64 bits the nearest
                _ => real(context, 0).map_or(Value::Null, |number| Value::Integer(round(number) as i64)),
            })
        })?;
    }
    for name in ["power", "pow"] {
        connection.create_scalar_function(name, 2, PURE, move |context| {
            let (Some(base), Some(exponent)) = (real(context, 0), real(context, 1)) else { return Ok(None) };
            let answer = base.powf(exponent);
            if answer.is_finite() || !base.is_finite() || !exponent.is_finite() {
                return Ok(Some(answer));
            }
            Err(refusal(format!("{name}({base}, {exponent}) is not a number")))
        })?;
    }
    connection.create_scalar_function("pi", 0, PURE, |_| Ok(std::f64::consts::PI))
}
