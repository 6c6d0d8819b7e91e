-- check_states_of_check begins with the same columns.
DROP INDEX check_states_check_id;
