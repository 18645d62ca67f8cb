-- Teams.

-- name: teams.insert
INSERT INTO teams (id, name, signature, accounts, quota_units_per_day, requests_per_s, recipient_limits, created_ms, settings)
VALUES (:id, :name, :signature, :accounts, :quota_units_per_day, :requests_per_s, :recipient_limits, :created_ms, :settings)

-- name: teams.by_name
SELECT id FROM teams WHERE name = :name

-- name: teams.find
SELECT id, name, signature, accounts, quota_units_per_day, requests_per_s, recipient_limits, created_ms, settings, version
FROM teams WHERE id = :id AND deleted_ms IS NULL

-- name: teams.list
SELECT id, name, signature, accounts, quota_units_per_day, requests_per_s, recipient_limits, created_ms, settings, version
FROM teams WHERE id < :before AND deleted_ms IS NULL ORDER BY id DESC LIMIT :most

-- name: teams.update
UPDATE teams SET name = :name, signature = :signature, accounts = :accounts, quota_units_per_day = :quota_units_per_day,
  requests_per_s = :requests_per_s, recipient_limits = :recipient_limits, settings = :settings, version = version + 1
WHERE id = :id AND version = :version AND deleted_ms IS NULL

-- Its extensions are part of what a version counts.
-- name: teams.touch
UPDATE teams SET version = version + 1 WHERE id = :id

-- The name is free again: names are unique among the deleted, too.
-- name: teams.delete
UPDATE teams SET name = :name, deleted_ms = :now_ms, version = version + 1
WHERE id = :id AND version = :version AND deleted_ms IS NULL

-- name: teams.revoke_keys
UPDATE api_keys SET revoked_ms = :now_ms WHERE team = :team AND revoked_ms IS NULL

-- name: teams.endpoints
SELECT id FROM endpoints WHERE team = :team AND deleted_ms IS NULL

-- What is under way is less than what the team ever sent: each is found among what is in that state, of all teams. A
-- subquery and no join, which PostgreSQL would begin with the messages.
-- name: teams.waits
SELECT s.id FROM submissions s WHERE s.status IN ('scheduled', 'queued') AND s.expires_ms > 0
  AND (SELECT m.team FROM messages m WHERE m.id = s.message) = :team LIMIT 1

-- name: teams.submits
SELECT s.id FROM submissions s WHERE s.status = 'submitting'
  AND (SELECT m.team FROM messages m WHERE m.id = s.message) = :team LIMIT 1

-- name: teams.expects
SELECT s.id FROM submissions s WHERE s.status IN ('submitted', 'unconfirmed') AND s.n_open > 0 AND s.since_ms > 0
  AND (SELECT m.team FROM messages m WHERE m.id = s.message) = :team LIMIT 1

-- name: quota.used
SELECT units FROM quota_use WHERE team = :team AND day = :day

-- Of what was accepted without a quota, which counts nothing: its ids begin with their time.
-- name: quota.accepted
SELECT CAST(COALESCE(SUM(m.segments * (m.to_count - t.n_canceled - t.n_failed)), 0) AS BIGINT)
FROM messages m JOIN message_states t ON t.message = m.id WHERE m.team = :team AND m.id >= :since_id

-- name: quota.set
INSERT INTO quota_use (team, day, units) VALUES (:team, :day, :units)
ON CONFLICT (team, day) DO UPDATE SET units = excluded.units
