-- no-transaction
-- Lists of one check's findings in their own order, and with it what findings_check_id was for.
CREATE INDEX findings_of_check ON findings (module, check_id, status, severity_rank DESC, opened_at DESC, finding_id);
-- Nearly every run succeeds or finds nothing new; those that did not are looked for among all of them.
CREATE INDEX runs_unsuccessful ON runs (received_at) WHERE status IN ('failed', 'timeout', 'partial');
