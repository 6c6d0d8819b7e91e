//! The questions of [`super::verify`], each one statement that gives a schema (or none) and a sentence for every fault.
//! Names come from the catalogs of Postgres and are quoted by it.

/// What is there before any schema.
pub(super) const INSTALLATION: &[&str] = &[ROLES, MEMBERSHIPS, EVERYBODY];

/// What the newest version of `shared` and of tenants' schemas has.
pub(super) const SCHEMAS: &[&str] = &[OWNERS, MARKS, ROW_LEVEL_SECURITY, POLICIES, GRANTS, FUNCTIONS, INDEXES];

const ROLES: &str = r"
SELECT NULL::text, format('there is no role %I; run `tenantra db bootstrap`', w.name)
FROM unnest(ARRAY['tenantra_owner', 'tenantra_api', 'tenantra_tenant']) AS w(name)
WHERE NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = w.name)
UNION ALL
SELECT NULL, format('the role %I %s; run: ALTER ROLE %I %s', r.rolname, w.what, r.rolname, w.attribute)
FROM pg_roles r, LATERAL (VALUES
    (r.rolsuper, 'is a superuser', 'NOSUPERUSER'),
    (r.rolbypassrls, 'is not bound by row-level security', 'NOBYPASSRLS'),
    (r.rolreplication, 'may read the whole server by replication', 'NOREPLICATION'),
    (r.rolcreatedb, 'may make databases', 'NOCREATEDB'),
    (r.rolcreaterole AND r.rolname <> 'tenantra_owner', 'may make roles', 'NOCREATEROLE'),
    (NOT r.rolcreaterole AND r.rolname = 'tenantra_owner', 'cannot make the roles of tenants', 'CREATEROLE'),
    (r.rolcanlogin AND r.rolname NOT IN ('tenantra_owner', 'tenantra_api'), 'may sign in', 'NOLOGIN'),
    (NOT r.rolcanlogin AND r.rolname IN ('tenantra_owner', 'tenantra_api'), 'cannot sign in', 'LOGIN'),
    (r.rolinherit AND r.rolname = 'tenantra_api', 'has what its tenants may do without taking their role', 'NOINHERIT')
) AS w(is_wrong, what, attribute)
WHERE w.is_wrong AND (r.rolname IN ('tenantra_owner', 'tenantra_api', 'tenantra_tenant')
    OR shobj_description(r.oid, 'pg_authid') LIKE 'tenantra:%')";

/// A tenant's own memberships are looked at with the tenant.
const MEMBERSHIPS: &str = r"
SELECT NULL::text, format('the role %I is a member of %I; run: REVOKE %I FROM %I', m.rolname, r.rolname, r.rolname, m.rolname)
FROM pg_auth_members a JOIN pg_roles r ON r.oid = a.roleid JOIN pg_roles m ON m.oid = a.member
WHERE m.rolname = 'tenantra_tenant'
    OR (m.rolname = 'tenantra_api' AND coalesce(shobj_description(r.oid, 'pg_authid'), '') NOT LIKE 'tenantra:%')";

/// What `tenantra db bootstrap` takes from PUBLIC. A managed Postgres may forbid some of it.
const EVERYBODY: &str = r"
SELECT NULL::text, format('everybody may execute pg_catalog.%I, which a statement that was injected could use; run `tenantra db bootstrap`', p.proname)
FROM pg_proc p WHERE p.pronamespace = 'pg_catalog'::regnamespace
    AND p.proname IN ('set_config', 'lo_creat', 'lo_create', 'lo_from_bytea', 'lo_put')
    AND EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a WHERE a.grantee = 0)
UNION ALL
SELECT NULL, 'everybody may write code in plpgsql; run `tenantra db bootstrap`'
FROM pg_language l WHERE l.lanname = 'plpgsql'
    AND EXISTS (SELECT FROM aclexplode(coalesce(l.lanacl, acldefault('l', l.lanowner))) a WHERE a.grantee = 0)
UNION ALL
SELECT NULL, format('everybody has %s on the database %I; run `tenantra db bootstrap`', a.privilege_type, d.datname)
FROM pg_database d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a
WHERE d.datname = current_database() AND a.grantee = 0
UNION ALL
SELECT NULL, format('everybody has %s on the schema public; run `tenantra db bootstrap`', a.privilege_type)
FROM pg_namespace n, aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) a
WHERE n.nspname = 'public' AND a.grantee = 0
UNION ALL
SELECT NULL, 'tenantra_api may not execute pg_catalog.set_config, which it needs; run `tenantra db bootstrap`'
FROM pg_roles r WHERE r.rolname = 'tenantra_api'
    AND NOT has_function_privilege(r.oid, 'pg_catalog.set_config(text, text, boolean)', 'EXECUTE')";

