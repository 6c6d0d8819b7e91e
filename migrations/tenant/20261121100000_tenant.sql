-- One tenant's schema. Runs with search_path set to it; names are not qualified. No type is defined here (text and CHECK
-- instead of enums), so that one prepared statement serves every schema. Few tables and few indexes: each costs catalog
-- space and backend memory for every tenant.

CREATE TABLE assets (
    asset_id      uuid PRIMARY KEY,
    identity      text NOT NULL UNIQUE,
    kind          text NOT NULL,
    name          text NOT NULL,
    os            jsonb NOT NULL DEFAULT '{}',
    labels        jsonb NOT NULL DEFAULT '{}',
    first_seen_at timestamptz NOT NULL DEFAULT now(),
    last_seen_at  timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE agents (
    agent_id           uuid PRIMARY KEY,
    asset_id           uuid NOT NULL REFERENCES assets ON DELETE CASCADE,
    state              text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'revoked')),
    agent_version      text NOT NULL,
    source             text NOT NULL CHECK (source IN ('service_account', 'enrollment_token', 'admin')),
    labels             jsonb NOT NULL DEFAULT '{}',
    duplicate_identity boolean NOT NULL DEFAULT false,
    queue_depth        integer NOT NULL DEFAULT 0,
    spool_bytes        bigint NOT NULL DEFAULT 0,
    rss_kb             bigint NOT NULL DEFAULT 0,
    bundle_checksum    text,
    enrolled_at        timestamptz NOT NULL DEFAULT now(),
    last_seen_at       timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 80);
CREATE INDEX agents_asset_id ON agents (asset_id);

-- The latest accepted run of each module on each asset, and the snapshot its facts have now. Its row is the lock that
-- orders two results of the same module and asset.
CREATE TABLE asset_modules (
    asset_id       uuid NOT NULL REFERENCES assets ON DELETE CASCADE,
    module         text NOT NULL,
    module_version text NOT NULL,
    snapshot       text,
    last_run_id    uuid NOT NULL,
    last_status    text NOT NULL,
    last_run_at    timestamptz NOT NULL,
    PRIMARY KEY (asset_id, module)
) WITH (fillfactor = 70);

