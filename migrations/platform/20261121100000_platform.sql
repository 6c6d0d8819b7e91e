-- The schema `shared`: what starts before a tenant is known, or spans tenants. Runs as tenantra_owner; the runner has
-- made the schema and its table schema_migrations.

GRANT USAGE ON SCHEMA shared TO tenantra_api, tenantra_tenant;

-- Who a tenant is. The UUID here is the truth; the status of the resource is a copy.
CREATE TABLE shared.tenants (
    tenant_id      uuid PRIMARY KEY,
    slug           text NOT NULL CHECK (slug ~ '^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$'),
    state          text NOT NULL DEFAULT 'active'
                   CHECK (state IN ('active', 'suspended', 'offboarding', 'retained', 'offboarded', 'purged')),
    step           text NOT NULL DEFAULT '',
    domain         text UNIQUE,
    purge_after    timestamptz,
    approvals      jsonb NOT NULL DEFAULT '{}',
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX tenants_slug ON shared.tenants (slug) WHERE state <> 'purged';
CREATE INDEX tenants_purge_after ON shared.tenants (purge_after) WHERE purge_after IS NOT NULL;

-- The greatest epoch that ever led. A transaction of the operator reads it FOR SHARE.
CREATE TABLE shared.fencing (
    name      text PRIMARY KEY,
    epoch     bigint NOT NULL,
    raised_at timestamptz NOT NULL DEFAULT now()
);

-- What the operator's status and the MSP's pages read: one row a tenant, kept by a coalescing worker.
CREATE TABLE shared.tenant_rollups (
    tenant_id            uuid PRIMARY KEY REFERENCES shared.tenants ON DELETE CASCADE,
    score                smallint CHECK (score BETWEEN 0 AND 100),
    passed_weight        bigint NOT NULL DEFAULT 0,
    assessed_weight      bigint NOT NULL DEFAULT 0,
    checks_passed        bigint NOT NULL DEFAULT 0,
    checks_failed        bigint NOT NULL DEFAULT 0,
    checks_not_applicable bigint NOT NULL DEFAULT 0,
    checks_error         bigint NOT NULL DEFAULT 0,
    open_critical        bigint NOT NULL DEFAULT 0,
    open_high            bigint NOT NULL DEFAULT 0,
    open_medium          bigint NOT NULL DEFAULT 0,
    open_low             bigint NOT NULL DEFAULT 0,
    assets               bigint NOT NULL DEFAULT 0,
    agents               bigint NOT NULL DEFAULT 0,
    agents_online        bigint NOT NULL DEFAULT 0,
    last_result_at       timestamptz,
    refreshed_at         timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX tenant_rollups_refreshed_at ON shared.tenant_rollups (refreshed_at);

CREATE TABLE shared.users (
    user_id         uuid PRIMARY KEY,
    email           text NOT NULL,
    username        text,
    name            text NOT NULL DEFAULT '',
    password_hash   text,
    is_super_admin  boolean NOT NULL DEFAULT false,
    is_active       boolean NOT NULL DEFAULT true,
    failed_attempts integer NOT NULL DEFAULT 0,
    locked_until    timestamptz,
    last_login_at   timestamptz,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX users_email ON shared.users (lower(email));
CREATE UNIQUE INDEX users_username ON shared.users (lower(username));

CREATE TABLE shared.memberships (
    user_id    uuid NOT NULL REFERENCES shared.users ON DELETE CASCADE,
    tenant_id  uuid NOT NULL REFERENCES shared.tenants ON DELETE CASCADE,
    role       text NOT NULL CHECK (role IN ('msp_admin', 'admin', 'manager', 'user', 'readonly', 'billing_viewer')),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, tenant_id)
);
CREATE INDEX memberships_tenant_id ON shared.memberships (tenant_id);

-- One row a refresh token. A family is one sign-in; a token used twice revokes its family.
CREATE TABLE shared.sessions (
    session_id   uuid PRIMARY KEY,
    family_id    uuid NOT NULL,
    user_id      uuid NOT NULL REFERENCES shared.users ON DELETE CASCADE,
    refresh_hash bytea NOT NULL UNIQUE CHECK (length(refresh_hash) = 32),
    user_agent   text NOT NULL DEFAULT '',
    address      text NOT NULL DEFAULT '',
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL,
    rotated_at   timestamptz,
    revoked_at   timestamptz
);
CREATE INDEX sessions_family_id ON shared.sessions (family_id);
CREATE INDEX sessions_user_id ON shared.sessions (user_id);

-- Credential to tenant: a cross-tenant look-up on the agent's path. The window is the bits of the last 1,024 sequence
-- numbers, the leftmost is window_top.
CREATE TABLE shared.agent_credentials (
    credential_id  uuid PRIMARY KEY,
    tenant_id      uuid NOT NULL REFERENCES shared.tenants ON DELETE CASCADE,
    agent_id       uuid NOT NULL,
    asset_id       uuid NOT NULL,
    secret_hash    bytea NOT NULL CHECK (length(secret_hash) = 32),
    public_key     bytea NOT NULL CHECK (length(public_key) = 32),
    window_top     bigint NOT NULL CHECK (window_top >= 0),
    window_bits    bit(1024) NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT now(),
    last_used_at   timestamptz,
    revoked_at     timestamptz,
    revoked_reason text
) WITH (fillfactor = 70);
CREATE INDEX agent_credentials_tenant_id ON shared.agent_credentials (tenant_id);
CREATE INDEX agent_credentials_agent_id ON shared.agent_credentials (agent_id);

CREATE TABLE shared.enrollment_tokens (
    token_id   uuid PRIMARY KEY,
    tenant_id  uuid NOT NULL REFERENCES shared.tenants ON DELETE CASCADE,
    token_hash bytea NOT NULL UNIQUE CHECK (length(token_hash) = 32),
    name       text NOT NULL,
    labels     jsonb NOT NULL DEFAULT '{}',
    max_uses   integer NOT NULL CHECK (max_uses > 0),
    uses       integer NOT NULL DEFAULT 0 CHECK (uses <= max_uses),
    expires_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by text NOT NULL,
    revoked_at timestamptz
);
CREATE INDEX enrollment_tokens_tenant_id ON shared.enrollment_tokens (tenant_id);

-- One job, one run, one envelope. Rows hold identifiers and parameters of modules, not customer data.
CREATE TABLE shared.jobs (
    job_id       uuid PRIMARY KEY,
    tenant_role  name NOT NULL DEFAULT current_user,
    kind         text NOT NULL DEFAULT 'scan',
    agent_id     uuid NOT NULL,
    run_id       uuid NOT NULL UNIQUE,
    module       text NOT NULL,
    version      text NOT NULL,
    profile      text NOT NULL CHECK (profile IN ('baseline_fast', 'baseline_full', 'deep_scan')),
    parameters   jsonb NOT NULL DEFAULT '{}',
    cause        text NOT NULL,
    state        text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'leased', 'done', 'failed')),
    attempts     integer NOT NULL DEFAULT 0,
    max_attempts integer NOT NULL DEFAULT 5 CHECK (max_attempts > 0),
    not_before   timestamptz NOT NULL DEFAULT now(),
    leased_until timestamptz,
    last_error   text,
    created_at   timestamptz NOT NULL DEFAULT now(),
    finished_at  timestamptz
) WITH (fillfactor = 80);
CREATE INDEX jobs_queued ON shared.jobs (agent_id, not_before) WHERE state = 'queued';
CREATE INDEX jobs_leased ON shared.jobs (leased_until) WHERE state = 'leased';
CREATE INDEX jobs_tenant ON shared.jobs (tenant_role, created_at);

