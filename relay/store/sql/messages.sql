-- Messages, their submissions and recipients.

-- name: idempotency.find
SELECT fingerprint, status, answer_sealed FROM idempotency WHERE scope = :scope AND key = :key

-- No row when the key is in use: then it is another request's, which is committed by now.
-- name: idempotency.take
INSERT INTO idempotency (scope, key, fingerprint, status, answer_sealed, created_ms)
VALUES (:scope, :key, :fingerprint, :status, :answer_sealed, :created_ms)
ON CONFLICT (scope, key) DO NOTHING RETURNING created_ms

-- name: idempotency.keep_answer
UPDATE idempotency SET status = :status, answer_sealed = :answer_sealed
WHERE scope = :scope AND key = :key AND fingerprint = :fingerprint

-- name: idempotency.forget
DELETE FROM idempotency WHERE (scope, key) IN
  (SELECT scope, key FROM idempotency WHERE created_ms < :before_ms ORDER BY created_ms LIMIT :most)

-- The check and the reservation are one statement: two sends cannot both take the last unit.
-- name: quota.reserve
INSERT INTO quota_use (team, day, units) SELECT :team, :day, :units WHERE :units <= :most
ON CONFLICT (team, day) DO UPDATE SET units = quota_use.units + excluded.units
WHERE quota_use.units + excluded.units <= :most
RETURNING units

-- name: quota.give_back
UPDATE quota_use SET units = units - :units WHERE team = :team AND day = :day

-- A submission's id begins with its time, so that "since" is a range of ids. Spans: see scripts/spans.py.
-- CROSS JOIN: with a list of numbers SQLite would rather read all that the team has ever sent.
-- name: recipients.recent_sends
SELECT r.mobile, r.submission FROM recipients r
CROSS JOIN submissions s ON s.id = r.submission
CROSS JOIN messages m ON m.id = s.message
WHERE LOWER(HEX(SUBSTR(r.submission, 1, 3))) IN (SELECT value FROM json_each(:spans))
  AND r.mobile IN (SELECT value FROM json_each(:mobiles))
  AND r.submission >= :since_id AND m.team = :team AND m.mode = :mode AND m.category = :category
  AND s.status NOT IN ('failed', 'canceled')

-- name: recipients.repeated
SELECT r.mobile FROM recipients r
CROSS JOIN submissions s ON s.id = r.submission
CROSS JOIN messages m ON m.id = s.message
WHERE LOWER(HEX(SUBSTR(r.submission, 1, 3))) IN (SELECT value FROM json_each(:spans))
  AND r.mobile IN (SELECT value FROM json_each(:mobiles))
  AND r.submission >= :since_id AND m.team = :team AND m.mode = :mode AND m.text = :text
  AND s.status NOT IN ('failed', 'canceled')
  AND ABS(MAX(COALESCE(m.send_at_ms, 0), m.created_ms) - :due_ms) < :window_ms

-- name: messages.insert
INSERT INTO messages (id, team, api_key, mode, text, extension, reference, metadata, category, on_unconfirmed,
  created_ms, send_at_ms, expires_ms, segments, to_count, refused, quota_day)
VALUES (:id, :team, :api_key, :mode, :text, :extension, :reference, :metadata, :category, :on_unconfirmed,
  :created_ms, :send_at_ms, :expires_ms, :segments, :to_count, :refused, :quota_day)

-- name: states.insert
INSERT INTO message_states (message, event_seq, n_scheduled, n_queued, n_submitting)
VALUES (:message, 0, :n_scheduled, :n_queued, :n_submitting)

-- name: submissions.insert
INSERT INTO submissions (id, message, account, status, priority, due_ms, expires_ms, attempt, maybe_sent, claim,
  lease_until_ms, since_ms, told, n_total, n_open)
VALUES (:id, :message, :account, :status, :priority, :due_ms, :expires_ms, :attempt, 0, :claim,
  :lease_until_ms, :since_ms, 0, :n_total, :n_total)

-- name: recipients.insert
INSERT INTO recipients (submission, mobile, status) VALUES (:submission, :mobile, 0)

-- SQLite never runs it: its one writer needs no lock.
-- name: states.hold
SELECT message FROM submissions WHERE id = :submissions OR provider_task_id = :tasks

-- Moves recipients between statuses and numbers the events that tell of it, in one row.
-- name: states.move
UPDATE message_states SET event_seq = event_seq + :events,
  n_scheduled = n_scheduled + :scheduled, n_queued = n_queued + :queued, n_submitting = n_submitting + :submitting,
  n_submitted = n_submitted + :submitted, n_unconfirmed = n_unconfirmed + :unconfirmed,
  n_delivered = n_delivered + :delivered, n_undelivered = n_undelivered + :undelivered,
  n_expired = n_expired + :expired, n_rejected = n_rejected + :rejected, n_no_report = n_no_report + :no_report,
  n_canceled = n_canceled + :canceled, n_failed = n_failed + :failed
