//! Step 7: removing what is left of an offboarded tenant. Driven from its row, because the object is long gone; everything
//! only where it carries the UUID, and only with two approvals by two people.

use std::time::Duration;

use serde_json::json;
use store::tenants::TenantRow;
use tokio::time::{sleep, timeout};

use crate::provision::{Error, LIST, Stage};
use crate::runtime::gate::System;
use crate::tenant::{Context, observe};
use crds::names::OPERATOR;

/// How often due rows are looked for: one statement for all tenants.
const PERIOD: Duration = Duration::from_secs(10);

/// Purges what is due, for as long as the program leads.
pub async fn run(ctx: &Context) {
    loop {
        match due(ctx).await {
            Ok(rows) => {
                for row in rows {
                    if let Err(error) = purge(ctx, &row).await {
                        tracing::warn!(tenant = %row.tenant.slug, %error, "a purge did not finish; it goes on later");
                    }
                }
            }
            Err(error) => tracing::debug!(%error, "the rows that are due for a purge could not be read"),
        }
        sleep(PERIOD).await;
    }
}

async fn due(ctx: &Context) -> Result<Vec<TenantRow>, Error> {
    let work = async {
        let mut tx = ctx.registry.db().begin().await?;
        let rows = store::tenants::due_for_purge(&mut tx).await?;
        tx.rollback().await?;
        Ok(rows)
    };
    observe::bounded(ctx.lanes.gate(System::Postgres), work).await
}

/// Whether two different people approved.
pub fn is_approved(row: &TenantRow) -> bool {
    match (row.approvals.get("ciso"), row.approvals.get("compliance")) {
        (Some(ciso), Some(compliance)) => !ciso.by.is_empty() && !compliance.by.is_empty() && ciso.by != compliance.by,
        _ => false,
    }
}

/// The row under a lock and this leader's epoch, right before the first removal: it may have been adopted since it was
/// listed.
async fn begin(ctx: &Context, row: &TenantRow) -> Result<Option<TenantRow>, Error> {
    let mut tx = ctx.registry.db().begin_fenced(ctx.systems.lead.permit(System::Postgres.limit())?).await?;
    let row = store::tenants::begin_purge(&mut tx, row.tenant.id).await?.filter(is_approved);
    match row {
        Some(_) => tx.commit().await?,
        None => tx.rollback().await?,
    }
    Ok(row)
}

async fn purge(ctx: &Context, row: &TenantRow) -> Result<(), Error> {
    if !is_approved(row) {
        return Ok(());
    }
    let gate = ctx.lanes.gate(System::Postgres);
    let Some(row) = &observe::bounded(gate, begin(ctx, row)).await? else { return Ok(()) };
    // What was read before is not what is there now; the next pass over the slug asks Postgres.
    ctx.registry.forget(row.tenant.slug.as_str());
    // The schema and role last of all but the row: until then the row says that there is work left.
    for entry in LIST.iter().rev().filter(|entry| ctx.has(entry)) {
        let done = timeout(entry.system.limit(), (entry.remove)(&ctx.systems, &row.tenant, Stage::Purge)).await;
        done.unwrap_or(Err(Error::TimedOut { system: entry.system }))?;
    }
    let work = async {
        let mut tx = ctx.registry.db().begin_fenced(ctx.systems.lead.permit(System::Postgres.limit())?).await?;
        store::tenants::purge(&mut tx, row.tenant.id).await?;
        let approvals = row.approvals.iter().map(|(role, approval)| (role.clone(), approval.by.clone()));
        let details =
            json!({ "tenant": row.tenant.slug, "approvals": approvals.collect::<std::collections::BTreeMap<_, _>>() });
        observe::audit_in(&mut tx, OPERATOR, &row.tenant, "offboard.purged", details).await?;
        tx.commit().await?;
        Ok(())
    };
    observe::bounded(gate, work).await?;
    ctx.registry.forget(row.tenant.slug.as_str());
    tracing::warn!(tenant = %row.tenant.slug, tenant_id = %row.tenant.id, "purged");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;
    use store::tenants::{Approval, TenantState};
    use store::{Slug, TenantRef};
    use uuid::Uuid;

    fn row(approvals: &[(&str, &str)]) -> TenantRow {
        let at = DateTime::UNIX_EPOCH;
        TenantRow {
            tenant: TenantRef { slug: Slug::parse("acme").unwrap(), id: Uuid::nil() },
            state: TenantState::Offboarded,
            step: String::new(),
            purge_after: Some(at),
            approvals: approvals
                .iter()
                .map(|(role, by)| ((*role).to_owned(), Approval { by: (*by).to_owned(), at }))
                .collect(),
            created_at: at,
            updated_at: at,
        }
    }

    #[test]
    fn two_people_have_to_approve() {
        let cases: [(&[(&str, &str)], bool); 5] = [
            (&[], false),
            (&[("ciso", "ada")], false),
            (&[("ciso", "ada"), ("compliance", "ada")], false),
            (&[("ciso", ""), ("compliance", "bob")], false),
            (&[("ciso", "ada"), ("compliance", "bob")], true),
        ];
        for (approvals, expected) in cases {
            assert_eq!(is_approved(&row(approvals)), expected, "{approvals:?}");
        }
    }
}
