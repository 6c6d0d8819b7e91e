-- A cut of an audit log looks for rows that are too young among those that it cuts, and no longer among all that are older: with
-- millions of these, each of thousands of batches passed over all that were left. All else is as it was. Runs as tenantra_owner.

CREATE OR REPLACE FUNCTION shared.cut_audit(tenant uuid, before timestamptz, up_to bigint, most integer, OUT removed bigint, OUT is_held boolean)
    RETURNS record LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    log text;
    place bigint;
    cut bigint;
    link bytea;
    final bigint;
    young bigint;
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
    cut := place;
    link := coalesce(link, sha256(convert_to('tenantra audit chain 1', 'UTF8')));
    final := least(up_to, cut + most);
    EXECUTE 'SELECT min(l.sequence) FROM ' || log || ' l WHERE l.sequence > $1 AND l.sequence <= $2 AND l.created_at >= $3'
        INTO young USING cut, final, before;
    final := least(final, young - 1);
    -- From the front, not from the cut: a row that somebody put there is a broken chain, too.
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
    EXECUTE 'DELETE FROM ' || log || ' l WHERE l.sequence > $1 AND l.sequence <= $2' USING cut, place;
    INSERT INTO shared.audit_checkpoints AS kept (tenant_id, sequence, head, kept_rows, is_cut) VALUES (tenant, place, link, 0, true)
        ON CONFLICT (tenant_id, sequence) DO UPDATE SET is_cut = true, kept_rows = 0, created_at = now(), signature = NULL, key_version = NULL, signed_at = NULL
        WHERE kept.head = excluded.head;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'row % of the audit log is not the one that a checkpoint saw there, and such a chain is not cut', place
            USING ERRCODE = 'TN005';
    END IF;
END $$;
