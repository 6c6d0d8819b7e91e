-- How each tenant's frameworks stand, for those who look at many; and when a waiver of the tenant next begins or ends, so
-- that its figures are measured then. Runs as tenantra_owner.
ALTER TABLE shared.tenant_rollups
    ADD COLUMN standings jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN due_at    timestamptz;
CREATE INDEX tenant_rollups_due_at ON shared.tenant_rollups (due_at) WHERE due_at IS NOT NULL;
