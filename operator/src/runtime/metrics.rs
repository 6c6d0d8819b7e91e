//! The operator's metrics. No label is a tenant: their number would grow with the customers.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::runtime::gate::System;
use crds::conditions::ConditionType;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Provisioned {
    condition: &'static str,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfCondition {
    condition: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfKind {
    kind: &'static str,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfSystem {
    system: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfReadiness {
    ready: &'static str,
}

/// The metrics, shared by all.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
    passes: Family<OfKind, Counter>,
    pass_seconds: Histogram,
    provisioned: Family<Provisioned, Counter>,
    provision_seconds: Family<OfCondition, Histogram>,
    breakers: Family<OfSystem, Gauge>,
    tenants: Family<OfReadiness, Gauge>,
    leads: Gauge,
    status_writes: Counter,
}

fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.002, 2.0, 14))
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("tenantra_operator");
        let metrics = Self {
            passes: Family::default(),
            pass_seconds: seconds(),
            provisioned: Family::default(),
            provision_seconds: Family::new_with_constructor(seconds),
            breakers: Family::default(),
            tenants: Family::default(),
            leads: Gauge::default(),
            status_writes: Counter::default(),
            registry: Arc::default(),
        };
        registry.register("reconciles", "Passes by kind of object and result", metrics.passes.clone());
        registry.register("reconcile_seconds", "How long a pass over a tenant took", metrics.pass_seconds.clone());
        registry.register("provisions", "Runs of provisioners by condition and result", metrics.provisioned.clone());
        registry.register(
            "provision_seconds",
            "How long a run of a provisioner took",
            metrics.provision_seconds.clone(),
        );
        registry.register("breaker_open", "Whether the breaker of an outside system is open", metrics.breakers.clone());
        registry.register("tenants", "Tenants by the status of Ready", metrics.tenants.clone());
        registry.register("leader", "Whether this replica leads", metrics.leads.clone());
        registry.register("status_writes", "Writes of a tenant's status", metrics.status_writes.clone());
        *metrics.registry.lock().unwrap_or_else(PoisonError::into_inner) = registry;
        metrics
    }
}

impl Metrics {
    /// A pass over an object ended.
    pub fn passed(&self, kind: &'static str, succeeded: bool, took: Duration) {
        self.passes.get_or_create(&OfKind { kind, result: result(succeeded) }).inc();
        if kind == "Tenant" {
            self.pass_seconds.observe(took.as_secs_f64());
        }
    }

    /// A provisioner ended.
    pub fn provisioned(&self, condition: ConditionType, succeeded: bool, took: Duration) {
        let condition = condition.as_str();
        self.provisioned.get_or_create(&Provisioned { condition, result: result(succeeded) }).inc();
        self.provision_seconds.get_or_create(&OfCondition { condition }).observe(took.as_secs_f64());
    }

    /// A breaker opened or closed.
    pub fn breaker(&self, system: System, is_open: bool) {
        self.breakers.get_or_create(&OfSystem { system: system.name() }).set(i64::from(is_open));
    }

    /// How many tenants are ready, not ready, and not known yet.
    pub fn tenants(&self, counts: [(&'static str, usize); 3]) {
        for (ready, count) in counts {
            self.tenants.get_or_create(&OfReadiness { ready }).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    /// The lead was won or lost.
    pub fn leads(&self, is_leader: bool) {
        self.leads.set(i64::from(is_leader));
    }

    /// A status was written.
    pub fn status_written(&self) {
        self.status_writes.inc();
    }

    /// All of them in the text format of `OpenMetrics`.
    pub fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry.lock().unwrap_or_else(PoisonError::into_inner))?;
        Ok(text)
    }
}

fn result(succeeded: bool) -> &'static str {
    if succeeded { "ok" } else { "error" }
}
