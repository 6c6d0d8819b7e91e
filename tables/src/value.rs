//! What a cell can hold, and a row of cells. Text that a host writes in another encoding is shown lossily: a scan must
//! not end because a file name is not UTF-8.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Serialize, Serializer};

/// One cell of a table or of a query's answer.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Value {
    /// The table does not know, or the host does not say.
    #[default]
    Null,
    /// A whole number; dates are seconds since 1970.
    Integer(i64),
    /// A number with a fraction.
    Real(f64),
    /// Text.
    Text(String),
}

/// Named parameters of a query, without the colon: `max_auth_tries` for `:max_auth_tries`.
pub type Parameters = BTreeMap<String, Value>;

impl Value {
    /// The text, if it is text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The whole number, also when it is written as text.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Value::Integer(number) => Some(*number),
            Value::Text(text) => text.trim().parse().ok(),
            Value::Null | Value::Real(_) => None,
        }
    }

    /// The value of a JSON scalar; lists and objects become their JSON text, `true` becomes 1.
    pub fn from_json(json: &serde_json::Value) -> Value {
        match json {
            serde_json::Value::Null => Value::Null,
            serde_json::Value::Bool(flag) => Value::Integer(i64::from(*flag)),
            serde_json::Value::Number(number) => {
                number.as_i64().map_or_else(|| number.as_f64().map_or(Value::Null, Value::Real), Value::Integer)
            }
            serde_json::Value::String(text) => Value::Text(text.clone()),
            list_or_object => Value::Text(list_or_object.to_string()),
        }
    }

    /// The JSON scalar of this value.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Value::Null => serde_json::Value::Null,
            Value::Integer(number) => (*number).into(),
            Value::Real(number) => (*number).into(),
            Value::Text(text) => text.clone().into(),
        }
    }

    /// Bytes that this value takes, roughly.
    pub(crate) fn size_bytes(&self) -> usize {
        match self {
            Value::Text(text) => text.len() + 24,
            _ => 16,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => Ok(()),
            Value::Integer(number) => write!(formatter, "{number}"),
            Value::Real(number) => write!(formatter, "{number}"),
            Value::Text(text) => formatter.write_str(text),
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Null => serializer.serialize_unit(),
            Value::Integer(number) => serializer.serialize_i64(*number),
            Value::Real(number) => serializer.serialize_f64(*number),
            Value::Text(text) => serializer.serialize_str(text),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::Text(text)
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Value::Text(text.clone())
    }
}

impl From<std::borrow::Cow<'_, str>> for Value {
    fn from(text: std::borrow::Cow<'_, str>) -> Self {
        Value::Text(text.into_owned())
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Value::Real(number)
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Value::Integer(i64::from(flag))
    }
}

impl From<u64> for Value {
    /// SQLite has no unsigned numbers: beyond `i64::MAX` the same bits, as osquery shows them.
    fn from(number: u64) -> Self {
        Value::Integer(number.cast_signed())
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Self {
        Value::from(number as u64)
    }
}

macro_rules! from_small_integer {
    ($($kind:ty),*) => { $(
        impl From<$kind> for Value {
            fn from(number: $kind) -> Self {
                Value::Integer(i64::from(number))
            }
        }
    )* };
}
from_small_integer!(i64, i32, i16, u32, u16, u8);

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Null, Into::into)
    }
}

/// One row of a table: a value for each of its columns, in their order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Row(pub(crate) Vec<Value>);
