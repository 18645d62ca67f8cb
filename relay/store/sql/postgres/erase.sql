-- PostgreSQL has no INSTR; POSITION finds bytes in bytes.

-- name: erase.raw_bodies
SELECT id, POSITION(CAST(:digits AS BYTEA) IN body) > 0 OR POSITION(CAST(:digits AS BYTEA) IN query) > 0
  OR POSITION(CAST(:mask AS BYTEA) IN body) > 0 OR POSITION(CAST(:mask AS BYTEA) IN query) > 0
  OR POSITION(CAST(:quoted AS BYTEA) IN query) > 0 OR POSITION(CAST(:quoted AS BYTEA) IN body) > 0
FROM raw_bodies WHERE id > :after ORDER BY id LIMIT :most

-- name: erase.events
SELECT id, POSITION(CAST(:digits AS BYTEA) IN payload) > 0 FROM events WHERE id > :after ORDER BY id LIMIT :most

-- name: erase.attempts
SELECT id, POSITION(CAST(:digits AS BYTEA) IN answer) > 0 FROM attempts WHERE id > :after ORDER BY id LIMIT :most
