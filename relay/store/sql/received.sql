-- Raw bodies, reports, inbound messages and orphans.

-- name: raw.state
SELECT state FROM raw_bodies WHERE id = :id

-- name: raw.insert
INSERT INTO raw_bodies (id, account, kind, source, content_type, query, body, received_ms, state, why, applied)
VALUES (:id, :account, :kind, :source, :content_type, :query, :body, :received_ms, :state, :why, :applied)
ON CONFLICT (id) DO NOTHING

-- name: raw.take
UPDATE raw_bodies SET state = :state, why = :why, applied = :applied WHERE id = :id AND state = 'pending'

-- name: raw.set_state
UPDATE raw_bodies SET state = :state, why = :why WHERE id = :id

-- name: raw.forget
DELETE FROM raw_bodies WHERE id = :id AND state = 'pending'

-- name: raw.pending
SELECT id, account, kind, source, content_type, query, body, received_ms FROM raw_bodies
WHERE state = 'pending' ORDER BY id LIMIT :most

-- name: recipients.find
SELECT submission, mobile, status FROM recipients WHERE submission = :submission AND mobile = :mobile

-- name: recipients.set_status
UPDATE recipients SET status = :status, reason = :reason, provider_status = :provider_status, final_ms = :final_ms
WHERE submission = :submission AND mobile = :mobile

-- name: reports.insert
INSERT INTO reports (submission, mobile, source, raw_status, raw_time, received_ms)
VALUES (:submission, :mobile, :source, :raw_status, :raw_time, :received_ms)

-- name: reports.words
SELECT DISTINCT raw_status FROM reports WHERE submission = :submission AND mobile = :mobile

-- name: reports.first_of
SELECT id FROM reports WHERE submission = :submission LIMIT 1

-- name: orphans.insert
INSERT INTO orphans (id, account, kind, source, task_id, mobile_text, content, extension, raw_time, occurred_ms,
  received_ms, raw)
VALUES (:id, :account, :kind, :source, :task_id, :mobile_text, :content, :extension, :raw_time, :occurred_ms,
  :received_ms, :raw)

-- name: orphans.of_task
SELECT id, source, mobile_text, content, raw_time, occurred_ms, received_ms, raw FROM orphans
WHERE account = :account AND task_id = :task_id AND resolved_ms IS NULL AND kind = 'report' ORDER BY id

-- Reports of the last minutes whose task is known by now: its submission was stored while they were.
-- name: orphans.adoptable
-- The join is CROSS because SQLite then keeps its order: few orphans, each with one look into the submissions.
-- COALESCE keeps PostgreSQL from walking over the index of all that is not resolved.
SELECT s.id, o.task_id FROM orphans o CROSS JOIN submissions s
WHERE o.id >= :since_id AND COALESCE(o.resolved_ms, 0) = 0 AND o.task_id IS NOT NULL AND o.kind = 'report'
  AND s.provider_task_id = o.task_id AND s.account = o.account
ORDER BY o.id LIMIT :most

-- name: orphans.resolve
UPDATE orphans SET resolved_ms = :now_ms WHERE id = :id

-- name: inbound.twin
SELECT id FROM inbound_seen
WHERE account = :account AND digest = :digest AND paired = 0 AND source <> :source
  AND (mobile = :mobile OR mobile IS NULL OR :mobile IS NULL)
ORDER BY id LIMIT 1

-- name: inbound.pair
UPDATE inbound_seen SET paired = 1 WHERE id = :id

-- name: inbound.note
INSERT INTO inbound_seen (account, digest, mobile, source, paired, received_ms)
VALUES (:account, :digest, :mobile, :source, 0, :received_ms)

-- name: messages.last_to
SELECT m.id, m.team FROM recipients r
JOIN submissions s ON s.id = r.submission
JOIN messages m ON m.id = s.message
WHERE LOWER(HEX(SUBSTR(r.submission, 1, 3))) IN (SELECT value FROM json_each(:spans))
  AND r.mobile = :mobile AND r.submission >= :since_id AND s.account = :account
  AND s.status NOT IN ('scheduled', 'queued', 'failed', 'canceled')
ORDER BY r.submission DESC LIMIT 1

-- name: messages.last_of_team_to
SELECT m.id FROM recipients r
JOIN submissions s ON s.id = r.submission
JOIN messages m ON m.id = s.message
WHERE LOWER(HEX(SUBSTR(r.submission, 1, 3))) IN (SELECT value FROM json_each(:spans))
  AND r.mobile = :mobile AND r.submission >= :since_id AND m.team = :team
  AND s.status NOT IN ('scheduled', 'queued', 'failed', 'canceled')
ORDER BY r.submission DESC LIMIT 1

-- name: inbound.insert
INSERT INTO inbound (id, team, account, mobile_text, extension, text, occurred_ms, received_ms, matched_by, message, raw)
VALUES (:id, :team, :account, :mobile_text, :extension, :text, :occurred_ms, :received_ms, :matched_by, :message, :raw)
