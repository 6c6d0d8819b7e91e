//! The three kinds that live in a tenant's namespace share one controller: find the tenant, check the spec, say honestly
//! how far the product is. What they drive comes with their features; until then a valid object is `Ready=False`,
//! `NotYetSupported`.

use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::runtime::controller::{Action, Config};
use kube::runtime::reflector::{self, ObjectRef};
use kube::runtime::watcher::{self, watcher};
use kube::runtime::{Controller, Predicate, WatchStreamExt, predicates};
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::provision::Error;
use crate::runtime::caches::tenant_of_namespace;
use crate::runtime::events::transitions;
use crate::systems::kubernetes::{self, REQUEST_LIMIT, bounded};
use crate::tenant::Context;
use crds::conditions::{ConditionType, REASON_NO_TENANT, Status, clear, set};
use crds::names::{ANNOTATION_RECONCILE, ANNOTATION_RECONCILE_REQUESTED_AT, OPERATOR, RECONCILE_DISABLED};
use crds::tenant::Tenant;

/// How soon an object without a tenant is looked at again.
const NO_TENANT_RETRY: Duration = Duration::from_secs(30);
/// How soon an object is looked at again while what its check has to know was never read.
const UNKNOWN_RETRY: Duration = Duration::from_secs(2);

/// What is wrong with a spec; a person has to act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// In a word.
    pub reason: &'static str,
    /// In a sentence.
    pub message: String,
}

/// One of the three kinds.
pub trait Satellite: Send + Sync + 'static {
    /// The resource.
    type Object: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + Debug
        + Send
        + Sync
        + 'static;
    /// What a check has to know beside the object.
    type Knowledge: Send + Sync;
    /// What it says in messages.
    const DOES: &'static str;

    /// What is known; nothing while it was never read, and then no object is judged.
    fn knowledge(ctx: &Context) -> Option<Arc<Self::Knowledge>>;
    /// An item whenever every object has to be looked at again.
    fn wakes(_: &Context) -> BoxStream<'static, ()> {
        futures::stream::pending().boxed()
    }
    /// Checks what the schema cannot; gives what a person should know of a valid spec.
    fn check(object: &Self::Object, known: &Self::Knowledge) -> Result<Vec<String>, Refusal>;
    /// The conditions in its status.
    fn conditions(object: &Self::Object) -> Vec<Condition>;
    /// The rest of its status that every kind has: `observedGeneration` and `lastHandledReconcileAt`.
    fn handled(object: &Self::Object) -> (Option<i64>, Option<String>);
}

/// Runs the controller of a kind for as long as the program leads.
pub async fn run<S: Satellite>(ctx: Arc<Context>)
where
    <S::Object as Resource>::DynamicType: Hash + Eq,
{
    let (reader, writer) = reflector::store();
    let what_counts = predicates::generation.combine(predicates::annotations);
    let objects = watcher(Api::<S::Object>::all(ctx.client.clone()), watcher::Config::default())
        .default_backoff()
        .modify(|object| object.meta_mut().managed_fields = None)
        .reflect(writer)
        .applied_objects()
        .predicate_filter(what_counts, kube::runtime::PredicateConfig::default());
    Controller::for_stream(objects, reader)
        .with_config(Config::default().concurrency(4))
        .reconcile_all_on(S::wakes(&ctx))
        .run(reconcile::<S>, on_error::<S>, ctx)
        .for_each(|_| std::future::ready(()))
        .await;
}

async fn reconcile<S: Satellite>(object: Arc<S::Object>, ctx: Arc<Context>) -> Result<Action, Error> {
    let started = Instant::now();
    let done = pass::<S>(&object, &ctx).await;
    ctx.metrics.passed(kind::<S>(), done.is_ok(), started.elapsed());
    done
}

#[allow(clippy::needless_pass_by_value, reason = "the controller calls it so")]
fn on_error<S: Satellite>(object: Arc<S::Object>, error: &Error, _: Arc<Context>) -> Action {
    tracing::warn!(kind = kind::<S>(), object = %object.name_any(), %error, "a pass failed");
    Action::requeue(Duration::from_secs(5))
}

