-- findings_of_check begins with the same columns.
DROP INDEX findings_check_id;