CREATE TABLE shared.outbox (
    event_id    uuid PRIMARY KEY,
    tenant_role name NOT NULL DEFAULT current_user,
    kind        text NOT NULL,
    subject_id  uuid,
    payload     jsonb NOT NULL DEFAULT '{}',
    attempts    integer NOT NULL DEFAULT 0,
    not_before  timestamptz NOT NULL DEFAULT now(),
    last_error  text,
    created_at  timestamptz NOT NULL DEFAULT now(),
    done_at     timestamptz
);
CREATE INDEX outbox_open ON shared.outbox (created_at) WHERE done_at IS NULL;
CREATE INDEX outbox_tenant ON shared.outbox (tenant_role, created_at);

ALTER TABLE shared.jobs ENABLE ROW LEVEL SECURITY;
ALTER TABLE shared.jobs FORCE ROW LEVEL SECURITY;
ALTER TABLE shared.outbox ENABLE ROW LEVEL SECURITY;
ALTER TABLE shared.outbox FORCE ROW LEVEL SECURITY;
CREATE POLICY tenants ON shared.jobs TO tenantra_tenant
    USING (tenant_role = current_user) WITH CHECK (tenant_role = current_user);
CREATE POLICY tenants ON shared.outbox TO tenantra_tenant
    USING (tenant_role = current_user) WITH CHECK (tenant_role = current_user);
