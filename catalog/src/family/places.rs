//! `${name}` in the texts of a template, and what stands for it.
//!
//! A text that is nothing but a place becomes the value itself, of whatever type; `null` takes the field away. Within a text a
//! value is written out, a list with commas between. `${name|sql}` writes SQL literals, `${name|regex}` a text that a
//! regular expression takes as it is, `${name|files}` a SELECT of the existing files that a list of paths and globs names;
//! `${name|capital}` begins with a capital letter; `$${` stands for `${`. A value may have places of its own; but the lists and maps of a family of modules are taken as they
//! are, for they hold families with places that are filled later.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// How deep values may refer to others: beyond it they go in a circle.
const MAX_DEPTH: usize = 8;

/// What is wrong with a place.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Wrong {
    /// Nothing fills it.
    #[error("nothing fills the place `{0}`")]
    Missing(String),
    /// A map, or a list of such, within a text.
    #[error("`{0}` stands within a text, but is no text, number or list of these")]
    NotText(String),
    /// It leads back to itself.
    #[error("`{0}` refers to itself")]
    Circular(String),
    /// A filter that there is not.
    #[error("`{0}` is no filter")]
    Filter(String),
    /// `${` without its end.
    #[error("a place has no end in `{0}`")]
    Open(String),
}

impl Wrong {
    /// What to write.
    pub(crate) const fn advice(&self) -> &'static str {
        match self {
            Self::Missing(_) => "give it in the row, in given or in the template's defaults",
            Self::NotText(_) => "let the place be the whole text, or give a text",
            Self::Circular(_) => "write its value out",
            Self::Filter(_) => "write sql, regex, files or capital",
            Self::Open(_) => "close it with }, or write $${ for the characters themselves",
        }
    }
}

/// The values for one row, the nearest layer first.
pub(crate) struct Places<'a> {
    layers: Vec<&'a Map<String, Value>>,
    holds_families: bool,
    used: BTreeSet<String>,
}

impl<'a> Places<'a> {
    pub(crate) fn new(layers: Vec<&'a Map<String, Value>>, holds_families: bool) -> Self {
        Self { layers, holds_families, used: BTreeSet::new() }
    }

    /// The names that were asked for.
    pub(crate) fn into_used(self) -> BTreeSet<String> {
        self.used
    }

    /// The template with every place filled.
    pub(crate) fn fill(&mut self, template: &Value) -> Result<Value, Wrong> {
        self.filled(template, MAX_DEPTH)
    }

    fn filled(&mut self, template: &Value, depth: usize) -> Result<Value, Wrong> {
        match template {
            Value::String(text) => self.text(text, depth),
            Value::Array(list) => {
                let filled: Result<Vec<Value>, Wrong> = list.iter().map(|value| self.filled(value, depth)).collect();
                Ok(Value::Array(filled?.into_iter().filter(|value| !value.is_null()).collect()))
            }
            Value::Object(map) => {
                let mut filled = Map::new();
                for (key, value) in map {
                    let key = match self.text(key, depth)? {
                        Value::String(key) => key,
                        other => other.to_string(),
                    };
                    let value = self.filled(value, depth)?;
                    if !value.is_null() {
                        filled.insert(key, value);
                    }
                }
                Ok(Value::Object(filled))
            }
            other => Ok(other.clone()),
        }
    }

    fn text(&mut self, text: &str, depth: usize) -> Result<Value, Wrong> {
        if let Some(name) = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')).filter(|name| is_name(name))
        {
            return self.value(name, depth);
        }
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find("${") {
            if rest[..start].ends_with('$') {
                filled.push_str(&rest[..start - 1]);
                filled.push_str("${");
                rest = &rest[start + 2..];
                continue;
            }
            filled.push_str(&rest[..start]);
            let inner = &rest[start + 2..];
            let end = inner.find('}').ok_or_else(|| Wrong::Open(text.to_owned()))?;
            let mut parts = inner[..end].split('|');
            let name = parts.next().unwrap_or_default();
            let mut value = self.value(name, depth)?;
            for filter in parts {
                value = filtered(filter, &value, name)?;
            }
            filled.push_str(&written(&value, name)?);
            rest = &inner[end + 1..];
        }
        filled.push_str(rest);
        Ok(Value::String(filled))
    }

    fn value(&mut self, name: &str, depth: usize) -> Result<Value, Wrong> {
        let found =
            self.layers.iter().find_map(|layer| layer.get(name)).ok_or_else(|| Wrong::Missing(name.to_owned()))?;
        self.used.insert(name.to_owned());
        match found {
            Value::Array(_) | Value::Object(_) if self.holds_families => Ok(found.clone()),
            Value::String(_) | Value::Array(_) | Value::Object(_) if depth == 0 => {
                Err(Wrong::Circular(name.to_owned()))
            }
            other => self.filled(other, depth - 1),
        }
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn written(value: &Value, name: &str) -> Result<String, Wrong> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(is_true) => Ok(is_true.to_string()),
        Value::Array(list) => {
            let texts: Result<Vec<String>, Wrong> = list
                .iter()
                .map(|value| if value.is_array() { Err(Wrong::NotText(name.to_owned())) } else { written(value, name) })
                .collect();
            Ok(texts?.join(", "))
        }
        Value::Null | Value::Object(_) => Err(Wrong::NotText(name.to_owned())),
    }
}

