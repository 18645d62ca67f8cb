-- Whether the store can serve, and how much waits. Counts stop at 10,000: a metric must not scan a table that grows.

-- name: schema.revision
SELECT version_num FROM alembic_version

-- name: schema.takes_writes
SELECT 1

-- name: submissions.waiting
SELECT COUNT(*), MIN(due_ms) FROM (
  SELECT due_ms FROM submissions WHERE status IN ('scheduled', 'queued') AND due_ms <= :now_ms LIMIT 10000) AS waiting

-- name: deliveries.waiting
SELECT COUNT(*), MIN(due_ms) FROM (
  SELECT due_ms FROM deliveries WHERE claim IS NULL AND due_ms <= :now_ms LIMIT 10000) AS waiting

-- name: raw.waiting
SELECT COUNT(*), MIN(received_ms) FROM (
  SELECT received_ms FROM raw_bodies WHERE state = 'pending' AND received_ms <= :now_ms LIMIT 10000) AS waiting
