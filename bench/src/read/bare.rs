//! Tables without foreign keys and indexes, for as long as millions of rows are brought in: each is then checked and built once
//! for all rows. What they are is read from the catalog of Postgres and not repeated here; at the end the catalog has to say
//! of the whole schema what it said at the beginning. Replica identities, statistics targets and marks for CLUSTER, of which
//! nobody makes use here, are not compared.

use std::time::Instant;

use anyhow::ensure;
use sqlx::{AssertSqlSafe, PgConnection};

use super::disk::Disk;

/// A constraint or an index, as Postgres writes it.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
struct Definition {
    of_table: String,
    name: String,
    /// The letter of `pg_constraint`, `index`, or `of constraint` for an index that comes with one.
    kind: String,
    source: String,
    /// Whether foreign keys lead to the table.
    is_referred: bool,
}

/// Of the schema of the session's search path.
const DEFINITIONS: &str = "SELECT t.relname::text AS of_table, c.conname::text AS name, c.contype::text AS kind,
        pg_get_constraintdef(c.oid) AS source,
        EXISTS (SELECT FROM pg_constraint r WHERE r.confrelid = c.conrelid) AS is_referred
    FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid
    WHERE t.relnamespace = current_schema()::regnamespace AND c.contype IN ('c', 'f', 'p', 'u', 'x')
    UNION ALL
    SELECT t.relname::text, i.relname::text, CASE WHEN k.oid IS NULL THEN 'index' ELSE 'of constraint' END,
        pg_get_indexdef(x.indexrelid), false
    FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid
    LEFT JOIN pg_constraint k ON k.conindid = x.indexrelid AND k.contype IN ('p', 'u', 'x')
    WHERE t.relnamespace = current_schema()::regnamespace
    ORDER BY 1, 2, 3";

impl Definition {
    /// When it is built again; none for what stays.
    fn turn(&self) -> Option<u8> {
        match self.kind.as_str() {
            "p" if !self.is_referred => Some(0),
            "index" => Some(1),
            "f" => Some(2),
            _ => None,
        }
    }

    fn dropping(&self) -> String {
        let Self { of_table, name, .. } = self;
        if self.kind == "index" {
            format!("DROP INDEX \"{name}\"")
        } else {
            format!("ALTER TABLE \"{of_table}\" DROP CONSTRAINT \"{name}\"")
        }
    }

    fn creating(&self) -> String {
        let Self { of_table, name, source, .. } = self;
        if self.kind == "index" {
            source.clone()
        } else {
            format!("ALTER TABLE \"{of_table}\" ADD CONSTRAINT \"{name}\" {source}")
        }
    }
}

/// Tables that have been stripped.
pub struct Bare {
    before: Vec<Definition>,
    dropped: Vec<Definition>,
}

impl Bare {
    /// Takes foreign keys, indexes, and primary keys that no foreign key needs from these tables.
    pub async fn strip(owner: &mut PgConnection, tables: &[&str]) -> anyhow::Result<Self> {
        let before = definitions(owner).await?;
        let goes = |one: &&Definition| one.turn().is_some() && tables.contains(&one.of_table.as_str());
        let mut dropped: Vec<Definition> = before.iter().filter(goes).cloned().collect();
        dropped.sort_by_key(Definition::turn);
        ensure!(!dropped.is_empty(), "{tables:?} have nothing to be taken from them");
        for one in &dropped {
            sqlx::query(AssertSqlSafe(one.dropping())).execute(&mut *owner).await?;
        }
        Ok(Self { before, dropped })
    }

    /// Builds them again, and looks whether all is as it was.
    pub async fn restore(self, owner: &mut PgConnection, disk: &Disk) -> anyhow::Result<()> {
        for one in &self.dropped {
            let begun = Instant::now();
            sqlx::query(AssertSqlSafe(one.creating())).execute(&mut *owner).await?;
            // What was built is in the log as well, until then.
            disk.checkpoint().await?;
            if begun.elapsed().as_secs() >= 5 {
                eprintln!("  {} of {} after {:.0} s", one.name, one.of_table, begun.elapsed().as_secs_f64());
            }
        }
        let after = definitions(owner).await?;
        let only = |these: &[Definition], those: &[Definition]| -> Vec<Definition> {
            these.iter().filter(|one| !those.contains(one)).cloned().collect()
        };
        let (gone, new) = (only(&self.before, &after), only(&after, &self.before));
        ensure!(gone.is_empty() && new.is_empty(), "the schema has changed: {gone:?} became {new:?}");
        Ok(())
    }
}

async fn definitions(owner: &mut PgConnection) -> anyhow::Result<Vec<Definition>> {
    Ok(sqlx::query_as(DEFINITIONS).fetch_all(owner).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(kind: &str, source: &str, is_referred: bool) -> Definition {
        let (of_table, name) = ("findings".to_owned(), "one".to_owned());
        Definition { of_table, name, kind: kind.to_owned(), source: source.to_owned(), is_referred }
    }

    #[test]
    fn keys_are_built_first_and_foreign_keys_last_and_what_others_lean_on_stays() {
        let turn = |kind: &str, is_referred| definition(kind, "", is_referred).turn();
        assert!(turn("p", false) < turn("index", false) && turn("index", false) < turn("f", false));
        for (kind, is_referred) in [("p", true), ("c", false), ("u", false), ("x", false), ("of constraint", false)] {
            assert_eq!(turn(kind, is_referred), None, "{kind}");
        }
    }

    #[test]
    fn what_is_dropped_is_built_again_as_postgres_wrote_it() {
        let key = definition("f", "FOREIGN KEY (asset_id) REFERENCES assets(asset_id) ON DELETE CASCADE", false);
        assert_eq!(key.dropping(), r#"ALTER TABLE "findings" DROP CONSTRAINT "one""#);
        assert_eq!(
            key.creating(),
            r#"ALTER TABLE "findings" ADD CONSTRAINT "one" FOREIGN KEY (asset_id) REFERENCES assets(asset_id) ON DELETE CASCADE"#
        );
        let index = definition("index", "CREATE INDEX one ON tenant_acme.findings USING btree (asset_id)", false);
        assert_eq!(index.dropping(), r#"DROP INDEX "one""#);
        assert_eq!(index.creating(), "CREATE INDEX one ON tenant_acme.findings USING btree (asset_id)");
    }
}