CREATE POLICY platform ON shared.jobs TO tenantra_api, tenantra_owner USING (true) WITH CHECK (true);
CREATE POLICY platform ON shared.outbox TO tenantra_api, tenantra_owner USING (true) WITH CHECK (true);

-- The catalog. Files are fixtures: `tenantra db migrate` upserts them, and nothing reads a file at run time.
CREATE TABLE shared.modules (
    slug           text PRIMARY KEY,
    title          text NOT NULL,
    category       text NOT NULL,
    latest_version text NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE shared.module_versions (
    module            text NOT NULL REFERENCES shared.modules ON DELETE CASCADE,
    version           text NOT NULL,
    state             text NOT NULL CHECK (state IN ('draft', 'qa', 'released', 'deprecated', 'retired')),
    checksum          text NOT NULL,
    profile           text NOT NULL,
    document          jsonb NOT NULL,
    parameters_schema jsonb NOT NULL,
    signature         bytea,
    sunset_at         timestamptz,
    created_at        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (module, version)
);
CREATE TABLE shared.checks (
    module      text NOT NULL,
    version     text NOT NULL,
    check_id    text NOT NULL,
    title       text NOT NULL,
    severity    text NOT NULL CHECK (severity IN ('low', 'medium', 'high', 'critical')),
    rationale   text NOT NULL,
    remediation text NOT NULL,
    controls    jsonb NOT NULL,
    PRIMARY KEY (module, version, check_id),
    FOREIGN KEY (module, version) REFERENCES shared.module_versions ON DELETE CASCADE
);
CREATE TABLE shared.frameworks (
    framework  text PRIMARY KEY,
    title      text NOT NULL,
    version    text NOT NULL,
    publisher  text NOT NULL DEFAULT '',
    checksum   text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE shared.controls (
    framework text NOT NULL REFERENCES shared.frameworks ON DELETE CASCADE,
    control   text NOT NULL,
    title     text NOT NULL,
    parent    text,
    position  integer NOT NULL,
    PRIMARY KEY (framework, control)
);
-- No foreign key to controls: a module may map to a framework that this installation does not carry.
CREATE TABLE shared.control_mappings (
    module    text NOT NULL,
    version   text NOT NULL,
    check_id  text NOT NULL,
    framework text NOT NULL,
    control   text NOT NULL,
    PRIMARY KEY (module, version, check_id, framework, control),
    FOREIGN KEY (module, version, check_id) REFERENCES shared.checks ON DELETE CASCADE
);
CREATE INDEX control_mappings_control ON shared.control_mappings (framework, control);

-- A released version is immutable, whoever asks. A draft may change.
CREATE FUNCTION shared.refuse_released_change() RETURNS trigger
    LANGUAGE plpgsql SECURITY INVOKER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF OLD.state IN ('released', 'deprecated', 'retired')
        AND (NEW.checksum, NEW.document, NEW.parameters_schema, NEW.module, NEW.version)
            IS DISTINCT FROM (OLD.checksum, OLD.document, OLD.parameters_schema, OLD.module, OLD.version) THEN
        RAISE EXCEPTION 'module % % is released and immutable; raise its version', OLD.module, OLD.version
            USING ERRCODE = 'TN001';
    END IF;
    IF OLD.state IN ('released', 'deprecated', 'retired') AND NEW.state IN ('draft', 'qa') THEN
        RAISE EXCEPTION 'module % % is released and cannot become % again', OLD.module, OLD.version, NEW.state
            USING ERRCODE = 'TN001';
    END IF;
    RETURN NEW;
END $$;
REVOKE ALL ON FUNCTION shared.refuse_released_change() FROM PUBLIC;
CREATE TRIGGER released_is_immutable BEFORE UPDATE ON shared.module_versions
    FOR EACH ROW EXECUTE FUNCTION shared.refuse_released_change();

CREATE TABLE shared.platform_audit (
    audit_id   uuid PRIMARY KEY,
    actor      text NOT NULL,
    action     text NOT NULL,
    tenant_id  uuid,
    details    jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX platform_audit_created_at ON shared.platform_audit (created_at);
CREATE INDEX platform_audit_tenant_id ON shared.platform_audit (tenant_id);

-- The operator enqueues for an explicit tenant; only the owner may execute this.
CREATE FUNCTION shared.enqueue_for(role name, jobs jsonb) RETURNS bigint
    LANGUAGE sql SECURITY INVOKER SET search_path = pg_catalog, pg_temp AS $$
    WITH wanted AS (
        SELECT * FROM jsonb_to_recordset(jobs) AS j(job_id uuid, agent_id uuid, run_id uuid, module text, version text,
            profile text, parameters jsonb, cause text, not_before timestamptz)
    ), added AS (
        INSERT INTO shared.jobs (job_id, tenant_role, agent_id, run_id, module, version, profile, parameters, cause, not_before)
        SELECT job_id, role, agent_id, run_id, module, version, profile, parameters, cause, not_before FROM wanted
        ON CONFLICT DO NOTHING RETURNING agent_id
    ), told AS (
        SELECT pg_notify('tenantra_jobs', agent_id::text) FROM (SELECT DISTINCT agent_id FROM added) a
    )
    SELECT (SELECT count(*) FROM added) + 0 * (SELECT count(*) FROM told)
$$;
REVOKE ALL ON FUNCTION shared.enqueue_for(name, jsonb) FROM PUBLIC;

-- What the API's login may do. It never deletes a tenant and never writes the fencing row or a migration's.
GRANT SELECT ON ALL TABLES IN SCHEMA shared TO tenantra_api;
GRANT INSERT, UPDATE ON shared.tenants, shared.tenant_rollups, shared.users, shared.memberships, shared.sessions,
    shared.agent_credentials, shared.enrollment_tokens, shared.jobs, shared.outbox, shared.modules,
    shared.module_versions, shared.checks, shared.frameworks, shared.controls, shared.control_mappings TO tenantra_api;
GRANT DELETE ON shared.users, shared.memberships, shared.sessions, shared.agent_credentials, shared.enrollment_tokens,
    shared.jobs, shared.outbox TO tenantra_api;
GRANT INSERT ON shared.platform_audit TO tenantra_api;

-- What every tenant's role may do: its own jobs and events (row-level security), and read the catalog.
GRANT SELECT, INSERT, UPDATE ON shared.jobs TO tenantra_tenant;
GRANT SELECT, INSERT ON shared.outbox TO tenantra_tenant;
GRANT SELECT ON shared.modules, shared.module_versions, shared.checks, shared.frameworks, shared.controls,
    shared.control_mappings TO tenantra_tenant;
