-- no-transaction
-- Retention goes through each table from its oldest row on.
CREATE INDEX fact_changes_changed_at ON fact_changes (changed_at);
CREATE INDEX check_transitions_changed_at ON check_transitions (changed_at);
CREATE INDEX findings_closed_at ON findings (closed_at) WHERE status = 'closed';
CREATE INDEX score_days_day ON score_days (day) WHERE scope = 'asset';
