-- Waivers, and how controls stand: docs/adr/0011. A waived check is a failing one that a waiver in force covers; the flag is
-- what the kept scores were counted with, so that both change in one transaction.

-- Whom to ask, why, from when until when; on one asset, on the assets with a label, or (neither) on all; one check, or all
-- checks of a control. `phase` is as it was last counted.
CREATE TABLE waivers (
    waiver_id    uuid PRIMARY KEY,
    asset_id     uuid REFERENCES assets ON DELETE CASCADE,
    label_key    text,
    label_value  text,
    module       text,
    check_id     text,
    framework    text,
    control      text,
    who          text NOT NULL,
    why          text NOT NULL,
    starts_at    timestamptz NOT NULL,
    ends_at      timestamptz NOT NULL CHECK (ends_at > starts_at),
    phase        text NOT NULL DEFAULT 'waiting' CHECK (phase IN ('waiting', 'in_force', 'over')),
    created_at   timestamptz NOT NULL DEFAULT now(),
    created_by   text NOT NULL,
    revoked_at   timestamptz,
    revoked_by   text,
    CONSTRAINT waivers_where CHECK ((label_key IS NULL) = (label_value IS NULL) AND (asset_id IS NULL OR label_key IS NULL)),
    CONSTRAINT waivers_what CHECK ((module IS NULL) = (check_id IS NULL) AND (framework IS NULL) = (control IS NULL)
        AND (module IS NULL) <> (framework IS NULL))
);
CREATE INDEX waivers_asset_id ON waivers (asset_id);
CREATE INDEX waivers_open ON waivers (ends_at) WHERE phase <> 'over';

-- A constant default rewrites nothing, and what is checked of new rows only locks nobody out.
ALTER TABLE check_states ADD COLUMN is_waived boolean NOT NULL DEFAULT false;
ALTER TABLE check_states ADD CONSTRAINT check_states_waived CHECK (NOT is_waived OR verdict = 'fail') NOT VALID;

-- `failed` and `assessed_weight` are without what is waived. `revision` rises with each change of a verdict; as long as
-- `stood_revision` is another one, the asset's standings are behind.
ALTER TABLE asset_scores
    ADD COLUMN waived         integer NOT NULL DEFAULT 0,
    ADD COLUMN waived_weight  bigint NOT NULL DEFAULT 0,
    ADD COLUMN revision       bigint NOT NULL DEFAULT 1,
    ADD COLUMN stood_revision bigint NOT NULL DEFAULT 0;

-- How a framework stands on one asset, or (no asset) over all; the framework '' is all of them together. `controls` has the
-- kept sums of each of its controls that a check is mapped to; those that have none are not assessed.
CREATE TABLE standings (
    asset_id          uuid REFERENCES assets ON DELETE CASCADE,
    framework         text NOT NULL,
    passed_weight     bigint NOT NULL,
    assessed_weight   bigint NOT NULL,
    passed            bigint NOT NULL,
    failed            bigint NOT NULL,
    not_applicable    bigint NOT NULL,
    error             bigint NOT NULL,
    waived            bigint NOT NULL,
    waived_weight     bigint NOT NULL,
    controls_passed   bigint NOT NULL,
    controls_failed   bigint NOT NULL,
    controls_waived   bigint NOT NULL,
    controls          jsonb NOT NULL,
    -- Over all assets: how many of them are in the sums, and the frameworks and weights that these were counted by.
    assets            bigint,
    basis             text,
    updated_at        timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT standings_of UNIQUE NULLS NOT DISTINCT (asset_id, framework)
);

-- A framework's day: scope_id is drawn from its slug. `standing` is what insights are drawn from.
ALTER TABLE score_days DROP CONSTRAINT score_days_scope_check;
ALTER TABLE score_days ADD CONSTRAINT score_days_scope_check CHECK (scope IN ('tenant', 'asset', 'framework')) NOT VALID;
ALTER TABLE score_days ADD COLUMN standing jsonb;
