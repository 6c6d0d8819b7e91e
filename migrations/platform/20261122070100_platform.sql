-- no-transaction
-- Jobs that ended are forgotten after a week.
CREATE INDEX jobs_finished ON jobs (finished_at) WHERE finished_at IS NOT NULL;
