//! What Prometheus reads: requests by route template, ingestion, jobs, background work. No label has unbounded values.

use std::{sync::Mutex, time::Duration};

use http::{Method, StatusCode};
use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

use crate::error::{Error, Result};

/// Labels of a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: String,
    route: String,
    status: u16,
}

/// Labels of a request's duration.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    method: String,
    route: String,
}

/// Labels of a module's run; both come from the catalog, never from the agent alone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RunLabels {
    slug: String,
    version: String,
    status: String,
}

/// Labels of how long a module ran.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ModuleLabels {
    slug: String,
    version: String,
}

/// Labels of what was done with a result.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: String,
}

/// Labels of a background task.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TaskLabels {
    task: String,
    outcome: String,
}

/// All of this program's metrics.
#[derive(Debug)]
pub struct Metrics {
    registry: Mutex<Registry>,
    requests: Family<RequestLabels, Counter>,
    durations: Family<RouteLabels, Histogram>,
    results: Family<OutcomeLabels, Counter>,
    findings_opened: Counter,
    findings_closed: Counter,
    runs: Family<RunLabels, Counter>,
    run_durations: Family<ModuleLabels, Histogram>,
    tasks: Family<TaskLabels, Counter>,
    enrolments: Family<OutcomeLabels, Counter>,
    /// Agents that wait for work on this replica.
    pub waiting_agents: Gauge,
    /// Jobs that no agent has taken.
    pub queued_jobs: Gauge,
    /// Jobs that an agent works on.
    pub leased_jobs: Gauge,
    /// Tenants whose rollup is behind an ingest.
    pub dirty_rollups: Gauge,
    /// Events that wait to be worked off.
    pub waiting_events: Gauge,
    /// Events that were tried too often and put aside.
    pub dead_events: Counter,
    /// Audit rows that had waited for more than five seconds when they were chained.
    pub audit_rows_late: Counter,
    /// Tenants in the watch cache.
    pub tenants: Gauge,
}

fn seconds() -> Histogram {
    Histogram::new([0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 300.0])
}

