//! Events that a transaction leaves behind for workers: written with what they tell of, read once it is committed, marked
//! done and never skipped by a cursor.
//!
//! At least once, and in order for each aggregate: a worker leases the oldest events of aggregates of which nothing is
//! leased, for a time and not for a transaction, does its work, and says what became of each ([`settle`]). What a lost
//! worker held is leased again when its time is over, so a worker's effect may come twice and has to be idempotent; it also
//! has to end before its lease does. One that fails too often is put aside ([`dead`]) and no longer holds up its aggregate.

mod upkeep;

use std::collections::HashSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;

use crate::error::Result;
use crate::names::{Slug, TenantRef};
use crate::notify::Channel;
use crate::tx::{PlatformTx, TenantTx, Write};

pub use upkeep::{DeadLetter, backlog, dead, revive, sweep};

/// How often an event is tried, waiting twice as long each time: for eight and a half minutes in all.
pub const MAX_ATTEMPTS: i32 = 10;

/// An event to leave. It holds identifiers and counts, not customer data.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    /// What happened, such as `run.ingested`.
    pub kind: String,
    /// What it happened to: events of one aggregate are worked off in the order in which they were left.
    pub aggregate_id: Uuid,
    /// What it is about.
    pub subject_id: Option<Uuid>,
    /// More.
    pub payload: Value,
}

/// An event that waits.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its id.
    pub event_id: Uuid,
    /// The tenant that left it.
    pub tenant: TenantRef,
    /// What happened.
    pub kind: String,
    /// What it happened to.
    pub aggregate_id: Uuid,
    /// What it is about.
    pub subject_id: Option<Uuid>,
    /// More.
    pub payload: Value,
    /// When.
    pub created_at: DateTime<Utc>,
    /// How often it was leased, this time included.
    pub attempts: i32,
}

/// Leaves events, in one statement, and wakes the workers at the commit.
pub async fn append(tx: &mut TenantTx<Write>, events: &[NewEvent]) -> Result<()> {
    if events.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = events.iter().map(|_| Uuid::now_v7()).collect();
    let kinds: Vec<&str> = events.iter().map(|event| event.kind.as_str()).collect();
    let aggregates: Vec<Uuid> = events.iter().map(|event| event.aggregate_id).collect();
    let subjects: Vec<Option<Uuid>> = events.iter().map(|event| event.subject_id).collect();
    let payloads: Vec<Json<&Value>> = events.iter().map(|event| Json(&event.payload)).collect();
    sqlx::query(
        "WITH added AS (INSERT INTO shared.outbox (event_id, kind, aggregate_id, subject_id, payload)
             SELECT * FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::uuid[], $5::jsonb[]))
         SELECT pg_notify($6, '')",
    )
    .bind(ids)
    .bind(kinds)
    .bind(aggregates)
    .bind(subjects)
    .bind(payloads)
    .bind(Channel::Outbox.name())
    .execute(tx.connection()?)
    .await?;
    Ok(())
}

/// How much a worker takes at once, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Aggregates in all; each takes an advisory lock for the time of the claim.
    pub aggregates: u32,
    /// Aggregates of one tenant: the others' turn comes however many it has.
    pub aggregates_of_tenant: u32,
    /// Events of one aggregate, the oldest. One that was leased before is taken alone, so that it cannot use up the
    /// attempts of those behind it.
    pub events_of_aggregate: u32,
    /// For how long they are the worker's.
    pub lease: Duration,
}

impl Default for Terms {
    fn default() -> Self {
        Self { aggregates: 256, aggregates_of_tenant: 128, events_of_aggregate: 16, lease: Duration::from_secs(30) }
    }
}

/// Whose turn it is: a worker keeps it from one claim to the next. What it forgets costs fairness for one round.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Turn(String);

/// Events that are a worker's.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    id: Uuid,
    /// By tenant and aggregate; those of one aggregate in their order.
    pub events: Vec<Event>,
    /// Events whose worker was lost each time, and which were put aside now.
    pub buried: u64,
    /// Whether there may be more that could be claimed at once.
    pub has_more: bool,
}

#[derive(sqlx::FromRow)]
struct Row {
    event_id: Uuid,
    tenant_id: Uuid,
    slug: String,
    kind: String,
    aggregate_id: Uuid,
    subject_id: Option<Uuid>,
    payload: Json<Value>,
    created_at: DateTime<Utc>,
    attempts: i32,
    is_dead: bool,
    turn: i64,
    position: i64,
}

