-- no-transaction
-- A check's verdicts over all assets are counted without their rows, and with it what check_states_check_id was for.
CREATE INDEX check_states_of_check ON check_states (module, check_id, verdict, is_waived);
