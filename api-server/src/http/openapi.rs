//! The OpenAPI 3.1 document: written from the code, with the errors that every route can answer added once here.

use utoipa::{
    Modify, OpenApi,
    openapi::{
        ContentBuilder, OpenApi as Document, Ref, RefOr, ResponseBuilder,
        path::Operation,
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    },
};
use utoipa_axum::router::OpenApiRouter;

use crate::{auth::cookies, error::ErrorBody, http::router, state::App};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Tenantra",
        description = "Discovers IT assets, scans them, scores them against frameworks, tenant by tenant.\n\n\
            Errors are `{code, message, details, trace_id}`; unknown fields in a body are refused with 422; lists take \
            `page` and `page_size`, and long ones also `cursor`, which goes on where an answer ended; GETs carry an ETag. \
            A caller with more than one tenant names it in `X-Tenantra-Tenant`.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    components(schemas(ErrorBody)),
    modifiers(&Security),
    tags(
        (name = "auth", description = "Sign-in and sessions"),
        (name = "users", description = "People of a tenant"),
        (name = "tenants", description = "Tenants, through their custom resource"),
        (name = "agents", description = "Agents: enrolment, work, results"),
        (name = "modules", description = "The catalog: what can be scanned"),
        (name = "results", description = "What was found"),
        (name = "retention", description = "What is deleted when, and what stops it"),
        (name = "compliance", description = "How frameworks and controls stand, and who answers for what fails"),
        (name = "live", description = "What changes, as it changes"),
        (name = "system", description = "The installation itself"),
    ),
)]
struct Base;

struct Security;

impl Modify for Security {
    fn modify(&self, document: &mut Document) {
        let components = document.components.get_or_insert_default();
        components.add_security_scheme(
            "bearer",
            SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build()),
        );
        components
            .add_security_scheme("cookie", SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new(cookies::ACCESS))));
        components.add_security_scheme(
            "agent",
            SecurityScheme::Http(
                HttpBuilder::new()
                    .scheme(HttpAuthScheme::Bearer)
                    .description(Some(
                        "An agent's token, with the headers x-tenantra-timestamp, -sequence and -signature",
                    ))
                    .build(),
            ),
        );
    }
}

/// Routes that anybody may call: signing in and enrolling bring their own proof.
const OPEN: [&str; 5] =
    ["/v1/auth/login", "/v1/auth/refresh", "/v1/auth/logout", "/v1/agents/enroll/self", "/v1/version"];
/// Routes that only an agent's signed request may call.
const SIGNED: [&str; 4] =
    ["/v1/agents/config/{id}", "/v1/agents/heartbeat", "/v1/agents/jobs/next", "/v1/agents/results"];

/// Puts the head of the document on a router's routes.
pub fn with_routes(routes: OpenApiRouter<App>) -> OpenApiRouter<App> {
    let mut all = OpenApiRouter::with_openapi(Base::openapi()).merge(routes);
    finish(all.get_openapi_mut());
    all
}

/// The whole document.
pub fn document() -> Document {
    with_routes(OpenApiRouter::new().nest("/v1", router::v1())).split_for_parts().1
}

fn finish(document: &mut Document) {
    for (path, item) in &mut document.paths.paths {
        let security = if OPEN.contains(&path.as_str()) {
            vec![]
        } else if SIGNED.contains(&path.as_str()) {
            vec![requirement("agent")]
        } else {
            vec![requirement("bearer"), requirement("cookie")]
        };
        let operations = [
            ("get", &mut item.get),
            ("put", &mut item.put),
            ("post", &mut item.post),
            ("delete", &mut item.delete),
            ("patch", &mut item.patch),
        ];
        for (method, operation) in operations {
            let Some(operation) = operation else { continue };
            operation.operation_id = Some(operation_id(method, path));
            add_errors(operation, path, !security.is_empty());
            operation.security = Some(security.clone());
        }
    }
}

/// `get_assets_by_id_facts`: unique, because method and path are; handlers' names (`list`) are not.
fn operation_id(method: &str, path: &str) -> String {
    let mut id = method.to_owned();
    for segment in path.trim_start_matches("/v1").split('/').filter(|segment| !segment.is_empty()) {
        id.push('_');
        match segment.strip_prefix('{').and_then(|segment| segment.strip_suffix('}')) {
            Some(parameter) => {
                id.push_str("by_");
                id.push_str(parameter);
            }
            None => id.push_str(&segment.replace('-', "_")),
        }
    }
    id
}

fn requirement(name: &str) -> SecurityRequirement {
    SecurityRequirement::new(name, Vec::<String>::new())
}

fn add_errors(operation: &mut Operation, path: &str, needs_credential: bool) {
    let mut errors = vec![
        ("400", "The request cannot be read"),
        ("500", "Something went wrong on our side"),
        ("503", "Something that the API needs does not answer"),
    ];
    if needs_credential {
        errors.push(("401", "No credential, or one that does not hold"));
        errors.push(("403", "The role may not do this, the plan does not have it, or the tenant is suspended"));
    }
    if path.contains('{') {
        errors.push(("404", "There is no such thing, or it belongs to another tenant"));
    }
    if operation.request_body.is_some() {
        errors.push(("413", "The body is too large"));
        errors.push(("415", "The content type is not one that the route takes"));
        errors.push(("422", "The body does not fit; an unknown field is named"));
    }
    if path.ends_with("/export.csv") {
        errors.push(("429", "As many files of the tenant as may be at one time are being written"));
    }
    for (status, description) in errors {
        operation.responses.responses.entry(status.to_owned()).or_insert_with(|| {
            RefOr::T(
                ResponseBuilder::new()
                    .description(description)
                    .content(
                        "application/json",
                        ContentBuilder::new().schema(Some(Ref::from_schema_name("ErrorBody"))).build(),
                    )
                    .build(),
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_says_its_errors_and_who_may_call_it() {
        let json = serde_json::to_value(document()).unwrap();
        assert_eq!(json["openapi"], "3.1.0");
        let paths = json["paths"].as_object().unwrap();
        assert!(paths.len() >= 25, "{}", paths.len());
        let mut ids = std::collections::BTreeSet::new();
        for (path, item) in paths {
            assert!(path.starts_with("/v1/"), "{path}");
            for (method, operation) in item.as_object().unwrap() {
                let responses = operation["responses"].as_object().unwrap();
                assert!(responses.contains_key("500"), "{method} {path}");
                let is_open = OPEN.contains(&path.as_str());
                assert_eq!(operation["security"].as_array().unwrap().is_empty(), is_open, "{method} {path}");
                assert!(!operation["tags"].as_array().unwrap().is_empty(), "{method} {path}");
                assert!(ids.insert(operation["operationId"].to_string()), "{method} {path}");
            }
        }
        for path in OPEN.iter().chain(&SIGNED) {
            assert!(paths.contains_key(*path), "{path}");
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let json = serde_json::to_value(document()).unwrap();
        let mut references = Vec::new();
        collect(&json, &mut references);
        for reference in references {
            let pointer = reference.trim_start_matches('#');
            assert!(json.pointer(pointer).is_some(), "{reference}");
        }
    }

    fn collect(value: &serde_json::Value, references: &mut Vec<String>) {
        match value {
            serde_json::Value::Object(map) => {
                for (key, value) in map {
                    match value {
                        serde_json::Value::String(text) if key == "$ref" => references.push(text.clone()),
                        other => collect(other, references),
                    }
                }
            }
            serde_json::Value::Array(items) => items.iter().for_each(|item| collect(item, references)),
            _ => {}
        }
    }
}
