//! What Postgres has for a tenant, in two statements. The second is sent only if the schema exists.

use sqlx::PgConnection;

use crate::error::{Error, Result};
use crate::migrate::{self, Applied, Migration, Scope};
use crate::names::{SchemaName, Slug, TenantRef};
use crate::pool::OwnerDb;

/// A schema or role that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its comment.
    pub mark: Option<String>,
}

/// What is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedDatabase {
    /// The name that schema and role have.
    pub name: SchemaName,
    /// The schema, if there is one of that name.
    pub schema: Option<Object>,
    /// The role, if there is one of that name.
    pub role: Option<Object>,
    /// The migrations the schema has, oldest first.
    pub applied: Vec<Applied>,
    /// What differs in grants, memberships and attributes, as the statements that would repair it.
    pub repairs: Vec<String>,
}

/// What has to be done.
#[derive(Debug)]
pub enum DatabaseState {
    /// There is no schema of that name.
    Absent,
    /// Nothing.
    Ready,
    /// The schema is ours and something differs.
    Differs {
        /// Migrations it lacks.
        pending: Vec<&'static Migration>,
    },
}

impl ObservedDatabase {
    /// Whether a schema of that name exists, ours or not.
    pub fn has_schema(&self) -> bool {
        self.schema.is_some()
    }

    /// The newest migration it has.
    pub fn version(&self) -> Option<&str> {
        self.applied.last().map(|row| row.version.as_str())
    }

    /// What has to be done for `tenant`; an error if the schema or role is somebody else's, or a migration was changed.
    pub fn state(&self, tenant: &TenantRef) -> Result<DatabaseState> {
        let mark = tenant.mark();
        let is_foreign = |object: &Object| object.mark.as_deref() != Some(mark.as_str());
        if let Some(object) = self.schema.as_ref().filter(|object| is_foreign(object)) {
            return Err(Error::SchemaTaken { schema: self.name.to_string(), mark: object.mark.clone() });
        }
        if let Some(object) = self.role.as_ref().filter(|object| is_foreign(object)) {
            return Err(Error::RoleTaken { role: self.name.to_string(), mark: object.mark.clone() });
        }
        if self.schema.is_none() {
            return Ok(DatabaseState::Absent);
        }
        let pending = migrate::pending(Scope::Tenant, self.name.as_str(), &self.applied)?;
        if pending.is_empty() && self.repairs.is_empty() && self.role.is_some() {
            return Ok(DatabaseState::Ready);
        }
        Ok(DatabaseState::Differs { pending })
    }

    /// Whether [`super::ensure`] would write nothing.
    pub fn is_ready(&self, tenant: &TenantRef) -> Result<bool> {
        Ok(matches!(self.state(tenant)?, DatabaseState::Ready))
    }
}

/// Reads what is there for `slug`. Writes nothing and takes no lock.
pub async fn observe(db: &OwnerDb, slug: &Slug) -> Result<ObservedDatabase> {
    let mut connection = db.pool().acquire().await?;
    read(&mut connection, slug).await
}

#[derive(sqlx::FromRow)]
struct Row {
    has_schema: bool,
    schema_mark: Option<String>,
    has_role: bool,
    role_mark: Option<String>,
    repairs: Vec<String>,
}

pub(super) async fn read(connection: &mut PgConnection, slug: &Slug) -> Result<ObservedDatabase> {
    let name = SchemaName::of(slug);
    let row: Row = sqlx::query_as(OBSERVE).bind(name.as_str()).fetch_one(&mut *connection).await?;
    let applied = if row.has_schema && row.schema_mark.as_deref().is_some_and(|mark| mark.starts_with("tenantra:")) {
        migrate::applied(connection, name.as_str()).await?
    } else {
        Vec::new()
    };
    let repairs = if row.has_schema && row.has_role { row.repairs } else { Vec::new() };
    Ok(ObservedDatabase {
        schema: row.has_schema.then_some(Object { mark: row.schema_mark }),
        role: row.has_role.then_some(Object { mark: row.role_mark }),
        name,
        applied,
        repairs,
    })
}

