-- The audit chain. A tenant's role inserts rows and can set neither sequence nor hash; one chainer for each tenant gives
-- them, in the order in which rows were committed. Runs as tenantra_owner.

-- What the chain was at a time, outside of the tenant's schema: a log that was cut at either end is found by it.
CREATE TABLE shared.audit_checkpoints (
    tenant_id  uuid NOT NULL REFERENCES shared.tenants,
    sequence   bigint NOT NULL CHECK (sequence > 0),
    head       bytea NOT NULL CHECK (length(head) = 32),
    kept_rows  bigint NOT NULL CHECK (kept_rows BETWEEN 0 AND sequence),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, sequence)
);

-- A text in what is hashed: its length, then its bytes, so that no two rows give the same bytes.
CREATE FUNCTION shared.audit_field(value text) RETURNS bytea
    LANGUAGE sql IMMUTABLE SECURITY INVOKER SET search_path = pg_catalog, pg_temp AS $$
    SELECT int4send(octet_length(convert_to(value, 'UTF8'))) || convert_to(value, 'UTF8')
$$;
REVOKE ALL ON FUNCTION shared.audit_field(text) FROM PUBLIC;

-- Gives sequence and hash to the tenant's rows that have none, `most` at once, and keeps a checkpoint an hour. Waits for
-- another chainer of the tenant, at most its session's lock_timeout: what was committed while that one read is left to
-- this one. SECURITY DEFINER: the log may be changed by its owner alone, and whoever may
-- call this can make it do nothing else.
CREATE FUNCTION shared.chain_audit(tenant uuid, most integer, OUT chained bigint, OUT late bigint, OUT head_sequence bigint)
    RETURNS record LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    log text;
    place bigint;
    head bytea;
    checkpoint record;
    entry record;
    ids uuid[] := '{}';
    places bigint[] := '{}';
    heads bytea[] := '{}';
BEGIN
    chained := 0;
    late := 0;
    SELECT format('%I.audit_log', 'tenant_' || replace(t.slug, '-', '_')) INTO log
        FROM shared.tenants t WHERE t.tenant_id = tenant AND t.state <> 'purged';
    IF log IS NULL OR to_regclass(log) IS NULL THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('audit ' || log, 0));
    EXECUTE 'SELECT l.sequence, l.hash FROM ' || log || ' l WHERE l.sequence IS NOT NULL ORDER BY l.sequence DESC LIMIT 1' INTO place, head;
    SELECT c.sequence, c.head, c.created_at INTO checkpoint
        FROM shared.audit_checkpoints c WHERE c.tenant_id = tenant ORDER BY c.sequence DESC LIMIT 1;
    -- A log whose end was cut goes on where the chain was, so that the gap stays to be seen.
    IF checkpoint.sequence > coalesce(place, 0) THEN
        place := checkpoint.sequence;
        head := checkpoint.head;
    END IF;
    place := coalesce(place, 0);
    head := coalesce(head, sha256(convert_to('tenantra audit chain 1', 'UTF8')));
    FOR entry IN EXECUTE 'SELECT l.audit_id, l.actor, l.action, l.subject, l.details::text AS details, l.created_at FROM ' || log
        || ' l WHERE l.sequence IS NULL ORDER BY l.created_at, l.audit_id LIMIT $1' USING most
    LOOP
        place := place + 1;
        head := sha256(head || int8send(place) || uuid_send(entry.audit_id)
            || int8send((extract(epoch FROM entry.created_at) * 1000000)::bigint)
            || shared.audit_field(entry.actor) || shared.audit_field(entry.action)
            || shared.audit_field(entry.subject) || shared.audit_field(entry.details));
        ids := ids || entry.audit_id;
        places := places || place;
        heads := heads || head;
        IF entry.created_at < now() - interval '5 seconds' THEN
            late := late + 1;
        END IF;
    END LOOP;
    chained := cardinality(ids);
    head_sequence := place;
    IF chained > 0 THEN
        EXECUTE 'UPDATE ' || log || ' l SET sequence = u.place, hash = u.head FROM unnest($1, $2, $3) AS u(id, place, head)
            WHERE l.audit_id = u.id' USING ids, places, heads;
    END IF;
    IF place > coalesce(checkpoint.sequence, 0)
        AND (checkpoint.created_at IS NULL OR checkpoint.created_at < now() - interval '1 hour') THEN
        EXECUTE 'INSERT INTO shared.audit_checkpoints (tenant_id, sequence, head, kept_rows)
            SELECT $1, $2, $3, coalesce($2 + 1 - min(l.sequence), 0) FROM ' || log || ' l' USING tenant, place, head;
    END IF;
END $$;
REVOKE ALL ON FUNCTION shared.chain_audit(uuid, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION shared.chain_audit(uuid, integer) TO tenantra_api;
GRANT SELECT ON shared.audit_checkpoints TO tenantra_api;