CREATE TABLE runs (
    run_id         uuid PRIMARY KEY,
    asset_id       uuid NOT NULL REFERENCES assets ON DELETE CASCADE,
    agent_id       uuid,
    module         text NOT NULL,
    module_version text NOT NULL,
    status         text NOT NULL CHECK (status IN ('succeeded', 'failed', 'timeout', 'partial', 'unchanged')),
    started_at     timestamptz NOT NULL,
    duration_ms    bigint NOT NULL,
    cpu_ms         bigint NOT NULL DEFAULT 0,
    max_rss_kb     bigint NOT NULL DEFAULT 0,
    passed         integer NOT NULL DEFAULT 0,
    failed         integer NOT NULL DEFAULT 0,
    not_applicable integer NOT NULL DEFAULT 0,
    error          integer NOT NULL DEFAULT 0,
    score          smallint,
    log            jsonb NOT NULL DEFAULT '[]',
    artifacts      jsonb NOT NULL DEFAULT '[]',
    received_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX runs_asset_id ON runs (asset_id, received_at);
CREATE INDEX runs_received_at ON runs (received_at);

-- Current rows. row_hash is the fact's 32 hexadecimal digits as a uuid: 16 bytes, ordered as the text is.
CREATE TABLE facts (
    asset_id      uuid NOT NULL REFERENCES assets ON DELETE CASCADE,
    module        text NOT NULL,
    table_name    text NOT NULL,
    row_hash      uuid NOT NULL,
    row_key       text NOT NULL,
    content       jsonb NOT NULL,
    first_seen_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (asset_id, module, row_hash)
);

CREATE TABLE fact_changes (
    change_id  uuid PRIMARY KEY,
    asset_id   uuid NOT NULL REFERENCES assets ON DELETE CASCADE,
    run_id     uuid NOT NULL,
    module     text NOT NULL,
    table_name text NOT NULL,
    kind       text NOT NULL CHECK (kind IN ('added', 'changed', 'removed')),
    row_key    text NOT NULL,
    before     jsonb,
    after      jsonb,
    changed_at timestamptz NOT NULL
);
CREATE INDEX fact_changes_asset_id ON fact_changes (asset_id, changed_at);

-- The current verdict of each check on each asset.
CREATE TABLE check_states (
    asset_id       uuid NOT NULL REFERENCES assets ON DELETE CASCADE,
    module         text NOT NULL,
    check_id       text NOT NULL,
    module_version text NOT NULL,
    verdict        text NOT NULL CHECK (verdict IN ('pass', 'fail', 'not_applicable', 'error')),
    severity       text NOT NULL CHECK (severity IN ('low', 'medium', 'high', 'critical')),
    weight         integer NOT NULL CHECK (weight >= 0),
    message        text,
    run_id         uuid NOT NULL,
    changed_at     timestamptz NOT NULL,
    PRIMARY KEY (asset_id, module, check_id)
);
CREATE INDEX check_states_check_id ON check_states (module, check_id, verdict);

CREATE TABLE check_transitions (
    transition_id uuid PRIMARY KEY,
    asset_id      uuid NOT NULL REFERENCES assets ON DELETE CASCADE,
    run_id        uuid NOT NULL,
    module        text NOT NULL,
    check_id      text NOT NULL,
    from_verdict  text,
    to_verdict    text,
    changed_at    timestamptz NOT NULL
);
CREATE INDEX check_transitions_asset_id ON check_transitions (asset_id, changed_at);

-- finding_id is drawn from (asset, module, check, resource), so the primary key is what finds a repeat. An open finding
-- was last seen when its asset's module last ran (asset_modules): nothing here is written when nothing changed.
CREATE TABLE findings (
    finding_id     uuid PRIMARY KEY,
    asset_id       uuid NOT NULL REFERENCES assets ON DELETE CASCADE,
    module         text NOT NULL,
    module_version text NOT NULL,
    check_id       text NOT NULL,
    resource       text NOT NULL,
    severity       text NOT NULL CHECK (severity IN ('low', 'medium', 'high', 'critical')),
    severity_rank  smallint NOT NULL GENERATED ALWAYS AS (CASE severity WHEN 'critical' THEN 4 WHEN 'high' THEN 3 WHEN 'medium' THEN 2 ELSE 1 END) STORED,
    status         text NOT NULL CHECK (status IN ('open', 'closed')),
    evidence       jsonb NOT NULL,
    content_hash   uuid NOT NULL,
    run_id         uuid NOT NULL,
    first_seen_at  timestamptz NOT NULL,
    opened_at      timestamptz NOT NULL,
    closed_at      timestamptz,
    times_reopened integer NOT NULL DEFAULT 0
);
CREATE INDEX findings_asset_id ON findings (asset_id, module, status);
CREATE INDEX findings_worst ON findings (status, severity_rank DESC, opened_at DESC, finding_id);
CREATE INDEX findings_check_id ON findings (module, check_id, status);

-- Kept in the transaction that changes a verdict or a finding: no page ever aggregates check_states or findings.
CREATE TABLE asset_scores (
    asset_id        uuid PRIMARY KEY REFERENCES assets ON DELETE CASCADE,
    score           smallint CHECK (score BETWEEN 0 AND 100),
    passed_weight   bigint NOT NULL CHECK (passed_weight >= 0),
    assessed_weight bigint NOT NULL CHECK (assessed_weight >= passed_weight),
    passed          integer NOT NULL CHECK (passed >= 0),
    failed          integer NOT NULL CHECK (failed >= 0),
    not_applicable  integer NOT NULL CHECK (not_applicable >= 0),
    error           integer NOT NULL CHECK (error >= 0),
    open_critical   integer NOT NULL CHECK (open_critical >= 0),
    open_high       integer NOT NULL CHECK (open_high >= 0),
    open_medium     integer NOT NULL CHECK (open_medium >= 0),
    open_low        integer NOT NULL CHECK (open_low >= 0),
    updated_at      timestamptz NOT NULL
) WITH (fillfactor = 70);

-- One row a day and subject: each asset's by the ingest that changes its score, the tenant's by the rollup worker.
CREATE TABLE score_days (
    scope           text NOT NULL CHECK (scope IN ('tenant', 'asset')),
    scope_id        uuid NOT NULL,
    day             date NOT NULL,
    score           smallint CHECK (score BETWEEN 0 AND 100),
    passed_weight   bigint NOT NULL,
    assessed_weight bigint NOT NULL,
    PRIMARY KEY (scope, scope_id, day)
) WITH (fillfactor = 80);

-- Inserted unchained; the chainer gives sequence and hash.
CREATE TABLE audit_log (
    audit_id   uuid PRIMARY KEY,
    actor      text NOT NULL,
    action     text NOT NULL,
    subject    text NOT NULL DEFAULT '',
    details    jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    sequence   bigint,
    hash       bytea
);
CREATE INDEX audit_log_created_at ON audit_log (created_at);
