//! Agents' credentials and enrolment tokens: the window of sequence numbers against a model, uses counted atomically.

use std::collections::{BTreeMap, HashSet};

use chrono::{TimeDelta, Utc};
use futures::StreamExt as _;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use store::credentials::{self, NewCredential, SEQUENCE_LIMIT, Sequence, WINDOW};
use store::tenants::TenantState;
use store::{Error, Page, Write, agents, enrollment};
use uuid::Uuid;

use crate::installation::Installation;

fn credential(tenant_id: Uuid, sequence_start: u64) -> NewCredential {
    NewCredential {
        credential_id: Uuid::now_v7(),
        tenant_id,
        agent_id: Uuid::now_v7(),
        asset_id: Uuid::now_v7(),
        secret_hash: [1; 32],
        public_key: [2; 32],
        sequence_start,
    }
}

/// What the window should say, kept as a plain set.
struct Model {
    used: HashSet<u64>,
    top: u64,
}

impl Model {
    fn say(&mut self, number: u64) -> Sequence {
        if number + WINDOW <= self.top {
            return Sequence::TooOld;
        }
        if !self.used.insert(number) {
            return Sequence::Replayed;
        }
        self.top = self.top.max(number);
        Sequence::Accepted(TenantState::Active)
    }
}

#[tokio::test]
async fn the_window_accepts_each_number_once_and_nothing_older_than_itself() -> anyhow::Result<()> {
    let installation = Installation::start().await?;
    let tenant = installation.row("acme").await?;
    let mut random = StdRng::seed_from_u64(11);
    for start in [0, 5_000, SEQUENCE_LIMIT - 8_000] {
        let new = credential(tenant.id, start);
        let mut tx = installation.api.platform().await?;
        credentials::replace(&mut tx, &new).await?;
        tx.commit().await?;
        let mut model = Model { used: HashSet::from([start]), top: start };
        for _ in 0..600 {
            // Mostly near the top, sometimes a jump, sometimes at the window's edge.
            let number = match random.random_range(0..10) {
                0 => model.top.saturating_sub(WINDOW),
                1 => model.top.saturating_sub(WINDOW - 1),
                2 => model.top + random.random_range(0..1200),
                _ => (model.top + 3).saturating_sub(random.random_range(0..30)),
            };
            let number = number.min(SEQUENCE_LIMIT - 1);
            let said = credentials::use_sequence(&installation.api, new.credential_id, number).await?;
            assert_eq!(said, model.say(number), "{number} with top {}", model.top);
        }
    }
    assert!(credentials::use_sequence(&installation.api, Uuid::now_v7(), SEQUENCE_LIMIT).await.is_err());
    Ok(())
}

#[tokio::test]
async fn one_number_used_by_many_at_once_is_accepted_once() -> anyhow::Result<()> {
    let installation = Installation::start().await?;
    let tenant = installation.row("acme").await?;
    let new = credential(tenant.id, 100);
    let mut tx = installation.api.platform().await?;
    credentials::replace(&mut tx, &new).await?;
    tx.commit().await?;
    let said: Vec<anyhow::Result<Sequence>> = futures::stream::iter(0..16)
        .map(|_| async { Ok(credentials::use_sequence(&installation.api, new.credential_id, 101).await?) })
        .buffer_unordered(8)
        .collect()
        .await;
    let said: Vec<Sequence> = said.into_iter().collect::<anyhow::Result<_>>()?;
    assert_eq!(said.iter().filter(|said| **said == Sequence::Accepted(TenantState::Active)).count(), 1);
    assert_eq!(said.iter().filter(|said| **said == Sequence::Replayed).count(), 15);
    Ok(())
}

#[tokio::test]
async fn a_revoked_credential_uses_no_number_and_a_new_one_replaces_it() -> anyhow::Result<()> {
    let installation = Installation::start().await?;
    let tenant = installation.row("acme").await?;
    let first = credential(tenant.id, 0);
    let second = NewCredential { credential_id: Uuid::now_v7(), ..first.clone() };
    let mut tx = installation.api.platform().await?;
    credentials::replace(&mut tx, &first).await?;
    credentials::replace(&mut tx, &second).await?;
    tx.commit().await?;
    let api = &installation.api;
    assert_eq!(credentials::use_sequence(api, first.credential_id, 1).await?, Sequence::Revoked);
    assert_eq!(credentials::use_sequence(api, second.credential_id, 1).await?, Sequence::Accepted(TenantState::Active));
    let mut tx = api.platform().await?;
    let found = credentials::find(&mut tx, second.credential_id).await?.unwrap();
    assert_eq!(found.tenant, tenant);
    assert_eq!(credentials::revoke_tenant(&mut tx, tenant.id, "offboarded").await?, 1);
    tx.commit().await?;
    assert_eq!(credentials::use_sequence(api, second.credential_id, 2).await?, Sequence::Revoked);
    Ok(())
}

#[tokio::test]
async fn using_a_number_is_one_statement_without_a_transaction_around_it() -> anyhow::Result<()> {
    let installation = Installation::start().await?;
    let tenant = installation.row("acme").await?;
    let new = credential(tenant.id, 0);
    let mut tx = installation.api.platform().await?;
    credentials::replace(&mut tx, &new).await?;
    tx.commit().await?;
    installation.admin("CREATE EXTENSION IF NOT EXISTS pg_stat_statements").await?;
    installation.admin("SELECT pg_stat_statements_reset()").await?;
    for number in 1..=20 {
        let said = credentials::use_sequence(&installation.api, new.credential_id, number).await?;
        assert_eq!(said, Sequence::Accepted(TenantState::Active));
    }
    let sent = "SELECT sum(calls)::bigint FROM pg_stat_statements s JOIN pg_roles r ON r.oid = s.userid
        WHERE r.rolname = 'tenantra_api'";
    assert_eq!(installation.number(sent).await?, 20, "no BEGIN, no COMMIT");
    // It is kept although nobody committed it.
    assert_eq!(credentials::use_sequence(&installation.api, new.credential_id, 20).await?, Sequence::Replayed);
    assert_eq!(installation.number(sent).await?, 22, "the refusal took a second one");
    Ok(())
}

