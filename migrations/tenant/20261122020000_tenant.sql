-- no-transaction
-- Finds the head of the chain, and what has no place in it yet.
CREATE UNIQUE INDEX audit_log_sequence ON audit_log (sequence);
