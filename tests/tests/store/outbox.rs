//! The outbox on a real Postgres: at least once, in order for each aggregate whoever works, fair to tenants, and nothing
//! that fails holds up anything else for good.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use store::outbox::{self, Claim, MAX_ATTEMPTS, NewEvent, Outcome, Settled, Terms, Turn};
use store::{Db, Page, TenantRef, Write, rollups};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::installation::Installation;

fn event(aggregate: u128, number: u64) -> NewEvent {
    NewEvent {
        kind: "x".to_owned(),
        aggregate_id: Uuid::from_u128(aggregate),
        subject_id: None,
        payload: json!({ "n": number }),
    }
}

async fn leave(db: &Db, tenant: &TenantRef, events: &[NewEvent]) -> store::Result<()> {
    let mut tx = db.tenant::<Write>(tenant).await?;
    outbox::append(&mut tx, events).await?;
    tx.commit().await
}

async fn claim_with(db: &Db, turn: &mut Turn, terms: &Terms) -> store::Result<Claim> {
    let mut tx = db.platform().await?;
    let claim = outbox::claim(&mut tx, turn, terms).await?;
    tx.commit().await?;
    Ok(claim)
}

async fn claim(db: &Db) -> store::Result<Claim> {
    claim_with(db, &mut Turn::default(), &Terms::default()).await
}

async fn settle(db: &Db, claim: &Claim, became: impl FnMut(&outbox::Event) -> Outcome) -> store::Result<Settled> {
    let mut tx = db.platform().await?;
    let settled = outbox::settle(&mut tx, claim, &claim.outcomes(became)).await?;
    tx.commit().await?;
    Ok(settled)
}

fn numbers(claim: &Claim) -> Vec<u64> {
    claim.events.iter().map(|event| event.payload["n"].as_u64().unwrap()).collect()
}

/// Every lease is over and every wait is, too.
async fn later(installation: &Installation) -> anyhow::Result<()> {
    installation.admin("UPDATE shared.outbox SET not_before = now()").await?;
    installation.admin("UPDATE shared.outbox SET leased_until = now() WHERE lease IS NOT NULL").await
}

