//! Reads the catalog for a caller, and moves versions for the platform's administrator. Each move is audited, and this
//! replica knows it at once; the others hear of it within seconds.

use catalog::{import, lifecycle::State, load::Controls, module::Module};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use store::{PlatformTx, audit, modules, modules::VersionRow};
use uuid::Uuid;

use crate::{
    agents::modules::Snapshot,
    error::{Error, Result},
    modules::{
        reader::Reader,
        view::{ModuleDetail, ModuleView, VersionView},
    },
    state::App,
    tenants::plan,
};

/// Which modules are wanted.
#[derive(Debug, Default)]
pub struct Filter {
    /// Of this category.
    pub category: Option<String>,
    /// With a version in this state; else with one that may run.
    pub state: Option<State>,
    /// Those that the tenant may use, or may not.
    pub enabled: Option<bool>,
    /// Contained in slug or title.
    pub q: Option<String>,
}

/// The modules that fit, by slug.
///
/// # Errors
/// The database does not answer, or the catalog was not read yet.
pub async fn list(app: &App, reader: &Reader, filter: &Filter) -> Result<Vec<ModuleView>> {
    let snapshot = app.modules.snapshot()?;
    let mut tx = app.db.platform().await?;
    let rows = modules::versions(&mut tx, None).await?;
    tx.rollback().await?;
    let wanted = filter.q.as_deref().unwrap_or_default().to_lowercase();
    let chosen =
        rows.chunk_by(|a, b| a.module == b.module).filter_map(|versions| shown(versions, reader, filter.state));
    Ok(chosen
        .filter(|row| filter.category.as_ref().is_none_or(|category| row.category == *category))
        .filter(|row| row.module.contains(&wanted) || row.title.to_lowercase().contains(&wanted))
        .map(|row| ModuleView::of(row, is_enabled(&snapshot, reader, &row.module)))
        .filter(|view| filter.enabled.is_none_or(|enabled| view.enabled == Some(enabled)))
        .collect())
}

/// Of one module's versions, oldest first, the one that stands for it: the newest released one, else the newest that the
/// caller sees and that may run, or is in the state asked for.
fn shown<'a>(versions: &'a [VersionRow], reader: &Reader, state: Option<State>) -> Option<&'a VersionRow> {
    let now = Utc::now();
    let visible = || versions.iter().rev().filter(move |row| reader.sees(row.state));
    match state {
        Some(state) => visible().find(|row| row.state == state),
        None => {
            visible().find(|row| row.state == State::Released).or_else(|| visible().find(|row| row.is_schedulable(now)))
        }
    }
}

fn is_enabled(snapshot: &Snapshot, reader: &Reader, slug: &str) -> Option<bool> {
    let scope = reader.scope.as_ref()?;
    Some(snapshot.newest(slug).is_some_and(|module| plan::is_module_enabled(&scope.resource.spec, module)))
}

/// One module in full, by its version that stands for it; a retired one is still readable.
///
/// # Errors
/// There is none that the caller may see.
pub async fn get(app: &App, reader: &Reader, slug: &str) -> Result<ModuleDetail> {
    let snapshot = app.modules.snapshot()?;
    let mut tx = app.db.platform().await?;
    let rows = modules::versions(&mut tx, Some(slug)).await?;
    let row = shown(&rows, reader, None).or_else(|| rows.iter().rev().find(|row| reader.sees(row.state)));
    let row = row.ok_or(Error::NotFound("module"))?;
    let document = modules::document(&mut tx, slug, &row.version.to_string()).await?;
    tx.rollback().await?;
    let document = document.ok_or(Error::NotFound("module"))?;
    let module: Module = serde_json::from_value(document).map_err(Error::internal)?;
    Ok(ModuleDetail::of(ModuleView::of(row, is_enabled(&snapshot, reader, slug)), module))
}

/// The versions of a module that the caller sees, newest first.
///
/// # Errors
/// There is none.
pub async fn versions(app: &App, reader: &Reader, slug: &str) -> Result<Vec<VersionView>> {
    let mut tx = app.db.platform().await?;
    let rows = modules::versions(&mut tx, Some(slug)).await?;
    tx.rollback().await?;
    let visible: Vec<VersionView> =
        rows.into_iter().rev().filter(|row| reader.sees(row.state)).map(VersionView::from).collect();
    if visible.is_empty() { Err(Error::NotFound("module")) } else { Ok(visible) }
}

/// Stores a draft, new or with other content; says whether it is new.
///
/// # Errors
/// The document has problems, each named with its field, or the version is released with another content.
pub async fn put_draft(app: &App, document: String, actor: Uuid) -> Result<(VersionView, bool)> {
    let mut tx = app.db.platform().await?;
    let controls: Controls = store::frameworks::controls(&mut tx).await?;
    // Up to a megabyte of YAML and JSON Schema is read: not on a thread that serves others.
    let entry = tokio::task::spawn_blocking(move || import::submitted("document", document.as_bytes(), &controls))
        .await
        .map_err(Error::internal)?
        .map_err(|problems| Error::field("document", problems.to_string()))?;
    let (slug, version) = (entry.module.slug.clone(), entry.module.version.to_string());
    let is_new = modules::versions(&mut tx, Some(&slug)).await?.iter().all(|row| row.version != entry.module.version);
    modules::put_draft(&mut tx, &entry).await?;
    note(&mut tx, actor, "module.draft_stored", &slug, &version, json!({ "checksum": entry.checksum })).await?;
    let row = modules::version(&mut tx, &slug, &version).await?;
    tx.commit().await?;
    Ok((row.into(), is_new))
}

/// A move of a version that the platform's administrator asks for.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// Draft to qa, qa to released.
    Promote,
    /// Released to deprecated, until then.
    Deprecate(DateTime<Utc>),
    /// Deprecated to retired, before its sunset.
    Retire,
}

/// Moves a version.
///
/// # Errors
/// There is no such version, its state does not allow the step, or its quality gates are not on record.
pub async fn step(app: &App, slug: &str, version: &str, step: Step, actor: Uuid) -> Result<VersionView> {
    let mut tx = app.db.platform().await?;
    let by = format!("user:{actor}");
    let (action, also) = match step {
        Step::Promote => {
            let changes = modules::promote(&mut tx, slug, version, app.config.succession(), &by).await?;
            let also: Vec<Value> =
                changes[1..].iter().map(|change| json!({ "version": change.version, "state": change.state })).collect();
            ("module.promoted", also)
        }
        Step::Deprecate(sunset_at) => {
            modules::deprecate(&mut tx, slug, version, sunset_at, &by).await?;
            ("module.deprecated", Vec::new())
        }
        Step::Retire => {
            modules::retire(&mut tx, slug, version, &by).await?;
            ("module.retired", Vec::new())
        }
    };
    let row = modules::version(&mut tx, slug, version).await?;
    let details = json!({ "state": row.state, "sunset_at": row.sunset_at, "also": also });
    note(&mut tx, actor, action, slug, version, details).await?;
    tx.commit().await?;
    app.modules.refresh(&app.db).await?;
    Ok(row.into())
}

/// Writes a step of a version into the platform's audit log.
pub(super) async fn note(
    tx: &mut PlatformTx,
    actor: Uuid,
    action: &str,
    slug: &str,
    version: &str,
    details: Value,
) -> Result<()> {
    let entry = audit::Entry {
        actor: format!("user:{actor}"),
        action: action.to_owned(),
        subject: format!("{slug}@{version}"),
        details,
    };
    Ok(audit::write_platform(tx, None, &entry).await?)
}
