-- PostgreSQL's own clock, as it is at this statement: now() would stand still since the transaction began.
-- name: clock.now_ms
SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint
