//! `tenantra audit`: whether the audit logs are what they were, and the public keys that prove it elsewhere.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use comfy_table::Cell;
use serde::Serialize;
use store::audit_chain::{self, Trust, Verified};
use store::audit_sign::{self, Keys, PublicKeys};
use store::{OwnerDb, Slug, TenantRef, tenants};
use uuid::Uuid;

use crate::db::postgres::Address;
use crate::outcome::{Error, Outcome};
use crate::output::{Format, bad, good, grid, or_none, rendered};

const HELP: &str = "\
Every row holds the hash of the row before it; checkpoints outside of the tenant's schema say what the chain was at a time,
and where the installation has OpenBao they are signed with a key of the tenant that never leaves it. A row that was changed,
taken out, put in or moved, a log cut at its front or its end, a chain that was made anew, and a checkpoint that was changed
are found, and the first such row or checkpoint is named. Rows of the last second or two wait for their place and are counted.

Signatures are held against the public keys in the database, unless --public-key names ones that were kept elsewhere: those
also hold against somebody who can write in the database. `tenantra audit key -o json` and GET /v1/audit/key export them.

Environment:
  TENA_DB_OWNER_URL       postgres://tenantra_owner:password@host:5432/tenantra
  TENA_DB_OWNER_URL_FILE  a file that holds it";
/// The largest file of public keys: some ten thousand tenants.
const MAX_KEY_FILE: u64 = 4 * 1024 * 1024;

/// `tenantra audit`.
#[derive(Debug, Subcommand)]
pub enum Audit {
    /// Check the chain of audit logs; ends with status 1 if one is broken
    #[command(after_help = HELP)]
    Verify(Verify),
    /// Show the public keys of audit checkpoints, to be kept where nobody can change them
    #[command(after_help = HELP)]
    Key(Key),
}

/// `tenantra audit verify`.
#[derive(Debug, Args)]
pub struct Verify {
    /// Tenants by slug; every tenant if none is given
    #[arg(value_name = "TENANT", value_parser = slug)]
    tenants: Vec<Slug>,
    /// Public keys that were exported before (JSON); can be given several times
    #[arg(long, value_name = "FILE")]
    public_key: Vec<PathBuf>,
}

/// `tenantra audit key`.
#[derive(Debug, Args)]
pub struct Key {
    /// Tenants by slug; every tenant if none is given
    #[arg(value_name = "TENANT", value_parser = slug)]
    tenants: Vec<Slug>,
}

fn slug(value: &str) -> Result<Slug, String> {
    Slug::parse(value).map_err(|error| error.to_string())
}

/// What signatures were held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum KeySource {
    /// A file of `--public-key`.
    Given,
    /// The database.
    Stored,
}

#[derive(Debug, Serialize)]
struct Line {
    tenant: Slug,
    public_keys: KeySource,
    #[serde(flatten)]
    verified: Verified,
}

/// Runs it.
pub async fn run(command: Audit, format: Format) -> Result<Outcome, Error> {
    match command {
        Audit::Verify(arguments) => verify(&arguments, format).await,
        Audit::Key(arguments) => export(&arguments, format).await,
    }
}

async fn verify(arguments: &Verify, format: Format) -> Result<Outcome, Error> {
    let given = given(&arguments.public_key)?;
    let address = Address::owner()?;
    let db = address.connect(2).await?;
    let verified = all(&db, &arguments.tenants, &given).await;
    db.close().await;
    let lines = verified.map_err(|error| address.explain(error))?;
    format.print(&lines, || text(&lines))?;
    let missing = missing(&arguments.tenants, lines.iter().map(|line| &line.tenant));
    Ok(Outcome::differs_if(missing || lines.iter().any(|line| line.verified.broken.is_some())))
}

/// Tells of tenants that were asked for and are not there.
fn missing<'a>(wanted: &[Slug], found: impl Iterator<Item = &'a Slug>) -> bool {
    let found: Vec<&Slug> = found.collect();
    let missing: Vec<&Slug> = wanted.iter().filter(|wanted| !found.contains(wanted)).collect();
    for slug in &missing {
        eprintln!("tenantra: there is no tenant {slug} with a schema; `tenantra db status` lists them");
    }
    !missing.is_empty()
}