WHERE message = :message RETURNING message, event_seq

-- One priority at a time: the index then gives the due rows in order, however many wait for a later time.
-- name: submissions.due
SELECT id, message, status, attempt, n_open FROM submissions
WHERE account = :account AND priority = :priority AND due_ms <= :now_ms AND expires_ms > :now_ms
  AND status IN ('scheduled', 'queued')
ORDER BY due_ms LIMIT :most

-- Those that may go to another account. What nobody else takes lies ahead of the rest, and is skipped.
-- name: submissions.stranded
SELECT id, message, n_total FROM submissions
WHERE account = :account AND priority = :priority AND due_ms <= :now_ms AND expires_ms > :now_ms
  AND status IN ('scheduled', 'queued') AND maybe_sent = 0
ORDER BY due_ms LIMIT :most OFFSET :skip

-- name: messages.sender
SELECT id, team, extension FROM messages WHERE id = :message

-- name: submissions.change_account
UPDATE submissions SET account = :to_account
WHERE id = :id AND account = :account AND status IN ('scheduled', 'queued') AND maybe_sent = 0
RETURNING id, account

-- name: submissions.due_number
SELECT COUNT(*) FROM (
  SELECT due_ms FROM submissions
  WHERE account = :account AND priority = :priority AND due_ms <= :now_ms AND status IN ('scheduled', 'queued')
  LIMIT :most) AS due

-- name: submissions.mark_submitting
UPDATE submissions SET status = 'submitting', attempt = attempt + 1, claim = :claim, lease_until_ms = :lease_until_ms,
  since_ms = :now_ms
WHERE id = :id

-- name: submissions.next_due
SELECT MIN(due_ms) FROM submissions
WHERE account = :account AND priority = :priority AND status IN ('scheduled', 'queued')

-- name: submissions.work
SELECT m.team, m.text, m.extension, m.category, m.on_unconfirmed, m.created_ms FROM messages m WHERE m.id = :message

-- name: recipients.open
SELECT mobile FROM recipients WHERE submission = :submission AND status = 0

-- name: recipients.statuses
SELECT submission, mobile, status FROM recipients WHERE submission = :submission

-- name: submissions.find
SELECT s.id, s.message, s.account, s.status, s.attempt, s.maybe_sent, s.claim, s.n_open,
  m.team, m.reference, m.metadata, m.extension, m.on_unconfirmed, m.segments, m.quota_day,
  s.told, s.since_ms, s.lease_until_ms, s.expires_ms
FROM submissions s JOIN messages m ON m.id = s.message WHERE s.id = :id

-- name: submissions.find_by_task
SELECT provider_task_id, id FROM submissions WHERE provider_task_id = :task_id AND account = :account

-- name: submissions.running
SELECT id FROM submissions WHERE status = 'submitting' ORDER BY lease_until_ms

-- name: submissions.requeue
UPDATE submissions SET status = 'queued', account = :account, due_ms = :due_ms, claim = NULL, lease_until_ms = NULL, since_ms = :now_ms,
  maybe_sent = :maybe_sent, code = :code, provider_message = :provider_message
WHERE id = :id

-- name: submissions.settle
UPDATE submissions SET status = :status, claim = NULL, lease_until_ms = NULL, since_ms = :now_ms, told = :told,
  provider_task_id = COALESCE(:provider_task_id, provider_task_id), code = COALESCE(:code, code),
  provider_message = COALESCE(:provider_message, provider_message), reason = :reason,
  submitted_ms = COALESCE(submitted_ms, :submitted_ms), final_ms = :final_ms
WHERE id = :id

-- name: submissions.close_some
UPDATE submissions SET n_open = n_open - :closed WHERE id = :id

-- name: submissions.mark_told
UPDATE submissions SET told = 1 WHERE id = :id

-- That it is above 0 is a condition of the index on PostgreSQL, which would else take it for a claim too.
-- name: submissions.expired
SELECT id FROM submissions WHERE status IN ('scheduled', 'queued') AND expires_ms <= :before_ms AND expires_ms > 0
ORDER BY expires_ms LIMIT :most

-- name: submissions.lapsed
SELECT id FROM submissions WHERE status = 'submitting' AND lease_until_ms <= :before_ms
ORDER BY lease_until_ms LIMIT :most

-- name: submissions.untold
SELECT id FROM submissions WHERE status = 'unconfirmed' AND told = 0 AND n_open > 0 AND since_ms <= :before_ms
ORDER BY since_ms LIMIT :most

-- name: submissions.silent
SELECT id FROM submissions WHERE status IN ('submitted', 'unconfirmed') AND n_open > 0 AND since_ms <= :before_ms
ORDER BY since_ms LIMIT :most
