-- Lists of one team, newest or oldest first. Where several indexes give the order, PostgreSQL chooses by what it
-- believes of the rows: for a team that it takes for a common one it walks by id over everybody's rows, however few are
-- that team's. A row that is compared as a whole, and an order that begins with the team, leave only the index on both.
-- (SQLite has no such choice to make, and would read these conditions less well.)

-- name: messages.list
SELECT m.id, m.text, m.to_count, m.segments, m.refused, m.reference, m.metadata, m.extension, m.category,
  m.on_unconfirmed, m.created_ms, m.send_at_ms, m.expires_ms,
  t.n_scheduled, t.n_queued, t.n_submitting, t.n_submitted, t.n_unconfirmed, t.n_delivered, t.n_undelivered,
  t.n_expired, t.n_rejected, t.n_no_report, t.n_canceled, t.n_failed
FROM messages m JOIN message_states t ON t.message = m.id
WHERE m.team >= :team AND (m.team, m.id) < (:team, :before)
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
ORDER BY m.team DESC, m.id DESC LIMIT :most

-- name: recipients.page
SELECT r.submission, r.mobile, r.status, r.reason, r.provider_status, r.final_ms,
  s.status, s.reason, s.code, s.submitted_ms, s.final_ms, s.since_ms
FROM submissions s JOIN recipients r ON r.submission = s.id
WHERE s.message <= :message AND (s.message, s.id) >= (:message, :submission)
  AND (r.submission > :submission OR r.mobile > :mobile)
ORDER BY s.message, s.id, r.mobile LIMIT :most

-- name: inbound.list
SELECT id, mobile_text, extension, text, received_ms, occurred_ms, matched_by, message FROM inbound
WHERE team >= :team AND (team, id) < (:team, :before) ORDER BY team DESC, id DESC LIMIT :most

-- name: events.list
SELECT position, payload FROM events WHERE team <= :team AND (team, position) > (:team, :after)
ORDER BY team, position LIMIT :most

-- name: events.last_position
SELECT position FROM events WHERE team >= :team AND team <= :team ORDER BY team DESC, position DESC LIMIT 1

-- name: deliveries.list
SELECT d.id, d.endpoint, d.event, ev.type, 'pending', d.attempt, d.due_ms, d.created_ms, NULL
FROM deliveries d JOIN events ev ON ev.id = d.event
WHERE d.team >= :team AND (d.team, d.id) < (:team, :before) AND (d.team, d.id) > (:team, :after)
  AND (d.endpoint = :endpoint OR :endpoint IS NULL) AND (d.event = :event OR :event IS NULL)
ORDER BY d.team DESC, d.id DESC LIMIT :most

-- name: history.list
SELECT h.id, h.endpoint, h.event, ev.type, h.status, h.attempt, NULL, h.created_ms, h.finished_ms
FROM delivery_history h JOIN events ev ON ev.id = h.event
WHERE h.team >= :team AND (h.team, h.id) < (:team, :before) AND (h.team, h.id) > (:team, :after)
  AND (h.endpoint = :endpoint OR :endpoint IS NULL) AND (h.event = :event OR :event IS NULL)
  AND (h.status = :status OR :status IS NULL)
ORDER BY h.team DESC, h.id DESC LIMIT :most

-- name: quota.accepted
SELECT CAST(COALESCE(SUM(m.segments * (m.to_count - t.n_canceled - t.n_failed)), 0) AS BIGINT)
FROM messages m JOIN message_states t ON t.message = m.id
WHERE m.team <= :team AND (m.team, m.id) >= (:team, :since_id)

-- name: suppressions.list_of_team
SELECT id, team, mobile, source, keyword, created_ms FROM suppressions
WHERE team >= :team AND (team, id) < (:team, :before) ORDER BY team DESC, id DESC LIMIT :most