async fn with_data(db: &OwnerDb, wanted: &[Slug]) -> store::Result<Vec<TenantRef>> {
    let mut tx = db.begin().await?;
    let rows = tenants::list(&mut tx).await?;
    tx.rollback().await?;
    let is_wanted = |tenant: &TenantRef| wanted.is_empty() || wanted.contains(&tenant.slug);
    let rows = rows.into_iter().filter(|row| row.state.has_data() && is_wanted(&row.tenant));
    Ok(rows.map(|row| row.tenant).collect())
}

async fn all(db: &OwnerDb, wanted: &[Slug], given: &HashMap<Uuid, Keys>) -> store::Result<Vec<Line>> {
    let mut lines = Vec::new();
    for tenant in with_data(db, wanted).await? {
        let (public_keys, trust) = match given.get(&tenant.id) {
            Some(keys) => (KeySource::Given, Trust::Keys(keys)),
            None => (KeySource::Stored, Trust::Stored),
        };
        let verified = audit_chain::verify_with(db, &tenant, trust).await?;
        lines.push(Line { tenant: tenant.slug, public_keys, verified });
    }
    Ok(lines)
}

/// The keys in files, by tenant. A file holds what one tenant's export gave, or a list of them.
fn given(files: &[PathBuf]) -> Result<HashMap<Uuid, Keys>, Error> {
    let mut given: HashMap<Uuid, Keys> = HashMap::new();
    for path in files {
        for of_tenant in read(path).map_err(|why| Error::Usage(format!("--public-key {}: {why}", path.display())))? {
            let keys =
                of_tenant.keys().map_err(|why| Error::Usage(format!("--public-key {}: {why}", path.display())))?;
            given.entry(of_tenant.tenant_id).or_default().extend(keys);
        }
    }
    Ok(given)
}

fn read(path: &Path) -> Result<Vec<PublicKeys>, String> {
    let mut text = String::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    file.take(MAX_KEY_FILE + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if text.len() as u64 > MAX_KEY_FILE {
        return Err(format!(
            "it has more than {MAX_KEY_FILE} bytes; give the file that `tenantra audit key -o json` wrote"
        ));
    }
    let is_list = text.trim_start().starts_with('[');
    let read = if is_list { serde_json::from_str(&text) } else { serde_json::from_str(&text).map(|one| vec![one]) };
    read.map_err(|error| format!("{error}; give the file that `tenantra audit key -o json` wrote"))
}

async fn export(arguments: &Key, format: Format) -> Result<Outcome, Error> {
    let address = Address::owner()?;
    let db = address.connect(2).await?;
    let found = exported(&db, &arguments.tenants).await;
    db.close().await;
    let keys = found.map_err(|error| address.explain(error))?;
    format.print(&keys, || {
        let mut table = grid(&["TENANT", "VERSION", "PUBLIC KEY"]);
        for of_tenant in &keys {
            for key in &of_tenant.keys {
                table.add_row(vec![Cell::new(&of_tenant.tenant), Cell::new(key.version), Cell::new(&key.public_key)]);
            }
        }
        rendered(&table)
    })?;
    Ok(Outcome::differs_if(missing(&arguments.tenants, keys.iter().map(|one| &one.tenant))))
}

async fn exported(db: &OwnerDb, wanted: &[Slug]) -> store::Result<Vec<PublicKeys>> {
    let mut exported = Vec::new();
    for tenant in with_data(db, wanted).await? {
        let mut tx = db.begin().await?;
        let keys = audit_sign::keys(&mut tx, tenant.id).await?;
        tx.rollback().await?;
        exported.push(PublicKeys::of(&tenant, &keys));
    }
    Ok(exported)
}

fn text(lines: &[Line]) -> String {
    let mut table =
        grid(&["TENANT", "CHAIN", "ROWS", "CUT", "LAST", "CHECKPOINTS", "SIGNED", "UNSIGNED", "WAITING", "PROBLEM"]);
    for Line { tenant, public_keys: _, verified } in lines {
        let problem = verified.broken.as_ref().map(|broken| broken.problem.clone()).unwrap_or_default();
        table.add_row(vec![
            Cell::new(tenant),
            if verified.broken.is_none() { good("whole") } else { bad("broken") },
            Cell::new(verified.rows),
            or_none(verified.cut.as_ref()),
            or_none(verified.last.as_ref()),
            Cell::new(verified.checkpoints),
            Cell::new(verified.signed),
            Cell::new(verified.unsigned),
            Cell::new(verified.waiting),
            Cell::new(problem),
        ]);
    }
    rendered(&table)
}