fn kind<S: Satellite>() -> &'static str {
    match S::Object::kind(&()) {
        std::borrow::Cow::Borrowed(kind) => kind,
        std::borrow::Cow::Owned(_) => "other",
    }
}

async fn pass<S: Satellite>(object: &S::Object, ctx: &Context) -> Result<Action, Error> {
    if object.meta().deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let Some(known) = S::knowledge(ctx) else { return Ok(Action::requeue(UNKNOWN_RETRY)) };
    let namespace = object.namespace().unwrap_or_default();
    let has_tenant = tenant_of_namespace(ctx.systems.cluster.children(), &namespace).is_some_and(|(slug, _)| {
        ctx.tenants.get(&ObjectRef::<Tenant>::new(&slug)).is_some() && crds::names::tenant_namespace(&slug) == namespace
    });
    let before = S::conditions(object);
    let is_paused = object.annotations().get(ANNOTATION_RECONCILE).is_some_and(|value| value == RECONCILE_DISABLED);
    let after = judge::<S>(object, &known, &before, has_tenant, is_paused, Timestamp::now());
    let requested = object.annotations().get(ANNOTATION_RECONCILE_REQUESTED_AT).cloned();
    let (observed, handled) = S::handled(object);
    let echo = requested.or(handled.clone());
    if before != after || observed != object.meta().generation || handled != echo {
        write::<S>(object, ctx, &namespace, &after, echo.as_deref()).await?;
        ctx.events.publish(object, transitions(&before, &after)).await;
    }
    Ok(if has_tenant { Action::await_change() } else { Action::requeue(NO_TENANT_RETRY) })
}

/// The conditions that follow from what was found. Pure.
fn judge<S: Satellite>(
    object: &S::Object,
    known: &S::Knowledge,
    before: &[Condition],
    has_tenant: bool,
    is_paused: bool,
    now: Timestamp,
) -> Vec<Condition> {
    let mut conditions = before.to_vec();
    let generation = object.meta().generation;
    let mut say = |kind, status, reason: &str, message: &str| {
        // What changed is found by comparing the lists.
        let _ = set(&mut conditions, kind, status, reason, message, generation, now);
    };
    let checked = if has_tenant {
        S::check(object, known)
    } else {
        let message = "this namespace is no tenant's; create the object in tenant-<slug>".to_owned();
        Err(Refusal { reason: REASON_NO_TENANT, message })
    };
    if is_paused {
        say(
            ConditionType::Paused,
            Status::True,
            "Disabled",
            "tenantra.io/reconcile: disabled leaves this object alone",
        );
        return conditions;
    }
    match &checked {
        Err(Refusal { reason, message }) => {
            say(ConditionType::Ready, Status::False, reason, message);
            say(ConditionType::Stalled, Status::True, reason, message);
        }
        Ok(notes) => {
            let valid = format!("the spec is valid; {} is not built yet", S::DOES);
            let message = [valid].iter().chain(notes).cloned().collect::<Vec<_>>().join("; ");
            say(ConditionType::Ready, Status::False, "NotYetSupported", &message);
        }
    }
    let _ = clear(&mut conditions, ConditionType::Paused);
    if checked.is_ok() {
        let _ = clear(&mut conditions, ConditionType::Stalled);
    }
    conditions
}

async fn write<S: Satellite>(
    object: &S::Object,
    ctx: &Context,
    namespace: &str,
    conditions: &[Condition],
    handled: Option<&str>,
) -> Result<(), Error> {
    ctx.systems.lead.permit(REQUEST_LIMIT).map_err(kubernetes::Error::from)?;
    let api: Api<S::Object> = Api::namespaced(ctx.client.clone(), namespace);
    let mut status = json!({ "observedGeneration": object.meta().generation, "conditions": conditions });
    if let Some(handled) = handled {
        status["lastHandledReconcileAt"] = Value::from(handled);
    }
    let body = json!({
        "apiVersion": S::Object::api_version(&()), "kind": S::Object::kind(&()),
        "metadata": { "name": object.name_any(), "namespace": namespace }, "status": status,
    });
    let params = PatchParams::apply(OPERATOR).force();
    match bounded("to write a status", api.patch_status(&object.name_any(), &params, &Patch::Apply(&body))).await {
        Ok(_) => Ok(()),
        Err(error) if error.code() == Some(404) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
