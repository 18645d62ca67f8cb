-- What the API shows of messages and inbound messages.

-- name: messages.view
SELECT m.id, m.text, m.to_count, m.segments, m.refused, m.reference, m.metadata, m.extension, m.category,
  m.on_unconfirmed, m.created_ms, m.send_at_ms, m.expires_ms,
  t.n_scheduled, t.n_queued, t.n_submitting, t.n_submitted, t.n_unconfirmed, t.n_delivered, t.n_undelivered,
  t.n_expired, t.n_rejected, t.n_no_report, t.n_canceled, t.n_failed
FROM messages m JOIN message_states t ON t.message = m.id
WHERE m.id = :id AND m.team = :team

-- Each filter that is NULL leaves the thing open; its NULL test comes last, because PostgreSQL takes a parameter's type
-- from where it first stands. The status is the word of relay/domain/states.py message_status.
-- name: messages.list
SELECT m.id, m.text, m.to_count, m.segments, m.refused, m.reference, m.metadata, m.extension, m.category,
  m.on_unconfirmed, m.created_ms, m.send_at_ms, m.expires_ms,
  t.n_scheduled, t.n_queued, t.n_submitting, t.n_submitted, t.n_unconfirmed, t.n_delivered, t.n_undelivered,
  t.n_expired, t.n_rejected, t.n_no_report, t.n_canceled, t.n_failed
FROM messages m JOIN message_states t ON t.message = m.id
WHERE m.team = :team AND m.id < :before
  AND (m.created_ms > :created_after_ms OR :created_after_ms IS NULL)
  AND (m.created_ms < :created_before_ms OR :created_before_ms IS NULL)
  AND (CASE
    WHEN t.n_scheduled > 0 THEN 'scheduled' WHEN t.n_queued > 0 THEN 'queued'
    WHEN t.n_submitting > 0 THEN 'submitting' WHEN t.n_unconfirmed > 0 THEN 'unconfirmed'
    WHEN t.n_submitted > 0 THEN 'submitted'
    WHEN t.n_delivered = m.to_count THEN 'delivered' WHEN t.n_undelivered = m.to_count THEN 'undelivered'
    WHEN t.n_expired = m.to_count THEN 'expired' WHEN t.n_rejected = m.to_count THEN 'rejected'
    WHEN t.n_no_report = m.to_count THEN 'no_report' WHEN t.n_canceled = m.to_count THEN 'canceled'
    WHEN t.n_failed = m.to_count THEN 'failed' ELSE 'completed' END = :status OR :status IS NULL)
ORDER BY m.id DESC LIMIT :most

-- The messages with a reference, or to a number, are few, and lie far apart: by an index of their own.
-- name: messages.of_reference
SELECT id, id FROM messages WHERE team = :team AND reference = :reference AND id < :before
ORDER BY id DESC LIMIT :most

-- name: messages.sent_to
SELECT m.id, r.submission FROM recipients r
JOIN submissions s ON s.id = r.submission
JOIN messages m ON m.id = s.message
WHERE LOWER(HEX(SUBSTR(r.submission, 1, 3))) IN (SELECT value FROM json_each(:spans))
  AND r.mobile = :mobile AND r.submission < :before AND m.team = :team
ORDER BY r.submission DESC LIMIT :most

-- Not "team =": PostgreSQL would then walk over everybody's messages until it meets one of the team.
-- name: messages.oldest
SELECT id FROM messages WHERE team >= :team AND team <= :team ORDER BY team, id LIMIT 1

-- name: messages.newest
SELECT id FROM messages WHERE team >= :team AND team <= :team ORDER BY team DESC, id DESC LIMIT 1

-- name: submissions.of_message
SELECT id, provider_task_id, account, status, code, provider_message, attempt, maybe_sent FROM submissions
WHERE message = :message ORDER BY id

-- name: messages.exists
SELECT segments FROM messages WHERE id = :id AND team = :team

-- name: recipients.page
SELECT r.submission, r.mobile, r.status, r.reason, r.provider_status, r.final_ms,
  s.status, s.reason, s.code, s.submitted_ms, s.final_ms, s.since_ms
FROM submissions s JOIN recipients r ON r.submission = s.id
WHERE s.message = :message AND s.id >= :submission AND (r.submission > :submission OR r.mobile > :mobile)
ORDER BY s.id, r.mobile LIMIT :most

-- name: reports.of_recipient
SELECT source, raw_status, raw_time, received_ms FROM reports
WHERE submission = :submission AND mobile = :mobile ORDER BY id

-- name: inbound.view
SELECT id, mobile_text, extension, text, received_ms, occurred_ms, matched_by, message FROM inbound
WHERE id = :id AND team = :team

-- name: inbound.list
SELECT id, mobile_text, extension, text, received_ms, occurred_ms, matched_by, message FROM inbound
WHERE team = :team AND id < :before ORDER BY id DESC LIMIT :most
