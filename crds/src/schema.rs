//! Pieces of OpenAPI schema that the kinds share. A pattern is given twice, as `pattern` for editors and offline checks and
//! as a CEL rule for people: the API server's own sentence about a pattern only repeats the expression.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

/// A rule in CEL with the sentence that its author sees.
pub fn rule(rule: &str, message: &str) -> Value {
    json!({ "rule": rule, "message": message })
}

/// Text of at most `max` characters.
pub fn text(max: u32) -> Schema {
    json_schema!({ "type": "string", "maxLength": max })
}

/// Text that matches `pattern` (RE2, anchored by the caller, without a single quote); `message` says what to write instead.
/// `max` is generous: the API server checks no rule of an object in which some text is too long, so nobody would see it.
pub fn matching(max: u32, pattern: &str, message: &str) -> Schema {
    json_schema!({
        "type": "string",
        "maxLength": max,
        "pattern": pattern,
        "x-kubernetes-validations": [rule(&format!("self.matches(r'{pattern}')"), message)],
    })
}

/// Text with a rule of its own.
pub fn checked(max: u32, expression: &str, message: &str) -> Schema {
    json_schema!({ "type": "string", "maxLength": max, "x-kubernetes-validations": [rule(expression, message)] })
}

/// A list of at most `max` different texts, each like `item`; `message` is said of a duplicate.
pub fn unique_list(max: u32, item: &Schema, message: &str) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": max,
        "items": item,
        "x-kubernetes-validations": [rule("self.all(x, self.exists_one(y, x == y))", message)],
    })
}

/// A list of at most `max` items.
pub fn list(max: u32, item: &Schema) -> Schema {
    json_schema!({ "type": "array", "maxItems": max, "items": item })
}

/// A map of at most `max` entries.
pub fn map(max: u32, value: &Schema) -> Schema {
    json_schema!({ "type": "object", "maxProperties": max, "additionalProperties": value })
}

/// Whole numbers by name: what a status counts.
pub fn counts(_: &mut SchemaGenerator) -> Schema {
    map(256, &json_schema!({ "type": "integer", "format": "int64" }))
}

/// Values of any shape by name: parameters whose schema the module declares.
pub fn free_form(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "maxProperties": 64, "x-kubernetes-preserve-unknown-fields": true })
}

pub fn name(_: &mut SchemaGenerator) -> Schema {
    matching(
        63,
        "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$",
        "write a name of lower-case letters, digits and '-', at most 63 characters",
    )
}

pub fn object_name(_: &mut SchemaGenerator) -> Schema {
    matching(
        253,
        "^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$",
        "write the object's name: lower-case letters, digits, '-' and '.'",
    )
}

pub fn object_key(_: &mut SchemaGenerator) -> Schema {
    matching(253, "^[-._a-zA-Z0-9]+$", "write a key of letters, digits, '-', '_' and '.', such as logo.svg")
}

pub fn line(_: &mut SchemaGenerator) -> Schema {
    text(256)
}

pub fn paragraph(_: &mut SchemaGenerator) -> Schema {
    text(4096)
}

pub fn email(_: &mut SchemaGenerator) -> Schema {
    email_schema()
}

fn email_schema() -> Schema {
    matching(254, "^[^@ ]{1,64}@[^@ ]+[.][^@ .]+$", "write an e-mail address, such as ada@acme.example")
}

pub fn emails(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "array", "minItems": 1, "maxItems": 32, "items": email_schema() })
}

pub fn phone_numbers(_: &mut SchemaGenerator) -> Schema {
    let number = matching(
        64,
        "^[+][1-9][0-9]{6,14}$",
        "write a telephone number with its country code, such as +4915112345678 (E.164)",
    );
    json_schema!({ "type": "array", "minItems": 1, "maxItems": 32, "items": number })
}

pub fn web_address(_: &mut SchemaGenerator) -> Schema {
    checked(
        2048,
        "isURL(self) && url(self).getScheme() in ['https', 'http'] && url(self).getHost() != ''",
        "write a web address with its scheme, such as https://hooks.example.com/tenantra",
    )
}

pub fn slug(_: &mut SchemaGenerator) -> Schema {
    matching(
        64,
        crate::names::SLUG_PATTERN,
        "write the tenant's slug: lower-case letters, digits and '-', at most 40 characters, such as northwind-msp",
    )
}

fn module_slug_schema() -> Schema {
    matching(64, "^[a-z0-9]([-a-z0-9]{0,62}[a-z0-9])?$", "write a module's slug, such as linux-sshd")
}

pub fn module_slug(_: &mut SchemaGenerator) -> Schema {
    module_slug_schema()
}

pub fn module_globs(_: &mut SchemaGenerator) -> Schema {
    let glob = matching(
        64,
        "^[a-z0-9*]([-a-z0-9*]{0,62}[a-z0-9*])?$",
        "write a module's slug or a prefix with '*', such as linux-*",
    );
    unique_list(64, &glob, "name each module once")
}