const OWNERS: &str = r"
WITH ours AS (
    SELECT n.oid, n.nspname, n.nspowner FROM pg_namespace n
    WHERE n.nspname = 'shared' OR obj_description(n.oid, 'pg_namespace') LIKE 'tenantra:%'
)
SELECT o.nspname::text, format('the schema belongs to %I; run: ALTER SCHEMA %I OWNER TO tenantra_owner', pg_get_userbyid(o.nspowner), o.nspname)
FROM ours o WHERE pg_get_userbyid(o.nspowner) <> 'tenantra_owner'
UNION ALL
SELECT o.nspname::text, format('%I belongs to %I; run: ALTER TABLE %I.%I OWNER TO tenantra_owner', c.relname, pg_get_userbyid(c.relowner), o.nspname, c.relname)
FROM ours o JOIN pg_class c ON c.relnamespace = o.oid
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND pg_get_userbyid(c.relowner) <> 'tenantra_owner'";

/// A mark that is wrong for a tenant is looked at with the tenant.
const MARKS: &str = r"
SELECT n.nspname::text, format('the schema carries the mark of the tenant %s, which shared.tenants does not have; nobody serves it: archive and drop it, or restore its row', substr(d.mark, 10))
FROM pg_namespace n, LATERAL (SELECT obj_description(n.oid, 'pg_namespace') AS mark) d
WHERE d.mark LIKE 'tenantra:%' AND NOT EXISTS (
    SELECT FROM shared.tenants t WHERE t.tenant_id::text = substr(d.mark, 10) AND t.state <> 'purged')
UNION ALL
SELECT NULL, format('the role %I carries the mark of the tenant %s, which shared.tenants does not have; drop it', r.rolname, substr(d.mark, 10))
FROM pg_roles r, LATERAL (SELECT shobj_description(r.oid, 'pg_authid') AS mark) d
WHERE d.mark LIKE 'tenantra:%' AND NOT EXISTS (
    SELECT FROM shared.tenants t WHERE t.tenant_id::text = substr(d.mark, 10) AND t.state <> 'purged')";

const ROW_LEVEL_SECURITY: &str = r"
SELECT 'shared', format('row-level security of shared.%I is not enabled and forced; run: ALTER TABLE shared.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', w.name, w.name)
FROM unnest(ARRAY['jobs', 'outbox', 'legal_holds']) AS w(name) LEFT JOIN pg_class c ON c.oid = to_regclass('shared.' || w.name)
WHERE NOT coalesce(c.relrowsecurity AND c.relforcerowsecurity, false)";

const POLICIES: &str = r"
WITH wanted AS (
    SELECT t.name, p.policy, p.roles, p.qualifier, t.migration, CASE p.policy WHEN 'tenants' THEN t.tenants ELSE 'ALL' END AS cmd
    FROM (VALUES
        ('jobs', 'ALL', '20261121100000'), ('outbox', 'ALL', '20261121100000'), ('legal_holds', 'SELECT', '20261122060000')
    ) AS t(name, tenants, migration), (VALUES
        ('tenants', ARRAY['tenantra_tenant'], '%tenant_role = current_user%'),
        ('platform', ARRAY['tenantra_api', 'tenantra_owner'], 'true')
    ) AS p(policy, roles, qualifier)
), held AS (
    SELECT p.tablename AS name, p.policyname AS policy, p.cmd, p.permissive, p.qual, p.with_check,
        (SELECT array_agg(r::text ORDER BY r::text) FROM unnest(p.roles) r) AS roles
    FROM pg_policies p WHERE p.schemaname = 'shared' AND p.tablename IN ('jobs', 'outbox', 'legal_holds')
)
SELECT 'shared', format('the policy %I of shared.%I is missing or was changed: tenants may see each other''s rows; make it as the migration %s does', w.policy, w.name, w.migration)
FROM wanted w WHERE NOT EXISTS (SELECT FROM held h WHERE h.name = w.name AND h.policy = w.policy AND h.roles = w.roles
    AND h.cmd = w.cmd AND h.qual ILIKE w.qualifier AND (w.cmd = 'SELECT' OR h.with_check ILIKE w.qualifier))
