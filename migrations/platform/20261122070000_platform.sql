-- Events of the outbox: in order for each aggregate, leased to one worker at a time, put aside after too many tries.
-- Signatures of audit checkpoints. Runs as tenantra_owner.

-- Each of these columns has Postgres write the whole table anew, while nobody can leave an event. What was worked off says
-- nothing any more and goes; the few events that wait are put aside and come back in their order.
LOCK TABLE shared.outbox IN ACCESS EXCLUSIVE MODE;
CREATE TABLE shared.outbox_waiting AS SELECT * FROM shared.outbox WHERE done_at IS NULL;
TRUNCATE shared.outbox;

ALTER TABLE shared.outbox
    -- The order in which events were written. Writers of one aggregate come one after the other, by its own lock.
    ADD COLUMN position     bigint GENERATED ALWAYS AS IDENTITY,
    -- What the event happened to; one that names nothing is an aggregate by itself.
    ADD COLUMN aggregate_id uuid NOT NULL DEFAULT gen_random_uuid(),
    ADD COLUMN lease        uuid,
    ADD COLUMN leased_until timestamptz,
    ADD COLUMN dead_at      timestamptz;
ALTER TABLE shared.outbox
    -- The aggregate's hash: events of one lane are never worked on side by side.
    ADD COLUMN lane bigint NOT NULL GENERATED ALWAYS AS (uuid_hash_extended(aggregate_id, 0)) STORED,
    ADD CONSTRAINT outbox_done_or_dead CHECK (done_at IS NULL OR dead_at IS NULL),
    ADD CONSTRAINT outbox_lease CHECK ((lease IS NULL) = (leased_until IS NULL)),
    SET (fillfactor = 80);

INSERT INTO shared.outbox (event_id, tenant_role, kind, aggregate_id, subject_id, payload, attempts, not_before, last_error, created_at)
    SELECT w.event_id, w.tenant_role, w.kind,
        CASE WHEN w.kind = 'run.ingested' THEN coalesce((w.payload ->> 'asset_id')::uuid, gen_random_uuid()) ELSE gen_random_uuid() END,
        w.subject_id, w.payload, w.attempts, w.not_before, w.last_error, w.created_at
    FROM shared.outbox_waiting w ORDER BY w.created_at, w.event_id;
DROP TABLE shared.outbox_waiting;

DROP INDEX shared.outbox_open;
CREATE INDEX outbox_lanes ON shared.outbox (tenant_role, lane, position) WHERE done_at IS NULL AND dead_at IS NULL;
CREATE INDEX outbox_leased ON shared.outbox (tenant_role, lane) WHERE lease IS NOT NULL;
CREATE INDEX outbox_done ON shared.outbox (done_at) WHERE done_at IS NOT NULL;
CREATE INDEX outbox_dead ON shared.outbox (dead_at, event_id) WHERE dead_at IS NOT NULL;

-- Finds lanes whose oldest event is due and of which nothing is leased, and keeps their advisory locks until the end of the
-- transaction: `most` at most, `most_of_one` of each tenant, tenants in turn after `start`, lanes of a tenant from `seed`
-- on, so that one that waits never hides those behind it. `turn` is the last tenant that was looked at; `is_cut` says that
-- there may be more. Each query sees what was committed before it began: whoever held a lane's lock before has committed.
CREATE FUNCTION shared.outbox_lanes(start name, seed bigint, most integer, most_of_one integer,
    OUT roles name[], OUT lanes bigint[], OUT turn name, OUT is_cut boolean)
    RETURNS record LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    -- Lanes looked at, in all and of one tenant: some microseconds each.
    looks integer := 20000;
    looks_of_one integer;
    of_one integer;
    has_wrapped boolean := false;
    has_turned boolean;
    next_role name;
    place bigint;
    head record;
BEGIN
    roles := '{}';
    lanes := '{}';
    turn := start;
    is_cut := false;
    LOOP
        SELECT o.tenant_role INTO next_role FROM shared.outbox o
            WHERE o.done_at IS NULL AND o.dead_at IS NULL AND o.tenant_role > turn ORDER BY o.tenant_role LIMIT 1;
        IF NOT FOUND THEN
            EXIT WHEN has_wrapped;
            has_wrapped := true;
            turn := '';
            CONTINUE;
        END IF;
        EXIT WHEN has_wrapped AND next_role > start;
        turn := next_role;
        of_one := 0;
        looks_of_one := 1000;
        has_turned := false;
        place := seed;
        LOOP
            SELECT o.lane, o.not_before, o.leased_until INTO head FROM shared.outbox o
                WHERE o.done_at IS NULL AND o.dead_at IS NULL AND o.tenant_role = turn AND o.lane > place
                ORDER BY o.lane, o.position LIMIT 1;
            IF NOT FOUND OR (has_turned AND head.lane > seed) THEN
                EXIT WHEN has_turned;
                has_turned := true;
                -- The least bigint is no lane that matters: one in 2^64 waits for another start.
                place := -9223372036854775808;
                CONTINUE;
            END IF;
            place := head.lane;
            looks := looks - 1;
            looks_of_one := looks_of_one - 1;
            IF head.not_before <= now() AND (head.leased_until IS NULL OR head.leased_until <= now())
                AND pg_try_advisory_xact_lock(hashint8extended(place, 7)) THEN
                PERFORM FROM shared.outbox o WHERE o.tenant_role = turn AND o.lane = place AND o.lease IS NOT NULL
                    AND o.leased_until > now();
                IF NOT FOUND THEN
                    roles := roles || turn;
                    lanes := lanes || place;
                    of_one := of_one + 1;
                END IF;
            END IF;
            IF of_one >= most_of_one OR looks_of_one <= 0 OR cardinality(lanes) >= most THEN
                is_cut := is_cut OR of_one > 0;
                EXIT;
            END IF;
        END LOOP;
        EXIT WHEN cardinality(lanes) >= most OR looks <= 0;
    END LOOP;
END $$;
REVOKE ALL ON FUNCTION shared.outbox_lanes(name, bigint, integer, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION shared.outbox_lanes(name, bigint, integer, integer) TO tenantra_api;

-- What the operator signed, and with which version of the tenant's key. The API reads and never writes them.
ALTER TABLE shared.audit_checkpoints
    ADD COLUMN signature   bytea CHECK (length(signature) = 64),
    ADD COLUMN key_version integer CHECK (key_version > 0),
    ADD COLUMN signed_at   timestamptz,
    ADD CONSTRAINT audit_checkpoints_signed CHECK (num_nulls(signature, key_version, signed_at) IN (0, 3));
CREATE INDEX audit_checkpoints_unsigned ON shared.audit_checkpoints (tenant_id, sequence) WHERE signature IS NULL;

CREATE TABLE shared.audit_keys (
    tenant_id   uuid NOT NULL REFERENCES shared.tenants,
    key_version integer NOT NULL CHECK (key_version > 0),
    public_key  bytea NOT NULL CHECK (length(public_key) = 32),
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, key_version)
);
GRANT SELECT ON shared.audit_keys TO tenantra_api;
