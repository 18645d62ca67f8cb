-- Where PostgreSQL must differ: locks between several writers.

-- A pulled body may be taken up by two processes at once.
-- name: raw.state
SELECT state FROM raw_bodies WHERE id = :id FOR UPDATE