UNION ALL
SELECT 'shared', format('shared.%I has the policy %I, which is not ours and may show rows of other tenants; run: DROP POLICY %I ON shared.%I', h.name, h.policy, h.policy, h.name)
FROM held h WHERE h.permissive = 'PERMISSIVE' AND NOT EXISTS (SELECT FROM wanted w WHERE w.name = h.name AND w.policy = h.policy)";

/// Nobody but the owner, the API and the group of tenants has anything in `shared`, the group writes nothing but its jobs and
/// events and reads nothing of people or of other tenants, and the API writes nothing that only the owner may say.
const GRANTS: &str = r"
WITH held AS (
    SELECT c.relname, a.privilege_type, a.is_grantable,
        CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee)::text END AS grantee
    FROM pg_class c, aclexplode(c.relacl) a
    WHERE c.relnamespace = 'shared'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND a.grantee <> c.relowner
)
SELECT 'shared', format('%s may %s on shared.%I; run: REVOKE %s ON shared.%I FROM %s', h.grantee, h.privilege_type, h.relname,
    h.privilege_type, h.relname, CASE h.grantee WHEN 'PUBLIC' THEN 'PUBLIC' ELSE quote_ident(h.grantee) END)
FROM held h
WHERE h.grantee NOT IN ('tenantra_api', 'tenantra_tenant') OR h.is_grantable
    OR h.privilege_type IN ('TRUNCATE', 'REFERENCES', 'TRIGGER', 'MAINTAIN')
    OR (h.grantee = 'tenantra_tenant' AND (
        (h.privilege_type <> 'SELECT' AND (h.relname::text, h.privilege_type) NOT IN
            (('jobs', 'INSERT'), ('jobs', 'UPDATE'), ('outbox', 'INSERT')))
        OR h.relname IN ('tenants', 'tenant_rollups', 'users', 'memberships', 'sessions', 'agent_credentials',
            'enrollment_tokens', 'platform_audit', 'audit_checkpoints', 'audit_keys', 'retention_runs', 'legal_holds', 'fencing',
            'schema_migrations')))
    OR (h.grantee = 'tenantra_api' AND (
        (h.privilege_type <> 'SELECT' AND h.relname IN ('fencing', 'schema_migrations', 'audit_checkpoints', 'audit_keys'))
        OR (h.privilege_type IN ('UPDATE', 'DELETE') AND h.relname = 'platform_audit')
        OR (h.privilege_type = 'DELETE' AND h.relname = 'tenants')))";

const FUNCTIONS: &str = r"
WITH ours AS (
    SELECT p.oid, p.proname, p.proowner, p.proacl,
        format('shared.%I(%s)', p.proname, pg_get_function_identity_arguments(p.oid)) AS name
    FROM pg_proc p WHERE p.pronamespace = 'shared'::regnamespace
)
SELECT 'shared', format('everybody may execute %s; run: REVOKE ALL ON FUNCTION %s FROM PUBLIC', o.name, o.name)
FROM ours o
WHERE EXISTS (SELECT FROM aclexplode(coalesce(o.proacl, acldefault('f', o.proowner))) a WHERE a.grantee = 0)
UNION ALL
SELECT 'shared', format('%I may execute %s, by which one enqueues for any tenant; run: REVOKE ALL ON FUNCTION %s FROM %I',
    pg_get_userbyid(a.grantee), o.name, o.name, pg_get_userbyid(a.grantee))
FROM ours o, aclexplode(o.proacl) a
WHERE o.proname = 'enqueue_for' AND a.grantee <> 0 AND a.grantee <> o.proowner";

const INDEXES: &str = r"
SELECT n.nspname::text, format('the index %I is not valid, so that no query uses it; run: REINDEX INDEX CONCURRENTLY %I.%I', c.relname, n.nspname, c.relname)
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE NOT (i.indisvalid AND i.indisready)
    AND (n.nspname = 'shared' OR obj_description(n.oid, 'pg_namespace') LIKE 'tenantra:%')";

/// Takes the most tables and the most indexes.
pub(super) const COUNTS: &str = r"
SELECT s.nspname::text, format('it has %s tables and %s indexes; %s and %s are the most, drop what no migration made',
    s.tables, s.indexes, $1::bigint, $2::bigint)
FROM (
    SELECT n.nspname, count(*) FILTER (WHERE c.relkind IN ('r', 'p')) AS tables,
        count(*) FILTER (WHERE c.relkind IN ('i', 'I')) AS indexes
    FROM pg_namespace n JOIN pg_class c ON c.relnamespace = n.oid
    WHERE obj_description(n.oid, 'pg_namespace') LIKE 'tenantra:%' GROUP BY n.nspname
) s WHERE s.tables > $1 OR s.indexes > $2";