pub fn feature_names(_: &mut SchemaGenerator) -> Schema {
    let feature = matching(
        64,
        "^[a-z][a-z0-9_]{0,63}$",
        "write a feature's name: lower-case letters, digits and '_', such as ai_risk",
    );
    unique_list(64, &feature, "name each feature once")
}

pub fn retention_types(_: &mut SchemaGenerator) -> Schema {
    let kind = json_schema!({ "type": "string", "enum": ["operationalLogs", "securityEvents", "findings", "audit"] });
    unique_list(4, &kind, "name each type once")
}

fn framework_schema() -> Schema {
    matching(
        64,
        "^[a-z0-9]([-a-z0-9.]{0,62}[a-z0-9])?$",
        "write a framework's slug, such as cis-debian-12 or nist-800-53-r5",
    )
}

pub fn framework_slug(_: &mut SchemaGenerator) -> Schema {
    framework_schema()
}

pub fn framework_slugs(_: &mut SchemaGenerator) -> Schema {
    unique_list(32, &framework_schema(), "name each framework once")
}

/// A Kubernetes quantity, zero or more. As a string it is checked by `isQuantity`; as a number by its sign.
pub fn quantity(_: &mut SchemaGenerator) -> Schema {
    quantity_schema()
}

fn quantity_schema() -> Schema {
    json_schema!({
        "x-kubernetes-int-or-string": true,
        "maxLength": 32,
        "x-kubernetes-validations": [rule(
            "type(self) == string ? (isQuantity(string(self)) && !quantity(string(self)).isLessThan(quantity('0'))) : int(self) >= 0",
            "write a quantity of zero or more, such as 500m, 4, 8Gi or 50Gi",
        )],
    })
}

/// `limits` and `requests` of a container; claims are not for agents.
pub fn resource_requirements(_: &mut SchemaGenerator) -> Schema {
    let quantities = map(8, &quantity_schema());
    json_schema!({ "type": "object", "properties": { "limits": quantities, "requests": quantities } })
}

pub fn node_selector(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 16,
        "additionalProperties": text(63),
        "x-kubernetes-validations": [rule(
            "!('tenantra.io/tenant' in self)",
            "leave tenantra.io/tenant out: the operator always adds it, and a selector here only narrows it",
        )],
    })
}

/// A list of `core/v1` tolerations, in full.
pub fn tolerations(_: &mut SchemaGenerator) -> Schema {
    list(
        16,
        &json_schema!({
            "type": "object",
            "properties": {
                "key": text(317),
                "operator": { "type": "string", "enum": ["Exists", "Equal"] },
                "value": text(63),
                "effect": { "type": "string", "enum": ["NoSchedule", "PreferNoSchedule", "NoExecute"] },
                "tolerationSeconds": { "type": "integer", "format": "int64" },
            },
        }),
    )
}

/// A `meta/v1` label selector, in full; empty or absent means everything.
pub fn label_selector(_: &mut SchemaGenerator) -> Schema {
    let expression = json_schema!({
        "type": "object",
        "required": ["key", "operator"],
        "properties": {
            "key": text(317),
            "operator": { "type": "string", "enum": ["In", "NotIn", "Exists", "DoesNotExist"] },
            "values": list(64, &text(63)),
        },
        "x-kubernetes-validations": [rule(
            "self.operator in ['In', 'NotIn'] ? (has(self.values) && self.values.size() > 0) : (!has(self.values) || self.values.size() == 0)",
            "give values with the operators In and NotIn, and none with Exists and DoesNotExist",
        )],
    });
    json_schema!({
        "type": "object",
        "x-kubernetes-map-type": "atomic",
        "properties": { "matchLabels": map(16, &text(63)), "matchExpressions": list(16, &expression) },
    })
}

/// Addresses in CIDR notation, IPv4 or IPv6.
pub fn cidr(_: &mut SchemaGenerator) -> Schema {
    checked(64, "isCIDR(self)", "write a network in CIDR notation, such as 10.0.0.0/8 or 2001:db8::/32")
}

pub fn ports(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 32,
        "items": {
            "type": "integer",
            "format": "int32",
            "x-kubernetes-validations": [rule("self >= 1 && self <= 65535", "write a port between 1 and 65535")],
        },
    })
}

/// `meta/v1` conditions as a map by type.
pub fn conditions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 32,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "required": ["type", "status", "reason", "message", "lastTransitionTime"],
            "properties": {
                "type": text(316),
                "status": { "type": "string", "enum": ["True", "False", "Unknown"] },
                "reason": text(1024),
                "message": text(32768),
                "lastTransitionTime": { "type": "string", "format": "date-time" },
                "observedGeneration": { "type": "integer", "format": "int64" },
            },
        },
    })
}
