//! Values in JSON by their pointer (RFC 6901), for the tables that show what a service answers.

use serde_json::Value as Json;

pub(super) fn text<'a>(json: &'a Json, pointer: &str) -> Option<&'a str> {
    json.pointer(pointer).and_then(Json::as_str)
}

pub(super) fn number(json: &Json, pointer: &str) -> Option<i64> {
    json.pointer(pointer).and_then(|value| value.as_i64().or_else(|| value.as_u64().map(u64::cast_signed)))
}

pub(super) fn flag(json: &Json, pointer: &str) -> Option<bool> {
    json.pointer(pointer).and_then(Json::as_bool)
}

pub(super) fn list<'a>(json: &'a Json, pointer: &str) -> &'a [Json] {
    json.pointer(pointer).and_then(Json::as_array).map_or(&[], Vec::as_slice)
}

/// The texts of a list, joined.
pub(super) fn joined(json: &Json, pointer: &str, separator: &str) -> String {
    list(json, pointer).iter().filter_map(Json::as_str).collect::<Vec<_>>().join(separator)
}

/// The names and values of an object.
pub(super) fn entries<'a>(json: &'a Json, pointer: &str) -> impl Iterator<Item = (&'a str, &'a Json)> + use<'a> {
    json.pointer(pointer).and_then(Json::as_object).into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}

/// Seconds since 1970 of a time such as `2024-01-31T12:00:00.5Z` (RFC 3339).
pub(super) fn seconds(time: &str) -> Option<i64> {
    chrono::DateTime::parse_from_rfc3339(time).ok().map(|time| time.timestamp())
}
