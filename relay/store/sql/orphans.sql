-- What matched nobody, and what could not be read, as the platform team deals with it.

-- name: orphans.list_open
SELECT id, account, kind, source, task_id, mobile_text, content, extension, raw_time, occurred_ms, received_ms, raw,
  resolved_ms, resolution FROM orphans
WHERE resolved_ms IS NULL AND id < :before AND (kind = :kind OR :kind IS NULL)
  AND (account = :account OR :account IS NULL)
ORDER BY id DESC LIMIT :most

-- name: orphans.list
SELECT id, account, kind, source, task_id, mobile_text, content, extension, raw_time, occurred_ms, received_ms, raw,
  resolved_ms, resolution FROM orphans
WHERE id < :before AND (resolved_ms > 0 OR :resolved = 0) AND (kind = :kind OR :kind IS NULL)
  AND (account = :account OR :account IS NULL)
ORDER BY id DESC LIMIT :most

-- name: orphans.view
SELECT id, account, kind, source, task_id, mobile_text, content, extension, raw_time, occurred_ms, received_ms, raw,
  resolved_ms, resolution FROM orphans WHERE id = :id

-- Once: whoever comes second changes nothing.
-- name: orphans.settle
UPDATE orphans SET resolved_ms = :now_ms, resolution = :resolution WHERE id = :id AND resolved_ms IS NULL

-- Counts stop at 10,000: see health.sql.
-- name: orphans.count_open
SELECT COUNT(*) FROM (SELECT id FROM orphans WHERE resolved_ms IS NULL LIMIT 10000) AS counted

-- name: quarantine.count
SELECT COUNT(*) FROM (SELECT id FROM raw_bodies WHERE state = 'quarantined' LIMIT 10000) AS counted

-- name: quarantine.list
SELECT id, account, kind, source, state, why, content_type, LENGTH(body), received_ms FROM raw_bodies
WHERE state = 'quarantined' AND id < :before AND (kind = :kind OR :kind IS NULL)
  AND (account = :account OR :account IS NULL)
ORDER BY id DESC LIMIT :most

-- name: quarantine.find
SELECT id, account, kind, source, state, why, content_type, LENGTH(body), received_ms, query, body, applied
FROM raw_bodies WHERE id = :id AND why IS NOT NULL

-- name: quarantine.settle
UPDATE raw_bodies SET state = :state, why = :why, applied = :applied WHERE id = :id AND state = 'quarantined'
