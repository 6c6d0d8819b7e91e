-- The catalog's lifecycle, kept by the database whoever asks: states go forward one step at a time, what was released
-- never changes, and only what is released (or deprecated, before its sunset) can be queued. Runs as tenantra_owner.

ALTER TABLE shared.module_versions
    ADD COLUMN updated_at       timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN state_changed_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN state_changed_by text NOT NULL DEFAULT '',
    ADD COLUMN released_at      timestamptz,
    ADD COLUMN deprecated_at    timestamptz,
    ADD COLUMN retired_at       timestamptz,
    -- What the quality gates said of this content; see catalog::lifecycle::GateReport.
    ADD COLUMN gates            jsonb;
UPDATE shared.module_versions SET released_at = created_at WHERE state IN ('released', 'deprecated', 'retired');
UPDATE shared.module_versions SET sunset_at = now() + interval '90 days' WHERE state = 'deprecated' AND sunset_at IS NULL;
ALTER TABLE shared.module_versions ADD CONSTRAINT module_versions_sunset CHECK (state <> 'deprecated' OR sunset_at IS NOT NULL);

DROP TRIGGER released_is_immutable ON shared.module_versions;
DROP FUNCTION shared.refuse_released_change();

-- SQLSTATEs: TN001 immutable, TN002 not schedulable, TN003 no such step, TN004 no quality gates on record.
CREATE FUNCTION shared.guard_module_version() RETURNS trigger
    LANGUAGE plpgsql SECURITY INVOKER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.state <> 'draft' THEN
            RAISE EXCEPTION 'module % % is new and begins as draft, not %', NEW.module, NEW.version, NEW.state
                USING ERRCODE = 'TN003';
        END IF;
        RETURN NEW;
    END IF;
    IF TG_OP = 'DELETE' THEN
        IF OLD.state NOT IN ('draft', 'qa') THEN
            RAISE EXCEPTION 'module % % was released and stays', OLD.module, OLD.version USING ERRCODE = 'TN001';
        END IF;
        RETURN OLD;
    END IF;
    IF OLD.state NOT IN ('draft', 'qa') AND
        (NEW.module, NEW.version, NEW.checksum, NEW.profile, NEW.document, NEW.parameters_schema, NEW.created_at, NEW.released_at)
        IS DISTINCT FROM
        (OLD.module, OLD.version, OLD.checksum, OLD.profile, OLD.document, OLD.parameters_schema, OLD.created_at, OLD.released_at)
    THEN
        RAISE EXCEPTION 'module % % is released and immutable; raise its version', OLD.module, OLD.version
            USING ERRCODE = 'TN001';
    END IF;
    -- What the gates said holds for the content they saw.
    IF NEW.checksum <> OLD.checksum AND NEW.gates IS NOT DISTINCT FROM OLD.gates THEN
        NEW.gates := NULL;
    END IF;
    IF NEW.state <> OLD.state THEN
        IF (OLD.state, NEW.state) NOT IN
            (('draft', 'qa'), ('qa', 'released'), ('released', 'deprecated'), ('deprecated', 'retired')) THEN
            RAISE EXCEPTION 'module % % is % and cannot become %: the steps are draft, qa, released, deprecated, retired',
                OLD.module, OLD.version, OLD.state, NEW.state USING ERRCODE = 'TN003';
        END IF;
        IF NEW.state IN ('qa', 'released')
            AND (NEW.gates IS NULL OR NEW.gates ->> 'checksum' IS DISTINCT FROM NEW.checksum
                 OR NEW.gates ->> 'passed' IS DISTINCT FROM 'true') THEN
            RAISE EXCEPTION 'module % % has no passed quality gates on record for this content', OLD.module, OLD.version
                USING ERRCODE = 'TN004';
        END IF;
        NEW.state_changed_at := now();
        NEW.released_at := CASE WHEN NEW.state = 'released' THEN now() ELSE OLD.released_at END;
        NEW.deprecated_at := CASE WHEN NEW.state = 'deprecated' THEN now() ELSE OLD.deprecated_at END;
        NEW.retired_at := CASE WHEN NEW.state = 'retired' THEN now() ELSE OLD.retired_at END;
    END IF;
    NEW.updated_at := now();
    RETURN NEW;
