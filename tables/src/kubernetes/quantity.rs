//! Kubernetes' own notations as values that compare: quantities (`500m`, `1Gi`) and selectors of labels.

use serde_json::{Map, Value as Json, json};

/// Suffixes of a quantity with what they stand for; the long ones first.
const SUFFIXES: [(&str, f64); 15] = [
    ("Ki", 1024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("Ti", 1_099_511_627_776.0),
    ("Pi", 1_125_899_906_842_624.0),
    ("Ei", 1_152_921_504_606_846_976.0),
    ("n", 1e-9),
    ("u", 1e-6),
    ("m", 1e-3),
    ("k", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
    ("P", 1e15),
    ("E", 1e18),
];

/// The number that a quantity stands for, times `scale`, rounded up as the scheduler does.
#[allow(clippy::cast_possible_truncation)] // compared with what fits
pub(super) fn scaled(quantity: &str, scale: f64) -> Option<i64> {
    let (digits, factor) = SUFFIXES
        .iter()
        .find_map(|(suffix, factor)| Some((quantity.strip_suffix(suffix)?, *factor)))
        .unwrap_or((quantity, 1.0));
    // 1e3 is a quantity as well; words such as inf and nan are none.
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit() || b".+-eE".contains(&byte));
    let number = digits.parse::<f64>().ok().filter(|_| is_number)?;
    // Not one too many for a fraction that has no exact form in binary.
    let value = (number * factor * scale - 1e-6).ceil();
    (value.abs() < 9.0e18).then_some(value as i64)
}

/// Thousandths of a processor.
pub(super) fn milli_cores(quantity: &str) -> Option<i64> {
    scaled(quantity, 1_000.0)
}

/// Bytes.
pub(super) fn bytes(quantity: &str) -> Option<i64> {
    scaled(quantity, 1.0)
}

/// `requests` or `limits` of each container in numbers, as Steampipe's `containers_resources_…_std`.
pub(super) fn resources(containers: &Json, of: &str) -> Json {
    let of_one = |container: &Json| {
        let mut numbers = Map::new();
        numbers.insert("containerName".to_owned(), container["name"].clone());
        numbers.insert("containerImage".to_owned(), container["image"].clone());
        let stated = &container["resources"][of];
        let number = |name: &str, read: fn(&str) -> Option<i64>| stated[name].as_str().and_then(read);
        if let Some(cpu) = number("cpu", milli_cores) {
            numbers.insert("cpu".to_owned(), json!(cpu));
        }
        if let Some(memory) = number("memory", bytes) {
            numbers.insert("memory".to_owned(), json!(memory));
        }
        Json::Object(numbers)
    };
    containers.as_array().into_iter().flatten().map(of_one).collect()
}

/// A selector as `kubectl --selector` takes it: a map of labels, or `matchLabels` with `matchExpressions`.
pub(super) fn selector(selector: &Json) -> Option<String> {
    let selector = selector.as_object()?;
    let is_structured = selector.contains_key("matchLabels") || selector.contains_key("matchExpressions");
    let labels = if is_structured { selector.get("matchLabels").and_then(Json::as_object) } else { Some(selector) };
    let equal =
        labels.into_iter().flatten().map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()));
    let expressions = if is_structured { selector.get("matchExpressions").and_then(Json::as_array) } else { None };
    let mut parts: Vec<String> = equal.chain(expressions.into_iter().flatten().filter_map(expression)).collect();
    parts.sort_unstable();
    (!parts.is_empty()).then(|| parts.join(","))
}

fn expression(expression: &Json) -> Option<String> {
    let key = expression["key"].as_str()?;
    let mut values: Vec<&str> =
        expression["values"].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
    values.sort_unstable();
    let values = values.join(",");
    match expression["operator"].as_str()? {
        "In" => Some(format!("{key} in ({values})")),
        "NotIn" => Some(format!("{key} notin ({values})")),
        "Exists" => Some(key.to_owned()),
        "DoesNotExist" => Some(format!("!{key}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quantities_are_numbers() {
        for (quantity, cores, size) in [
            ("2", Some(2_000), Some(2)),
            ("500m", Some(500), Some(1)),
            ("0.1", Some(100), Some(1)),
            ("1Gi", Some(1_073_741_824_000), Some(1_073_741_824)),
            ("128974848", Some(128_974_848_000), Some(128_974_848)),
            ("129e6", Some(129_000_000_000), Some(129_000_000)),
            ("100M", Some(100_000_000_000), Some(100_000_000)),
            ("", None, None),
            ("inf", None, None),
            ("many", None, None),
        ] {
            assert_eq!((milli_cores(quantity), bytes(quantity)), (cores, size), "{quantity}");
        }
    }

    #[test]
    fn selectors_are_written_as_a_command_takes_them() {
        for (given, expected) in [
            (json!({"app": "x", "a": "b"}), Some("a=b,app=x")),
            (
                json!({"matchLabels": {"app": "x"}, "matchExpressions": [
                    {"key": "tier", "operator": "In", "values": ["b", "a"]}, {"key": "old", "operator": "DoesNotExist"},
                ]}),
                Some("!old,app=x,tier in (a,b)"),
            ),
            (json!({}), None),
            (json!(null), None),
        ] {
            assert_eq!(selector(&given).as_deref(), expected, "{given}");
        }
    }

    proptest! {
        #[test]
        fn any_quantity_is_read_without_panic(text in ".{0,20}") {
            milli_cores(&text);
        }
    }
}