/// Leases the oldest events of aggregates of which nothing is leased, tenants in turn. Commit before working on them.
pub async fn claim(tx: &mut PlatformTx, turn: &mut Turn, terms: &Terms) -> Result<Claim> {
    let id = Uuid::now_v7();
    // Any number that differs each time: where the look at a tenant's aggregates begins.
    let (seed, _) = Uuid::new_v4().as_u64_pair();
    let (roles, lanes, next, is_cut): (Vec<String>, Vec<i64>, String, bool) = sqlx::query_as(
        "SELECT roles::text[], lanes, turn::text, is_cut FROM shared.outbox_lanes($1::text::name, $2, $3, $4)",
    )
    .bind(&turn.0)
    .bind(seed.cast_signed())
    .bind(whole(terms.aggregates))
    .bind(whole(terms.aggregates_of_tenant))
    .fetch_one(tx.connection()?)
    .await?;
    turn.0 = next;
    let mut claim = Claim { id, events: Vec::new(), buried: 0, has_more: is_cut };
    if lanes.is_empty() {
        return Ok(claim);
    }
    let mut rows = lease(tx, id, &roles, &lanes, terms).await?;
    rows.sort_unstable_by_key(|row| (row.turn, row.position));
    let most = usize::try_from(terms.events_of_aggregate).unwrap_or(usize::MAX);
    claim.has_more |= rows.chunk_by(|a, b| a.turn == b.turn).any(|of_aggregate| of_aggregate.len() >= most)
        // Taken alone, or put aside: what is behind it waits.
        || rows.iter().any(|row| row.is_dead || row.attempts > 1);
    for row in rows {
        if row.is_dead {
            claim.buried += 1;
            continue;
        }
        let Row { event_id, tenant_id, slug, kind, aggregate_id, subject_id, payload, created_at, attempts, .. } = row;
        let tenant = TenantRef { slug: Slug::parse(&slug)?, id: tenant_id };
        let payload = payload.0;
        claim.events.push(Event { event_id, tenant, kind, aggregate_id, subject_id, payload, created_at, attempts });
    }
    Ok(claim)
}

fn whole(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// The oldest events of lanes whose locks are held, as a statement of its own: it sees what the last holder committed.
async fn lease(tx: &mut PlatformTx, id: Uuid, roles: &[String], lanes: &[i64], terms: &Terms) -> Result<Vec<Row>> {
    Ok(sqlx::query_as(
        "WITH wanted AS (
             SELECT w.role::name AS role, w.lane, w.turn
             FROM unnest($1::text[], $2::bigint[]) WITH ORDINALITY AS w(role, lane, turn)
         ), oldest AS (
             SELECT w.turn, h.event_id FROM wanted w CROSS JOIN LATERAL (
                 SELECT p.event_id, p.is_due, row_number() OVER so_far AS place,
                     bool_and(p.is_due AND p.attempts = 0) OVER so_far AS is_new
                 FROM (
                     SELECT o.event_id, o.position, o.attempts, o.not_before <= now() AS is_due FROM shared.outbox o
                     WHERE o.tenant_role = w.role AND o.lane = w.lane AND o.done_at IS NULL AND o.dead_at IS NULL
                     ORDER BY o.position LIMIT $3
                 ) p WINDOW so_far AS (ORDER BY p.position)
             ) h WHERE h.is_new OR (h.place = 1 AND h.is_due)
         )
         UPDATE shared.outbox o SET
             attempts = o.attempts + CASE WHEN o.attempts < $4 THEN 1 ELSE 0 END,
             lease = CASE WHEN o.attempts < $4 THEN $5::uuid END,
             leased_until = CASE WHEN o.attempts < $4 THEN now() + make_interval(secs => $6) END,
             dead_at = CASE WHEN o.attempts >= $4 THEN now() END,
             last_error = CASE WHEN o.attempts < $4 THEN o.last_error
                 ELSE coalesce(o.last_error || '; ', '') || 'its worker was lost in the last attempt' END
         FROM oldest, shared.tenants t
         WHERE o.event_id = oldest.event_id AND o.done_at IS NULL AND o.dead_at IS NULL
             AND (o.leased_until IS NULL OR o.leased_until <= now())
             AND t.slug = replace(substr(o.tenant_role::text, 8), '_', '-') AND t.state <> 'purged'
         RETURNING o.event_id, t.tenant_id, t.slug, o.kind, o.aggregate_id, o.subject_id, o.payload, o.created_at, o.attempts,
             o.dead_at IS NOT NULL AS is_dead, oldest.turn, o.position",
    )
    .bind(roles)
    .bind(lanes)
    .bind(i64::from(terms.events_of_aggregate.max(1)))
    .bind(MAX_ATTEMPTS)
    .bind(id)
    .bind(terms.lease.as_secs_f64())
    .fetch_all(tx.connection()?)
    .await?)
}