END $$;
REVOKE ALL ON FUNCTION shared.guard_module_version() FROM PUBLIC;
CREATE TRIGGER lifecycle BEFORE INSERT OR UPDATE OR DELETE ON shared.module_versions
    FOR EACH ROW EXECUTE FUNCTION shared.guard_module_version();

-- The checks and mappings of a released version are its content too.
CREATE FUNCTION shared.guard_module_content() RETURNS trigger
    LANGUAGE plpgsql SECURITY INVOKER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP <> 'INSERT' AND EXISTS (SELECT FROM shared.module_versions v
        WHERE v.module = OLD.module AND v.version = OLD.version AND v.state NOT IN ('draft', 'qa')) THEN
        RAISE EXCEPTION 'module % % is released and immutable; raise its version', OLD.module, OLD.version
            USING ERRCODE = 'TN001';
    END IF;
    IF TG_OP <> 'DELETE' AND EXISTS (SELECT FROM shared.module_versions v
        WHERE v.module = NEW.module AND v.version = NEW.version AND v.state NOT IN ('draft', 'qa')) THEN
        RAISE EXCEPTION 'module % % is released and immutable; raise its version', NEW.module, NEW.version
            USING ERRCODE = 'TN001';
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    RETURN NEW;
END $$;
REVOKE ALL ON FUNCTION shared.guard_module_content() FROM PUBLIC;
CREATE TRIGGER released_is_immutable BEFORE INSERT OR UPDATE OR DELETE ON shared.checks
    FOR EACH ROW EXECUTE FUNCTION shared.guard_module_content();
CREATE TRIGGER released_is_immutable BEFORE INSERT OR UPDATE OR DELETE ON shared.control_mappings
    FOR EACH ROW EXECUTE FUNCTION shared.guard_module_content();

CREATE FUNCTION shared.refuse_truncate() RETURNS trigger
    LANGUAGE plpgsql SECURITY INVOKER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'the catalog holds released modules, which stay' USING ERRCODE = 'TN001';
END $$;
REVOKE ALL ON FUNCTION shared.refuse_truncate() FROM PUBLIC;
CREATE TRIGGER stays BEFORE TRUNCATE ON shared.module_versions EXECUTE FUNCTION shared.refuse_truncate();
CREATE TRIGGER stays BEFORE TRUNCATE ON shared.checks EXECUTE FUNCTION shared.refuse_truncate();
CREATE TRIGGER stays BEFORE TRUNCATE ON shared.control_mappings EXECUTE FUNCTION shared.refuse_truncate();

-- A job is queued for what may run. One that was handed out already runs to its end, whatever becomes of its module.
CREATE FUNCTION shared.guard_job_module() RETURNS trigger
    LANGUAGE plpgsql SECURITY INVOKER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM shared.module_versions v WHERE v.module = NEW.module AND v.version = NEW.version
        AND (v.state = 'released' OR (v.state = 'deprecated' AND v.sunset_at > now()))) THEN
        RAISE EXCEPTION 'module % % is not schedulable: neither released, nor deprecated and before its sunset',
            NEW.module, NEW.version USING ERRCODE = 'TN002';
    END IF;
    RETURN NEW;
END $$;
REVOKE ALL ON FUNCTION shared.guard_job_module() FROM PUBLIC;
CREATE TRIGGER schedulable BEFORE INSERT ON shared.jobs FOR EACH ROW EXECUTE FUNCTION shared.guard_job_module();

-- The sweeper looks for what is due.
CREATE INDEX module_versions_sunset_at ON shared.module_versions (sunset_at) WHERE state = 'deprecated';

-- A draft that is sent again loses the checks it no longer has; the triggers keep those of released ones.
GRANT DELETE ON shared.checks, shared.control_mappings TO tenantra_api;
