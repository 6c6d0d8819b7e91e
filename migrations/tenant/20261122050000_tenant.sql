-- Risk, kept beside the score, and drift, followed after the ingest. No column has a CHECK where the table can be large:
-- Postgres would read all of it under a lock.

ALTER TABLE assets
    ADD COLUMN criticality     text NOT NULL DEFAULT 'normal' CHECK (criticality IN ('low', 'normal', 'high', 'critical')),
    ADD COLUMN internet_facing boolean NOT NULL DEFAULT false;

-- 1: it listens where other hosts reach it; 2: it is privileged; 3: both.
ALTER TABLE findings ADD COLUMN exposure smallint NOT NULL DEFAULT 0;

-- extra_*: by how many percent exposure makes the open findings of a severity weigh more. With the counts of open findings
-- it gives the points of an asset under any weights, so that a change of weights reads no finding.
ALTER TABLE asset_scores
    ADD COLUMN extra_critical bigint NOT NULL DEFAULT 0,
    ADD COLUMN extra_high     bigint NOT NULL DEFAULT 0,
    ADD COLUMN extra_medium   bigint NOT NULL DEFAULT 0,
    ADD COLUMN extra_low      bigint NOT NULL DEFAULT 0,
    ADD COLUMN load           bigint NOT NULL DEFAULT 0,
    ADD COLUMN risk           smallint NOT NULL DEFAULT 0;

ALTER TABLE score_days ADD COLUMN risk smallint;

-- Runs whose facts moved and whose drift nobody has followed yet. A row is left by the ingest in its own transaction and
-- deleted in the one that stores what came of it: each run is followed once, whoever is killed when.
CREATE TABLE drift_runs (
    run_id         uuid PRIMARY KEY,
    asset_id       uuid NOT NULL REFERENCES assets ON DELETE CASCADE,
    module         text NOT NULL,
    module_version text NOT NULL,
    -- Of its rows in fact_changes.
    found_at       timestamptz NOT NULL,
    -- The module never reported facts of the asset before.
    is_inventory   boolean NOT NULL,
    -- Given while the module's row of the asset is locked: runs of one module and asset are in their order.
    queued_at      timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX drift_runs_asset_id ON drift_runs (asset_id);
CREATE INDEX drift_runs_queued_at ON drift_runs (queued_at);

-- What is usual, as analysis::drift writes it: of an asset (its id is the name) and of a group of like assets.
CREATE TABLE drift_baselines (
    scope      text NOT NULL CHECK (scope IN ('asset', 'group')),
    name       text NOT NULL,
    -- Of an asset: the group it was counted in last.
    group_name text,
    content    bytea NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (scope, name)
);
ALTER TABLE drift_baselines ALTER COLUMN content SET STORAGE EXTERNAL;

CREATE TABLE drifts (
    drift_id    uuid PRIMARY KEY,
    asset_id    uuid NOT NULL REFERENCES assets ON DELETE CASCADE,
    run_id      uuid NOT NULL,
    module      text NOT NULL,
    kind        text NOT NULL CHECK (kind IN ('process', 'port', 'file', 'account', 'software', 'service', 'autorun')),
    change      text NOT NULL CHECK (change IN ('appeared', 'changed', 'vanished')),
    subject     text NOT NULL,
    -- The form it had, and the form it has.
    before      text,
    after       text,
    rarity      smallint NOT NULL CHECK (rarity BETWEEN 0 AND 100),
    sentence    text NOT NULL,
    evidence    jsonb NOT NULL,
    group_name  text NOT NULL,
    -- The approval or maintenance window because of which nobody is told: by, who, why, from, until.
    silenced_by jsonb,
    found_at    timestamptz NOT NULL
);
CREATE INDEX drifts_found_at ON drifts (found_at DESC, drift_id);
CREATE INDEX drifts_asset_id ON drifts (asset_id, found_at DESC, drift_id);

-- Approved changes and maintenance windows: for one asset, for a group of like assets, or for all.
CREATE TABLE drift_grants (
    grant_id     uuid PRIMARY KEY,
    purpose      text NOT NULL CHECK (purpose IN ('approval', 'maintenance')),
    asset_id     uuid REFERENCES assets ON DELETE CASCADE,
    group_name   text CHECK (asset_id IS NULL OR group_name IS NULL),
    -- Of an approval: which things.
    kind         text CHECK (kind IN ('process', 'port', 'file', 'account', 'software', 'service', 'autorun')),
    subject      text,
    is_beginning boolean NOT NULL DEFAULT false,
    detail       text,
    who          text NOT NULL,
    why          text NOT NULL,
    starts_at    timestamptz NOT NULL,
    ends_at      timestamptz NOT NULL CHECK (ends_at > starts_at),
    created_by   text NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    CHECK ((purpose = 'approval') = (kind IS NOT NULL AND subject IS NOT NULL))
);
CREATE INDEX drift_grants_ends_at ON drift_grants (ends_at);
CREATE INDEX drift_grants_asset_id ON drift_grants (asset_id) WHERE asset_id IS NOT NULL;