#[tokio::test]
async fn events_are_one_workers_until_they_are_settled_and_come_back_in_order_when_one_failed() -> anyhow::Result<()> {
    let installation = Installation::start().await?;
    let tenant = installation.tenant("alpha").await?;
    let db = &installation.api;
    leave(db, &tenant, &[event(1, 1), event(1, 2), event(1, 3), event(2, 4)]).await?;
    let first = claim(db).await?;
    assert_eq!((first.events.len(), first.buried, first.has_more), (4, 0, false));
    assert!(first.events.iter().all(|event| event.tenant == tenant && event.attempts == 1));
    let of_one = first.events.iter().filter(|event| event.aggregate_id == Uuid::from_u128(1));
    assert_eq!(of_one.map(|event| event.payload["n"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2, 3]);
    // A new event of an aggregate that is worked on waits, one of another does not.
    leave(db, &tenant, &[event(1, 5), event(3, 6)]).await?;
    let second = claim(db).await?;
    assert_eq!(numbers(&second), [6]);
    assert_eq!(settle(db, &second, |_| Outcome::Done).await?, Settled { events: 1, dead: 0 });
    let failing = |event: &outbox::Event| match event.payload["n"].as_u64() {
        Some(2) => Outcome::Failed("no\0pe".to_owned()),
        _ => Outcome::Done,
    };
    assert_eq!(settle(db, &first, failing).await?, Settled { events: 4, dead: 0 });
    assert!(claim(db).await?.events.is_empty(), "what failed waits, and what is behind it as well");
    later(&installation).await?;
    let third = claim(db).await?;
    assert_eq!(numbers(&third), [2], "one that was tried before is taken alone");
    assert_eq!(third.events[0].attempts, 2);
    settle(db, &third, |_| Outcome::Done).await?;
    let fourth = claim(db).await?;
    assert_eq!(numbers(&fourth), [3, 5]);
    assert!(fourth.events.iter().all(|event| event.attempts == 1), "untouched events keep their attempts");
    settle(db, &fourth, |_| Outcome::Done).await?;
    assert_eq!(installation.number("SELECT count(*) FROM shared.outbox WHERE done_at IS NULL").await?, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_workers_at_once_never_reorder_an_aggregate_and_lose_or_double_nothing() -> anyhow::Result<()> {
    const AGGREGATES: u128 = 12;
    const EVENTS: u64 = 60;
    let installation = Installation::with_pool(16).await?;
    let tenants = [installation.tenant("alpha").await?, installation.tenant("bravo").await?];
    let log = Arc::new(Mutex::new(HashMap::<(Uuid, Uuid), Vec<u64>>::new()));
    let mut work = JoinSet::new();
    for tenant in &tenants {
        let (db, tenant) = (installation.api.clone(), tenant.clone());
        // Each aggregate has one writer at a time, as a row's lock would have it.
        work.spawn(async move {
            for number in 0..EVENTS {
                let events: Vec<NewEvent> = (0..AGGREGATES).map(|aggregate| event(aggregate, number)).collect();
                leave(&db, &tenant, &events).await?;
            }
            anyhow::Ok(())
        });
    }
    let total = usize::try_from(EVENTS)? * usize::try_from(AGGREGATES)? * tenants.len();
    let terms = Terms { aggregates: 5, aggregates_of_tenant: 3, events_of_aggregate: 4, ..Terms::default() };
    for worker in 0..5_u64 {
        let (db, log) = (installation.api.clone(), Arc::clone(&log));
        work.spawn(async move {
            let mut turn = Turn::default();
            loop {
                let claim = claim_with(&db, &mut turn, &terms).await?;
                if claim.events.is_empty() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                for event in &claim.events {
                    tokio::time::sleep(Duration::from_micros(200 * worker)).await;
                    let number = event.payload["n"].as_u64().unwrap();
                    log.lock().await.entry((event.tenant.id, event.aggregate_id)).or_default().push(number);
                }
                settle(&db, &claim, |_| Outcome::Done).await?;
                if log.lock().await.values().map(Vec::len).sum::<usize>() >= total {
                    return anyhow::Ok(());
                }
            }
        });
    }
    let all = async {
        while let Some(done) = work.join_next().await {
            done??;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(Duration::from_mins(2), all).await??;
    let log = log.lock().await;
    assert_eq!(log.len(), tenants.len() * usize::try_from(AGGREGATES)?);
    for (aggregate, numbers) in &*log {
        assert_eq!(*numbers, (0..EVENTS).collect::<Vec<_>>(), "{aggregate:?}");
    }
    assert_eq!(installation.number("SELECT count(*) FROM shared.outbox WHERE done_at IS NULL").await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_worker_that_is_lost_after_its_effect_repeats_it_and_cannot_settle_any_more() -> anyhow::Result<()> {
    let installation = Installation::start().await?;
    let tenant = installation.tenant("alpha").await?;
    let db = &installation.api;
    leave(db, &tenant, &[event(1, 1), event(1, 2)]).await?;
    let lost = claim(db).await?;
    let measured = rollups::refresh(db, &tenant).await?;
    // Killed here: nothing is marked. Its time runs out.
    assert!(claim(db).await?.events.is_empty());
    later(&installation).await?;
    let again = claim(db).await?;
    assert_eq!(numbers(&again), [1], "alone, since nobody knows whether it was what ended the worker");
    assert_eq!(again.events[0].attempts, 2);
    assert!(again.has_more, "and what is behind it waits for nothing else");
    assert_eq!(rollups::refresh(db, &tenant).await?, measured, "the effect is the same however often it comes");
    let late = settle(db, &lost, |_| Outcome::Failed("late".to_owned())).await?;
    assert_eq!(late.events, 1, "the one that nobody else holds");
    assert_eq!(settle(db, &again, |_| Outcome::Done).await?.events, 1);
    later(&installation).await?;
    assert_eq!(numbers(&claim(db).await?), [2]);
    Ok(())
}

#[tokio::test]
async fn a_poisoned_event_holds_up_nobody_else_and_ends_as_a_dead_letter_that_can_be_tried_again() -> anyhow::Result<()>
{
    let installation = Installation::start().await?;
    let tenant = installation.tenant("alpha").await?;
    let db = &installation.api;
    leave(db, &tenant, &[event(1, 1), event(1, 2), event(2, 3)]).await?;
    let poisoned = |event: &outbox::Event| match event.payload["n"].as_u64() {
        Some(1) => Outcome::Failed("poison".to_owned()),
        _ => Outcome::Done,
    };
    let mut seen = Vec::new();
    for attempt in 1..=MAX_ATTEMPTS {
        let some = claim(db).await?;
        seen.push(numbers(&some));
        let settled = settle(db, &some, poisoned).await?;
        assert_eq!(settled.dead, u64::from(attempt == MAX_ATTEMPTS), "{attempt}");
        later(&installation).await?;
    }
    assert!(seen[0].contains(&3), "the other aggregate went on at once");
    assert!(seen[1..].iter().all(|numbers| *numbers == [1]), "{seen:?}");
    let behind = claim(db).await?;
    assert_eq!(numbers(&behind), [2], "what was behind it goes on");
    settle(db, &behind, |_| Outcome::Done).await?;

    let mut tx = db.platform().await?;
    let letters = outbox::dead(&mut tx, Page::default()).await?;
    assert_eq!((letters.total, letters.items.len()), (1, 1));
    let letter = &letters.items[0];
    assert_eq!((letter.error.as_str(), letter.event.attempts, &letter.event.tenant), ("poison", MAX_ATTEMPTS, &tenant));
    assert_eq!(outbox::dead(&mut tx, Page::new(2, 10)).await?.total, 1, "also on a page that is empty");
    assert!(outbox::revive(&mut tx, Uuid::now_v7()).await.is_err());
    assert_eq!(outbox::revive(&mut tx, letter.event.event_id).await?, tenant);
    assert!(outbox::revive(&mut tx, letter.event.event_id).await.is_err(), "it is not dead any more");
    tx.commit().await?;
    let revived = claim(db).await?;
    assert_eq!((numbers(&revived), revived.events[0].attempts), (vec![1], 1));
    settle(db, &revived, |_| Outcome::Done).await?;

    // One that ends its worker each time is never settled by anybody, and dies all the same.
    leave(db, &tenant, &[event(1, 7), event(1, 8)]).await?;
    for _ in 0..MAX_ATTEMPTS {
        assert_eq!(numbers(&claim(db).await?)[0], 7);
        later(&installation).await?;
    }
    let burial = claim(db).await?;
    assert_eq!((burial.events.len(), burial.buried), (0, 1));
    assert_eq!(numbers(&claim(db).await?), [8]);
    Ok(())
}

#[tokio::test]
async fn an_event_that_is_committed_late_is_not_skipped() -> anyhow::Result<()> {
    let installation = Installation::start().await?;
    let tenant = installation.tenant("alpha").await?;
    let db = &installation.api;
    let mut slow = db.tenant::<Write>(&tenant).await?;
    outbox::append(&mut slow, &[event(1, 1), event(2, 2)]).await?;
    leave(db, &tenant, &[event(1, 3), event(3, 4)]).await?;
    let early = claim(db).await?;
    let mut got = numbers(&early);
    got.sort_unstable();
    assert_eq!(got, [3, 4]);
    slow.commit().await?;
    // While a later event of its aggregate is worked on, it waits too: two are never worked on at once.
    let beside = claim(db).await?;
    assert_eq!(numbers(&beside), [2]);
    settle(db, &early, |_| Outcome::Done).await?;
    assert_eq!(numbers(&claim(db).await?), [1]);
    Ok(())
}

#[tokio::test]
async fn a_tenant_with_a_hundred_thousand_events_does_not_stand_before_the_others() -> anyhow::Result<()> {
    let installation = Installation::start().await?;
    let names = ["bravo", "charlie", "delta"];
    installation.tenant("alpha").await?;
    for slug in names {
        installation.tenant(slug).await?;
    }
    // Half of it of many aggregates, half of a single one; much of it fails and waits.
    installation
        .admin(
            "INSERT INTO shared.outbox (event_id, tenant_role, kind, aggregate_id, not_before, payload)
             SELECT gen_random_uuid(), 'tenant_alpha', 'x',
                 ('00000000-0000-0000-0000-' || lpad((CASE WHEN n % 2 = 0 THEN 0 ELSE n END)::text, 12, '0'))::uuid,
                 CASE WHEN n % 4 = 1 THEN now() + interval '1 hour' ELSE now() END, jsonb_build_object('n', n)
             FROM generate_series(1, 100000) n",
        )
        .await?;
    for slug in names {
        installation
            .admin(&format!(
                "INSERT INTO shared.outbox (event_id, tenant_role, kind, payload)
                 SELECT gen_random_uuid(), 'tenant_{slug}', 'x', jsonb_build_object('n', n) FROM generate_series(1, 3) n"
            ))
            .await?;
    }
    let db = &installation.api;
    let mut turn = Turn::default();
    let mut of_others = 0;
    let small = Terms { aggregates: 20, aggregates_of_tenant: 8, ..Terms::default() };
    for _ in 0..2 {
        let some = claim_with(db, &mut turn, &small).await?;
        of_others += some.events.iter().filter(|event| event.tenant.slug.as_str() != "alpha").count();
        assert!(some.has_more);
        settle(db, &some, |_| Outcome::Done).await?;
    }
    assert_eq!(of_others, 9, "all of the others' in two rounds");
    let mut tx = db.platform().await?;
    let backlog = outbox::backlog(&mut tx, 1_000).await?;
    assert_eq!(backlog.iter().map(|(_, count)| *count).collect::<Vec<_>>(), [1_000], "counted up to the bound");
    Ok(())
}

#[tokio::test]
async fn a_claim_and_its_end_take_three_statements_however_much_there_is() -> anyhow::Result<()> {
    let installation = Installation::start().await?;
    let tenant = installation.tenant("alpha").await?;
    let db = &installation.api;
    installation.admin("CREATE EXTENSION IF NOT EXISTS pg_stat_statements").await?;
    for count in [1, 100] {
        let events: Vec<NewEvent> = (0..count).map(|number| event(u128::from(number), number)).collect();
        leave(db, &tenant, &events).await?;
        installation.admin("SELECT pg_stat_statements_reset()").await?;
        let some = claim(db).await?;
        assert_eq!(some.events.len(), usize::try_from(count)?);
        settle(db, &some, |_| Outcome::Done).await?;
        let sent = "SELECT sum(calls)::bigint FROM pg_stat_statements s JOIN pg_roles r ON r.oid = s.userid
            WHERE r.rolname = 'tenantra_api' AND query ILIKE '%shared.outbox%'";
        assert_eq!(installation.number(sent).await?, 3, "{count}");
    }
    installation
        .admin("UPDATE shared.outbox SET done_at = now() - interval '2 days' WHERE payload ->> 'n' = '0'")
        .await?;
    let mut tx = db.platform().await?;
    assert_eq!(outbox::sweep(&mut tx).await?, 2, "a day after they were done");
    tx.commit().await?;
    Ok(())
}