/// Compares what is granted with what should be, and writes the difference as statements with every name quoted by
/// Postgres itself. Grants to the schema's owner are implicit and left out.
///
/// `OFFSET 0` keeps each look-up on its index: the catalogs are large where there are many tenants, and their statistics are
/// old just after many were made. What is in a schema is found by `pg_depend`, which has an index for that question.
const OBSERVE: &str = r"
WITH s AS (
    SELECT oid, nspacl, nspowner, obj_description(oid, 'pg_namespace') AS mark FROM pg_namespace WHERE nspname = $1::name
), r AS (
    SELECT oid, rolcanlogin, rolinherit, rolcreaterole, rolcreatedb, shobj_description(oid, 'pg_authid') AS mark
    FROM pg_roles WHERE rolname = $1::name
), t AS (
    SELECT c.* FROM s, LATERAL (
        SELECT objid FROM pg_depend
        WHERE refclassid = 'pg_namespace'::regclass AND refobjid = s.oid AND classid = 'pg_class'::regclass OFFSET 0
    ) d, LATERAL (
        SELECT oid, relname, relacl, relowner, relkind FROM pg_class WHERE oid = d.objid OFFSET 0
    ) c
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
), wanted AS (
    SELECT t.relname, p.privilege FROM t, unnest(CASE t.relname
        WHEN 'audit_log' THEN ARRAY['SELECT']
        WHEN 'schema_migrations' THEN ARRAY['SELECT']
        ELSE ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE'] END) AS p(privilege)
), held AS (
    SELECT t.relname, a.grantee, a.privilege_type, a.is_grantable FROM t, aclexplode(t.relacl) a WHERE a.grantee <> t.relowner
), wanted_column AS (
    SELECT attname FROM unnest(ARRAY['audit_id', 'actor', 'action', 'subject', 'details']) AS a(attname)
), held_column AS (
    SELECT t.relname, a.attname, x.grantee, x.privilege_type, x.is_grantable
    FROM t, LATERAL (SELECT attname, attacl FROM pg_attribute WHERE attrelid = t.oid AND attacl IS NOT NULL OFFSET 0) a,
        aclexplode(a.attacl) x
    WHERE x.grantee <> t.relowner
), held_schema AS (
    SELECT a.grantee, a.privilege_type FROM s, aclexplode(s.nspacl) a WHERE a.grantee <> s.nspowner
), repairs AS (
    SELECT 1 AS position, format('GRANT %s ON TABLE %I.%I TO %I', w.privilege, $1, w.relname, $1) AS statement
    FROM wanted w, r
    WHERE NOT EXISTS (SELECT FROM held h WHERE h.relname = w.relname AND h.privilege_type = w.privilege AND h.grantee = r.oid)
    UNION ALL
    SELECT 0, format('REVOKE %s ON TABLE %I.%I FROM %s', h.privilege_type, $1, h.relname,
        CASE h.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(h.grantee)) END)
    FROM held h, r
    WHERE h.grantee <> r.oid OR h.is_grantable
        OR NOT EXISTS (SELECT FROM wanted w WHERE w.relname = h.relname AND w.privilege = h.privilege_type)
    UNION ALL
    SELECT 0, format('REVOKE %s (%I) ON TABLE %I.%I FROM %s', h.privilege_type, h.attname, $1, h.relname,
        CASE h.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(h.grantee)) END)
    FROM held_column h, r
    WHERE h.grantee <> r.oid OR h.is_grantable OR h.relname <> 'audit_log' OR h.privilege_type <> 'INSERT'
        OR NOT EXISTS (SELECT FROM wanted_column w WHERE w.attname = h.attname)
    UNION ALL
    SELECT 1, format('GRANT INSERT (%s) ON TABLE %I.audit_log TO %I', string_agg(quote_ident(w.attname), ', '), $1, $1)
    FROM wanted_column w, r
    WHERE EXISTS (SELECT FROM t WHERE t.relname = 'audit_log') AND NOT EXISTS (SELECT FROM held_column h
        WHERE h.relname = 'audit_log' AND h.attname = w.attname AND h.privilege_type = 'INSERT' AND h.grantee = r.oid AND NOT h.is_grantable)
    HAVING count(*) > 0
    UNION ALL
    SELECT 1, format('GRANT USAGE ON SCHEMA %I TO %I', $1, $1) FROM r
    WHERE NOT EXISTS (SELECT FROM held_schema h WHERE h.grantee = r.oid AND h.privilege_type = 'USAGE')
    UNION ALL
    SELECT 0, format('REVOKE %s ON SCHEMA %I FROM %s', h.privilege_type, $1,
        CASE h.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(h.grantee)) END)
    FROM held_schema h, r WHERE NOT (h.grantee = r.oid AND h.privilege_type = 'USAGE')
    UNION ALL
    SELECT 1, format('GRANT %I TO %I', $1, api.rolname) FROM r, pg_roles api
    WHERE api.rolname = 'tenantra_api' AND NOT EXISTS (SELECT FROM pg_auth_members m WHERE m.roleid = r.oid AND m.member = api.oid)
    UNION ALL
    SELECT 1, format('GRANT %I TO %I', g.rolname, $1) FROM r, pg_roles g
    WHERE g.rolname = 'tenantra_tenant' AND NOT EXISTS (SELECT FROM pg_auth_members m WHERE m.roleid = g.oid AND m.member = r.oid)
    UNION ALL
    SELECT 0, format('REVOKE %I FROM %I', $1, pg_get_userbyid(m.member)) FROM r, LATERAL (SELECT member FROM pg_auth_members WHERE roleid = r.oid OFFSET 0) m
    WHERE pg_get_userbyid(m.member) NOT IN ('tenantra_api', current_user)
    UNION ALL
    SELECT 0, format('REVOKE %I FROM %I', pg_get_userbyid(m.roleid), $1) FROM r, LATERAL (SELECT roleid FROM pg_auth_members WHERE member = r.oid OFFSET 0) m
    WHERE pg_get_userbyid(m.roleid) <> 'tenantra_tenant'
    UNION ALL
    SELECT 0, format('ALTER ROLE %I NOLOGIN INHERIT NOCREATEROLE NOCREATEDB', $1) FROM r
    WHERE rolcanlogin OR NOT rolinherit OR rolcreaterole OR rolcreatedb
)
SELECT EXISTS (SELECT FROM s) AS has_schema, (SELECT mark FROM s) AS schema_mark,
    EXISTS (SELECT FROM r) AS has_role, (SELECT mark FROM r) AS role_mark,
    COALESCE((SELECT array_agg(statement ORDER BY position, statement) FROM repairs), '{}') AS repairs";