#[tokio::test]
async fn a_caller_that_is_cancelled_half_way_leaves_the_number_used_or_unused_and_the_pool_whole() -> anyhow::Result<()>
{
    let installation = Installation::with_pool(4).await?;
    let tenant = installation.row("acme").await?;
    let new = credential(tenant.id, 0);
    let mut tx = installation.api.platform().await?;
    credentials::replace(&mut tx, &new).await?;
    tx.commit().await?;
    for number in 1..=200_u64 {
        let limit = std::time::Duration::from_micros(number * 17 % 1_500);
        let _ =
            tokio::time::timeout(limit, credentials::use_sequence(&installation.api, new.credential_id, number)).await;
    }
    // Whatever became of each: of two more uses one is accepted at most, and every connection still serves.
    for number in 1..=200 {
        let mut accepted = 0;
        for _ in 0..2 {
            let said = credentials::use_sequence(&installation.api, new.credential_id, number).await?;
            accepted += usize::from(said == Sequence::Accepted(TenantState::Active));
        }
        assert!(accepted < 2, "{number}");
    }
    let used =
        installation.number("SELECT length(replace(window_bits::text, '0', ''))::bigint FROM shared.agent_credentials");
    assert_eq!(used.await?, 201, "each number and the one before the first");
    Ok(())
}

#[tokio::test]
async fn an_enrolment_token_is_used_as_often_as_it_says() -> anyhow::Result<()> {
    let installation = Installation::start().await?;
    let tenant = installation.row("acme").await?;
    let new = enrollment::NewToken {
        tenant_id: tenant.id,
        token_hash: [9; 32],
        name: "web servers".to_owned(),
        labels: BTreeMap::from([("role".to_owned(), "web".to_owned())]),
        max_uses: 3,
        expires_at: Utc::now() + TimeDelta::hours(1),
        created_by: "ada".to_owned(),
    };
    let mut tx = installation.api.platform().await?;
    let token = enrollment::create(&mut tx, &new).await?;
    let expired =
        enrollment::NewToken { token_hash: [8; 32], expires_at: Utc::now() - TimeDelta::hours(1), ..new.clone() };
    enrollment::create(&mut tx, &expired).await?;
    tx.commit().await?;
    let used: Vec<anyhow::Result<bool>> = futures::stream::iter(0..10)
        .map(|_| async {
            let mut tx = installation.api.platform().await?;
            let used = enrollment::consume(&mut tx, &[9; 32]).await?;
            tx.commit().await?;
            Ok(used.is_some_and(|used| used.labels["role"] == "web" && used.is_served))
        })
        .buffer_unordered(5)
        .collect()
        .await;
    assert_eq!(used.into_iter().filter(|used| matches!(used, Ok(true))).count(), 3);
    let mut tx = installation.api.platform().await?;
    assert_eq!(enrollment::consume(&mut tx, &[8; 32]).await?, None, "expired");
    assert_eq!(enrollment::list(&mut tx, tenant.id, Page::default()).await?.total, 2);
    enrollment::revoke(&mut tx, tenant.id, token.token_id).await?;
    assert!(enrollment::revoke(&mut tx, Uuid::now_v7(), token.token_id).await.is_err(), "not another tenant's");
    Ok(())
}

#[tokio::test]
async fn an_enrolment_token_does_not_continue_a_node_of_the_cluster() -> anyhow::Result<()> {
    let installation = Installation::start().await?;
    let tenant = installation.tenant("acme").await?;
    let enroll = async |identity: &str, source| -> store::Result<agents::Enrolled> {
        let mut tx = installation.api.tenant::<Write>(&tenant).await?;
        let enrollment = agents::Enrollment {
            identity: identity.to_owned(),
            hostname: format!("{source:?}"),
            os: catalog::wire::OsInfo {
                name: "Debian GNU/Linux 12".into(),
                version: "12".into(),
                id: "debian".into(),
                arch: "x86_64".into(),
                kernel: "6.1".into(),
            },
            agent_version: "0.1.0".to_owned(),
            labels: BTreeMap::new(),
            source,
        };
        let enrolled = agents::enroll(&mut tx, &enrollment).await?;
        tx.commit().await?;
        Ok(enrolled)
    };
    let node = enroll("cloud:i-1", agents::Source::ServiceAccount).await?;
    let refused = enroll("cloud:i-1", agents::Source::EnrollmentToken).await;
    assert!(matches!(refused, Err(Error::NodeOfCluster)), "{refused:?}");
    let mut tx = installation.api.tenant::<Write>(&tenant).await?;
    let kept = agents::get(&mut tx, node.agent_id).await?.unwrap();
    assert_eq!((kept.source.as_str(), kept.asset_name.as_str()), ("service_account", "ServiceAccount"));
    tx.rollback().await?;
    assert_eq!(enroll("cloud:i-1", agents::Source::ServiceAccount).await?.agent_id, node.agent_id);
    // Once the node's agent was removed, the host may come back as any other.
    let mut tx = installation.api.tenant::<Write>(&tenant).await?;
    agents::revoke(&mut tx, node.agent_id).await?;
    tx.commit().await?;
    assert_eq!(enroll("cloud:i-1", agents::Source::EnrollmentToken).await?.asset_id, node.asset_id);
    assert!(enroll("cloud:i-2", agents::Source::EnrollmentToken).await?.is_new);
    Ok(())
}
