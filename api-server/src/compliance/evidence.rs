//! `/v1/compliance/frameworks/{id}/controls/{control}/evidence`: the rows that make a control fail, whether waived or not.

use axum::Json as Answer;
use store::findings;

use crate::{
    auth::{Allow, permission::ReadResults},
    compliance::{Scored, frameworks::ControlPath},
    error::Result,
    http::{
        page::{List, Listing, Part},
        query::Path,
    },
    results::findings::{FindingView, view},
};

/// Lists the open findings of the checks that are mapped to a control, check by check.
#[utoipa::path(
    get, path = "/compliance/frameworks/{id}/controls/{control}/evidence", tag = "compliance",
    params(("id" = String, Path), ("control" = String, Path), Part),
    responses((status = 200, body = Listing<FindingView>))
)]
pub async fn list(
    _: Allow<ReadResults>,
    Path(ControlPath { id, control }): Path<ControlPath>,
    part: Part,
    mut tenant: Scored,
) -> Result<Answer<Listing<FindingView>>> {
    let list = List::new(tenant.tx.tenant(), "evidence", &(&id, &control));
    let rows = findings::of_control(&mut tenant.tx, &id, &control, &part.start(&list)?).await?;
    tenant.tx.rollback().await?;
    Ok(Answer(part.of(&list, rows, view)?))
}
