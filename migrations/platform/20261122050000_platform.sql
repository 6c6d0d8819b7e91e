-- A tenant's risk beside its score, with the sums by which tenants are added up.
ALTER TABLE shared.tenant_rollups
    ADD COLUMN risk        smallint CHECK (risk BETWEEN 0 AND 100),
    -- Loads of its assets, in millionths of a half (analysis::risk), and how many assets these are.
    ADD COLUMN risk_load   bigint NOT NULL DEFAULT 0,
    ADD COLUMN risk_assets bigint NOT NULL DEFAULT 0;