impl Default for Metrics {
    fn default() -> Self {
        let metrics = Self {
            registry: Mutex::new(Registry::default()),
            requests: Family::default(),
            durations: Family::new_with_constructor(seconds),
            results: Family::default(),
            findings_opened: Counter::default(),
            findings_closed: Counter::default(),
            runs: Family::default(),
            run_durations: Family::new_with_constructor(seconds),
            tasks: Family::default(),
            enrolments: Family::default(),
            waiting_agents: Gauge::default(),
            queued_jobs: Gauge::default(),
            leased_jobs: Gauge::default(),
            dirty_rollups: Gauge::default(),
            waiting_events: Gauge::default(),
            dead_events: Counter::default(),
            audit_rows_late: Counter::default(),
            tenants: Gauge::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&self) {
        let mut registry = self.registry.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        registry.register("http_requests", "Requests answered", self.requests.clone());
        registry.register_with_unit(
            "http_request_duration",
            "Time from request to answer; long polls included",
            Unit::Seconds,
            self.durations.clone(),
        );
        registry.register("ingest_results", "Envelopes by what became of them", self.results.clone());
        registry.register("ingest_findings_opened", "Findings that were opened", self.findings_opened.clone());
        registry.register("ingest_findings_closed", "Findings that were closed", self.findings_closed.clone());
        registry.register("module_runs", "Runs of modules reported", self.runs.clone());
        registry.register_with_unit(
            "module_run_duration",
            "How long a module ran on a host",
            Unit::Seconds,
            self.run_durations.clone(),
        );
        registry.register("background_task_passes", "Passes of background tasks", self.tasks.clone());
        registry.register("agent_enrolments", "Enrolments by outcome", self.enrolments.clone());
        registry.register("agents_waiting", "Agents held in a long poll here", self.waiting_agents.clone());
        registry.register("agent_queue_depth", "Jobs that wait for an agent", self.queued_jobs.clone());
        registry.register("agent_jobs_leased", "Jobs that agents hold", self.leased_jobs.clone());
        registry.register("rollups_dirty", "Tenants whose rollup is behind", self.dirty_rollups.clone());
        registry.register("outbox_waiting", "Events that wait to be worked off", self.waiting_events.clone());
        registry.register("outbox_dead", "Events that were put aside", self.dead_events.clone());
        registry.register(
            "audit_rows_late",
            "Audit rows that waited for their place in the chain for over 5 s",
            self.audit_rows_late.clone(),
        );
        registry.register("tenants", "Tenants in the watch cache", self.tenants.clone());
    }

    /// Counts an answered request.
    pub fn request(&self, method: &Method, route: &str, status: StatusCode, took: Duration) {
        // A method is free text; only the usual ones become a label.
        let method = match method.as_str() {
            known @ ("GET" | "POST" | "PUT" | "DELETE" | "HEAD" | "OPTIONS" | "PATCH") => known,
            _ => "OTHER",
        };
        let (method, route) = (method.to_owned(), route.to_owned());
        self.durations
            .get_or_create(&RouteLabels { method: method.clone(), route: route.clone() })
            .observe(took.as_secs_f64());
        self.requests.get_or_create(&RequestLabels { method, route, status: status.as_u16() }).inc();
    }

    /// Counts an envelope: `accepted`, `duplicate`, or the code it was refused with.
    pub fn result(&self, outcome: &str) {
        self.results.get_or_create(&OutcomeLabels { outcome: outcome.to_owned() }).inc();
    }

    /// Counts what an ingest did to findings.
    pub fn findings(&self, opened: u64, closed: u64) {
        self.findings_opened.inc_by(opened);
        self.findings_closed.inc_by(closed);
    }

    /// Counts a run of a module of the catalog.
    pub fn run(&self, slug: &str, version: &str, status: &str, took: Duration) {
        let (slug, version) = (slug.to_owned(), version.to_owned());
        self.run_durations
            .get_or_create(&ModuleLabels { slug: slug.clone(), version: version.clone() })
            .observe(took.as_secs_f64());
        self.runs.get_or_create(&RunLabels { slug, version, status: status.to_owned() }).inc();
    }

    /// Counts a pass of a background task.
    pub fn pass(&self, task: &str, is_ok: bool) {
        let outcome = if is_ok { "ok" } else { "error" };
        self.tasks.get_or_create(&TaskLabels { task: task.to_owned(), outcome: outcome.to_owned() }).inc();
    }

    /// Counts an enrolment.
    pub fn enrolment(&self, is_ok: bool) {
        let outcome = if is_ok { "accepted" } else { "refused" };
        self.enrolments.get_or_create(&OutcomeLabels { outcome: outcome.to_owned() }).inc();
    }

    /// The text that Prometheus reads.
    ///
    /// # Errors
    /// A metric that cannot be written.
    pub fn encode(&self) -> Result<String> {
        let mut text = String::new();
        let registry = self.registry.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        text::encode(&mut text, &registry).map_err(Error::internal)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_route_template() {
        let metrics = Metrics::default();
        metrics.request(&Method::GET, "/v1/assets/{id}", StatusCode::OK, Duration::from_millis(3));
        metrics.request(&Method::from_bytes(b"BREW").unwrap(), "unmatched", StatusCode::OK, Duration::ZERO);
        metrics.run("linux-sshd-hardening", "1.2.0", "succeeded", Duration::from_millis(41));
        let text = metrics.encode().unwrap();
        assert!(text.contains(r#"http_requests_total{method="GET",route="/v1/assets/{id}",status="200"} 1"#), "{text}");
        assert!(text.contains(r#"method="OTHER""#));
        assert!(
            text.contains(r#"module_runs_total{slug="linux-sshd-hardening",version="1.2.0",status="succeeded"} 1"#)
        );
        assert!(text.contains(r#"module_run_duration_seconds_count{slug="linux-sshd-hardening",version="1.2.0"} 1"#));
    }
}