/// What became of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Its work is done.
    Done,
    /// It is tried again later, or put aside after the last attempt; the reason is kept.
    Failed(String),
    /// Nobody worked on it: it is as it was before the claim.
    Untouched,
}

impl Claim {
    /// The outcome of each event, asked in their order: behind one that is not done the rest of its aggregate is untouched.
    pub fn outcomes(&self, mut became: impl FnMut(&Event) -> Outcome) -> Vec<(Uuid, Outcome)> {
        let mut stopped = HashSet::new();
        let mut outcomes = Vec::with_capacity(self.events.len());
        for event in &self.events {
            let aggregate = (event.tenant.id, event.aggregate_id);
            let outcome = if stopped.contains(&aggregate) { Outcome::Untouched } else { became(event) };
            if outcome != Outcome::Done {
                stopped.insert(aggregate);
            }
            outcomes.push((event.event_id, outcome));
        }
        outcomes
    }
}

/// What [`settle`] came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settled {
    /// Events whose outcome counts. The others' lease ran out, and they are another worker's.
    pub events: u64,
    /// Of these, events that were put aside.
    pub dead: u64,
}

/// Writes down what became of events of a claim, in one statement. Those that are not named stay leased until the lease
/// runs out.
pub async fn settle(tx: &mut PlatformTx, claim: &Claim, outcomes: &[(Uuid, Outcome)]) -> Result<Settled> {
    if outcomes.is_empty() {
        return Ok(Settled { events: 0, dead: 0 });
    }
    let ids: Vec<Uuid> = outcomes.iter().map(|(event_id, _)| *event_id).collect();
    let words: Vec<&str> = outcomes
        .iter()
        .map(|(_, outcome)| match outcome {
            Outcome::Done => "done",
            Outcome::Failed(_) => "failed",
            Outcome::Untouched => "untouched",
        })
        .collect();
    // No text of Postgres has U+0000.
    let errors: Vec<Option<String>> = outcomes
        .iter()
        .map(|(_, outcome)| match outcome {
            Outcome::Failed(error) => Some(error.replace('\0', "")),
            Outcome::Done | Outcome::Untouched => None,
        })
        .collect();
    let are_dead: Vec<bool> = sqlx::query_scalar(
        "UPDATE shared.outbox o SET lease = NULL, leased_until = NULL,
             done_at = CASE WHEN s.outcome = 'done' THEN now() END,
             dead_at = CASE WHEN s.outcome = 'failed' AND o.attempts >= $5 THEN now() END,
             attempts = o.attempts - CASE WHEN s.outcome = 'untouched' THEN 1 ELSE 0 END,
             last_error = CASE WHEN s.outcome = 'failed' THEN left(s.error, 500) ELSE o.last_error END,
             not_before = CASE WHEN s.outcome = 'failed'
                 THEN now() + interval '1 second' * power(2, least(o.attempts - 1, 9)) ELSE o.not_before END
         FROM unnest($2::uuid[], $3::text[], $4::text[]) AS s(event_id, outcome, error)
         WHERE o.event_id = s.event_id AND o.lease = $1 RETURNING o.dead_at IS NOT NULL",
    )
    .bind(claim.id)
    .bind(ids)
    .bind(words)
    .bind(errors)
    .bind(MAX_ATTEMPTS)
    .fetch_all(tx.connection()?)
    .await?;
    let dead = are_dead.iter().filter(|is_dead| **is_dead).count();
    Ok(Settled { events: are_dead.len() as u64, dead: dead as u64 })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(number: u128, aggregate: u128) -> Event {
        Event {
            event_id: Uuid::from_u128(number),
            tenant: TenantRef { slug: Slug::parse("acme").unwrap(), id: Uuid::nil() },
            kind: "x".to_owned(),
            aggregate_id: Uuid::from_u128(aggregate),
            subject_id: None,
            payload: json!({}),
            created_at: DateTime::UNIX_EPOCH,
            attempts: 1,
        }
    }

    #[test]
    fn behind_one_that_failed_the_rest_of_its_aggregate_is_untouched() {
        let events = vec![event(1, 7), event(2, 7), event(3, 7), event(4, 8), event(5, 9)];
        let claim = Claim { id: Uuid::nil(), events, buried: 0, has_more: false };
        let outcomes = claim.outcomes(|event| match event.event_id.as_u128() {
            2 => Outcome::Failed("no".to_owned()),
            5 => Outcome::Untouched,
            _ => Outcome::Done,
        });
        let of: Vec<Outcome> = outcomes.into_iter().map(|(_, outcome)| outcome).collect();
        let failed = Outcome::Failed("no".to_owned());
        assert_eq!(of, [Outcome::Done, failed, Outcome::Untouched, Outcome::Done, Outcome::Untouched]);
    }
}
