-- Retention: what stops it, what it did, and the one way in which rows leave an audit log. Runs as tenantra_owner.

-- While a tenant has one that is not lifted, retention deletes nothing of it; the purge of an offboarded tenant has approvals
-- of its own. A row is never removed: it says who kept what, and why.
CREATE TABLE shared.legal_holds (
    hold_id     uuid PRIMARY KEY,
    tenant_id   uuid NOT NULL REFERENCES shared.tenants,
    tenant_role name NOT NULL,
    reason      text NOT NULL CHECK (length(reason) BETWEEN 1 AND 2000),
    placed_by   text NOT NULL,
    placed_at   timestamptz NOT NULL DEFAULT now(),
    lifted_by   text,
    lifted_at   timestamptz,
    CHECK ((lifted_at IS NULL) = (lifted_by IS NULL))
);
CREATE INDEX legal_holds_tenant_id ON shared.legal_holds (tenant_id, placed_at);

-- Each batch that deletes asks in its own transaction, as the tenant.
ALTER TABLE shared.legal_holds ENABLE ROW LEVEL SECURITY;
ALTER TABLE shared.legal_holds FORCE ROW LEVEL SECURITY;
CREATE POLICY tenants ON shared.legal_holds FOR SELECT TO tenantra_tenant USING (tenant_role = current_user);
CREATE POLICY platform ON shared.legal_holds TO tenantra_api, tenantra_owner USING (true) WITH CHECK (true);
GRANT SELECT (hold_id, tenant_id, tenant_role, lifted_at) ON shared.legal_holds TO tenantra_tenant;
GRANT SELECT, INSERT ON shared.legal_holds TO tenantra_api;
GRANT UPDATE (lifted_by, lifted_at) ON shared.legal_holds TO tenantra_api;

-- One row a run and tenant: what was planned and what was deleted, by table.
CREATE TABLE shared.retention_runs (
    run_id       uuid PRIMARY KEY,
    tenant_id    uuid NOT NULL REFERENCES shared.tenants,
    is_dry_run   boolean NOT NULL,
    state        text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'done', 'partial', 'held', 'failed')),
    parts        jsonb NOT NULL DEFAULT '[]',
    deleted_rows bigint NOT NULL DEFAULT 0 CHECK (deleted_rows >= 0),
    problem      text,
    started_at   timestamptz NOT NULL DEFAULT now(),
    renewed_at   timestamptz NOT NULL DEFAULT now(),
    finished_at  timestamptz
) WITH (fillfactor = 80);
CREATE INDEX retention_runs_tenant_id ON shared.retention_runs (tenant_id, started_at);
-- One replica at a time.
CREATE UNIQUE INDEX retention_runs_running ON shared.retention_runs (tenant_id) WHERE state = 'running';
GRANT SELECT, INSERT, UPDATE, DELETE ON shared.retention_runs TO tenantra_api;

-- A checkpoint behind which the log begins: the rows up to it were cut. One that was a look before is signed anew.
ALTER TABLE shared.audit_checkpoints ADD COLUMN IF NOT EXISTS is_cut boolean NOT NULL DEFAULT false;

-- Cuts the front of a tenant's audit log: rows of the chain up to `up_to`, at most `most`, none that is as young as
-- `before` or stands behind one that is. What is cut is checked first, and a checkpoint says where the log begins then; a
-- chain that is broken is not cut, which would hide it. Less than a month is kept by nobody's wish (29 days here: clocks
-- differ). SECURITY DEFINER: the log may be changed by its owner alone, and whoever may call this can make it do nothing else.
CREATE FUNCTION shared.cut_audit(tenant uuid, before timestamptz, up_to bigint, most integer, OUT removed bigint, OUT is_held boolean)
    RETURNS record LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    log text;
    place bigint;
    link bytea;
    final bigint;
    entry record;
BEGIN
    removed := 0;
    is_held := false;
    IF before > now() - interval '29 days' THEN
        RAISE EXCEPTION 'rows of an audit log are kept for at least 30 days' USING ERRCODE = 'TN005';
    END IF;
    SELECT format('%I.audit_log', 'tenant_' || replace(t.slug, '-', '_')) INTO log
        FROM shared.tenants t WHERE t.tenant_id = tenant AND t.state <> 'purged';
    IF log IS NULL OR to_regclass(log) IS NULL THEN
        RETURN;
    END IF;
    -- Whoever places a hold takes this lock alone, and so knows that no batch is under way.
    PERFORM pg_advisory_xact_lock_shared(hashtextextended('retention ' || tenant::text, 0));
    IF EXISTS (SELECT FROM shared.legal_holds h WHERE h.tenant_id = tenant AND h.lifted_at IS NULL) THEN
        is_held := true;
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('audit ' || log, 0));
    SELECT c.sequence, c.head INTO place, link
        FROM shared.audit_checkpoints c WHERE c.tenant_id = tenant AND c.is_cut ORDER BY c.sequence DESC LIMIT 1;
    place := coalesce(place, 0);
    link := coalesce(link, sha256(convert_to('tenantra audit chain 1', 'UTF8')));
    EXECUTE 'SELECT least($2, $3 + $4, min(l.sequence) - 1) FROM ' || log || ' l WHERE l.sequence IS NOT NULL AND l.created_at >= $1'
        INTO final USING before, up_to, place, most;
    FOR entry IN EXECUTE 'SELECT l.sequence AS seq, l.hash, l.audit_id, l.actor, l.action, l.subject, l.details::text AS details, l.created_at FROM '
        || log || ' l WHERE l.sequence <= $1 ORDER BY l.sequence' USING final
    LOOP
        place := place + 1;
        link := sha256(link || int8send(place) || uuid_send(entry.audit_id)
            || int8send((extract(epoch FROM entry.created_at) * 1000000)::bigint)
            || shared.audit_field(entry.actor) || shared.audit_field(entry.action)
            || shared.audit_field(entry.subject) || shared.audit_field(entry.details));
        IF entry.seq <> place OR entry.hash IS DISTINCT FROM link THEN
            RAISE EXCEPTION 'row % of the audit log does not follow the row before it, and a broken chain is not cut: see `tenantra audit verify`', entry.seq
                USING ERRCODE = 'TN005';
        END IF;
        removed := removed + 1;
    END LOOP;
    IF removed = 0 THEN
        RETURN;
    END IF;
    EXECUTE 'DELETE FROM ' || log || ' l WHERE l.sequence <= $1' USING place;
    INSERT INTO shared.audit_checkpoints AS kept (tenant_id, sequence, head, kept_rows, is_cut) VALUES (tenant, place, link, 0, true)
        ON CONFLICT (tenant_id, sequence) DO UPDATE SET is_cut = true, kept_rows = 0, created_at = now(), signature = NULL, key_version = NULL, signed_at = NULL
        WHERE kept.head = excluded.head;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'row % of the audit log is not the one that a checkpoint saw there, and such a chain is not cut', place
            USING ERRCODE = 'TN005';
    END IF;
END $$;
REVOKE ALL ON FUNCTION shared.cut_audit(uuid, timestamptz, bigint, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION shared.cut_audit(uuid, timestamptz, bigint, integer) TO tenantra_api;
