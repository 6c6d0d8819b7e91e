//! What every schema must have: a bound on each text, list and map, a sentence on each rule, a required spec, and nothing
//! that Kubernetes would warn about.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use crds::manifests::definitions;
use serde_json::Value;

/// Calls `visit` with the path of each schema of each kind.
fn walk(visit: &mut impl FnMut(&str, &Value)) {
    for definition in definitions().unwrap() {
        let kind = definition.spec.names.kind.clone();
        let schema = serde_json::to_value(&definition.spec.versions[0].schema).unwrap();
        walk_schema(&kind, &schema["openAPIV3Schema"], visit);
    }
}

fn walk_schema(path: &str, schema: &Value, visit: &mut impl FnMut(&str, &Value)) {
    visit(path, schema);
    if let Some(properties) = schema["properties"].as_object() {
        for (name, property) in properties {
            walk_schema(&format!("{path}.{name}"), property, visit);
        }
    }
    for (key, suffix) in [("items", "[]"), ("additionalProperties", "{}")] {
        if schema[key].is_object() {
            walk_schema(&format!("{path}{suffix}"), &schema[key], visit);
        }
    }
}

#[test]
fn every_text_list_and_map_is_bounded() {
    let mut unbounded = Vec::new();
    walk(&mut |path, schema| {
        let has = |key: &str| !schema[key].is_null();
        // The object's own header has the API server's bounds.
        let is_header = path.split('.').nth(1).is_some_and(|name| ["apiVersion", "kind", "metadata"].contains(&name));
        let is_int_or_string = schema["x-kubernetes-int-or-string"] == true;
        let missing = match schema["type"].as_str() {
            _ if is_header => None,
            Some("string") if !has("maxLength") && !has("enum") && !has("format") => Some("maxLength"),
            None if is_int_or_string && !has("maxLength") => Some("maxLength"),
            Some("array") if !has("maxItems") => Some("maxItems"),
            Some("object")
                if (has("additionalProperties") || schema["x-kubernetes-preserve-unknown-fields"] == true)
                    && !has("maxProperties") =>
            {
                Some("maxProperties")
            }
            None if !is_int_or_string => Some("type"),
            _ => None,
        };
        if let Some(missing) = missing {
            unbounded.push(format!("{path} has no {missing}"));
        }
    });
    assert!(unbounded.is_empty(), "{unbounded:#?}");
}

#[test]
fn every_rule_says_what_to_write_instead() {
    let mut rules = 0;
    walk(&mut |path, schema| {
        for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
            rules += 1;
            assert!(rule["message"].as_str().is_some_and(|message| message.len() > 12), "{path}: {rule}");
        }
        if schema["pattern"].is_string() {
            assert!(schema["x-kubernetes-validations"].is_array(), "{path} has a pattern without a sentence");
        }
    });
    assert!(rules > 60, "only {rules} rules were found");
}

#[test]
fn nothing_is_nullable_and_every_format_is_known() {
    walk(&mut |path, schema| {
        assert!(schema["nullable"].is_null(), "{path}");
        if let Some(format) = schema["format"].as_str() {
            assert!(["int32", "int64", "date-time"].contains(&format), "{path}: {format}");
        }
    });
}

#[test]
fn the_spec_is_required_and_every_field_is_described() {
    let mut undescribed = Vec::new();
    walk(&mut |path, schema| {
        if !path.contains('.') {
            assert!(schema["required"].as_array().is_some_and(|names| names.contains(&"spec".into())), "{path}");
        }
        let depth = path.matches('.').count();
        let is_ours = depth == 2 && (path.contains(".spec.") || path.contains(".status."));
        if is_ours && !path.contains("[]") && !path.contains("{}") && schema["description"].is_null() {
            undescribed.push(path.to_owned());
        }
    });
    assert!(undescribed.is_empty(), "{undescribed:#?}");
}

#[test]
fn the_rules_about_the_name_are_those_of_the_names() {
    let definitions = definitions().unwrap();
    let schema = serde_json::to_string(&definitions[0].spec.versions[0].schema).unwrap();
    assert!(schema.contains(&format!("self.metadata.name.matches(r'{}')", crds::names::SLUG_PATTERN)));
    let reserved: Vec<_> = crds::names::RESERVED_SLUGS.iter().map(|slug| format!("'{slug}'")).collect();
    assert!(schema.contains(&format!("self.metadata.name in [{}]", reserved.join(", "))));
    assert!(schema.contains(&format!("startsWith('{}')", crds::names::RESERVED_PREFIX)));
}
