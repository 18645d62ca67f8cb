-- A server that became a standby, or was made read-only, still answers reads. Not transaction_read_only: reads of ours
-- always are.

-- name: schema.takes_writes
SELECT CASE WHEN pg_is_in_recovery() OR current_setting('default_transaction_read_only') = 'on' THEN 0 ELSE 1 END