fn filtered(filter: &str, value: &Value, name: &str) -> Result<Value, Wrong> {
    if filter == "files" {
        return files(value, name);
    }
    if let Value::Array(list) = value {
        let row = |value: &Value| match filtered(filter, value, name)? {
            // A list in a list is a row of VALUES.
            row @ Value::Array(_) => Ok(Value::String(format!("({})", written(&row, name)?))),
            one => Ok(one),
        };
        return Ok(Value::Array(list.iter().map(row).collect::<Result<_, Wrong>>()?));
    }
    let text = match (filter, value) {
        ("sql", Value::Number(number)) => number.to_string(),
        ("sql", Value::Bool(is_true)) => u8::from(*is_true).to_string(),
        ("sql", other) => format!("'{}'", written(other, name)?.replace('\'', "''")),
        ("regex", other) => escaped(&written(other, name)?),
        ("capital", other) => capital(&written(other, name)?),
        _ => return Err(Wrong::Filter(filter.to_owned())),
    };
    Ok(Value::String(text))
}

/// The table `file` takes one pattern at a time, and all exact paths at once.
fn files(value: &Value, name: &str) -> Result<Value, Wrong> {
    let list = value.as_array().ok_or_else(|| Wrong::NotText(name.to_owned()))?;
    let literals: Result<Vec<String>, Wrong> =
        list.iter().map(|path| Ok(format!("'{}'", written(path, name)?.replace('\'', "''")))).collect();
    let (globs, exact): (Vec<String>, Vec<String>) =
        literals?.into_iter().partition(|path| path.contains(['*', '?', '[']));
    let exact = (!exact.is_empty()).then(|| format!("SELECT path FROM file WHERE path IN ({})", exact.join(", ")));
    let globs = globs.into_iter().map(|glob| format!("SELECT path FROM file WHERE path GLOB {glob}"));
    Ok(Value::String(exact.into_iter().chain(globs).collect::<Vec<_>>().join(" UNION ")))
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// The text with a backslash before each character that has a meaning in a regular expression.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        if r"\.+*?()|[]{}^$#&-~".contains(letter) {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fill(template: &Value, row: &Value) -> Result<Value, Wrong> {
        let row = row.as_object().cloned().unwrap_or_default();
        Places::new(vec![&row], true).fill(template)
    }

    #[test]
    fn places_are_filled_by_the_type_they_need() {
        let row = json!({
            "id": "a", "n": 7, "list": ["x'y", "z"], "none_yet": "", "none": null, "map": { "k": ["${id}"] }, "rows": [["a", 1], ["b", 2]], "paths": ["/a", "/c/*", "/b"], "path": "/etc/${id}.conf",
        });
        for (template, expected) in [
            (json!("${n}"), json!(7)),
            (json!("n ${n} ${n}"), json!("n 7 7")),
            (json!("${list|sql}"), json!("'x''y', 'z'")),
            (json!("VALUES ${rows|sql}"), json!("VALUES ('a', 1), ('b', 2)")),
            (json!("${n|sql}, ${path|regex|sql}"), json!(r"7, '/etc/a\.conf'")),
            (
                json!("${paths|files}"),
                json!(
                    "SELECT path FROM file WHERE path IN ('/a', '/b') UNION SELECT path FROM file WHERE path GLOB '/c/*'"
                ),
            ),
            (json!("${id|capital}${none_yet}"), json!("A")),
            (json!("about ${list}"), json!("about x'y, z")),
            (json!({ "${id}": "${none}", "b": "${map}" }), json!({ "b": { "k": ["${id}"] } })),
            (json!({ "${id}": ["${path}", "${none}"] }), json!({ "a": ["/etc/a.conf"] })),
            (json!("$${HOME} and ${id}"), json!("${HOME} and a")),
        ] {
            assert_eq!(fill(&template, &row), Ok(expected), "{template}");
        }
    }

    #[test]
    fn what_cannot_be_filled_is_named() {
        let row = json!({ "a": "${b}", "b": "${a}", "map": {}, "id": "x" });
        for (template, expected) in [
            ("${missing}", Wrong::Missing("missing".to_owned())),
            ("x ${map}", Wrong::NotText("map".to_owned())),
            ("${id|html}", Wrong::Filter("html".to_owned())),
            ("open ${id", Wrong::Open("open ${id".to_owned())),
        ] {
            assert_eq!(fill(&json!(template), &row), Err(expected), "{template}");
        }
        assert!(matches!(fill(&json!("${a}"), &row), Err(Wrong::Circular(_))));
    }
}
