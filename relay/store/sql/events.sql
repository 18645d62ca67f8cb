-- Events, endpoints and deliveries.

-- name: events.insert
-- commits in order of: team
INSERT INTO events (id, team, message, type, payload, created_ms)
VALUES (:id, :team, :message, :type, :payload, :created_ms)

-- name: endpoints.of_team
-- kept: yes
SELECT id, event_types, extensions, status, paused_until_ms FROM endpoints
WHERE team = :team AND deleted_ms IS NULL ORDER BY id

-- name: deliveries.insert
INSERT INTO deliveries (id, endpoint, event, team, attempt, due_ms, claim, lease_until_ms, created_ms)
VALUES (:id, :endpoint, :event, :team, 0, :now_ms, :claim, :lease_until_ms, :now_ms)

-- name: deliveries.free_lapsed
UPDATE deliveries SET claim = NULL, lease_until_ms = NULL WHERE claim IS NOT NULL AND lease_until_ms <= :now_ms

-- name: deliveries.free_all
UPDATE deliveries SET claim = NULL, lease_until_ms = NULL WHERE claim IS NOT NULL

-- name: deliveries.release
UPDATE deliveries SET claim = NULL, lease_until_ms = NULL WHERE id = :id AND claim = :claim

-- name: deliveries.due
SELECT d.id, d.event, d.attempt, ev.type, ev.payload, ev.created_ms
FROM deliveries d JOIN events ev ON ev.id = d.event
WHERE d.endpoint = :endpoint AND d.claim IS NULL AND d.due_ms <= :now_ms
ORDER BY d.due_ms LIMIT :most

-- name: deliveries.lease
UPDATE deliveries SET claim = :claim, lease_until_ms = :lease_until_ms WHERE id = :id

-- A lease that has ended is nobody's: the next claim frees it.
-- name: endpoints.with_due
SELECT e.id FROM endpoints e
WHERE e.status = 'enabled' AND e.deleted_ms IS NULL AND (e.paused_until_ms IS NULL OR e.paused_until_ms <= :now_ms)
  AND (EXISTS (SELECT 1 FROM deliveries d WHERE d.endpoint = e.id AND d.claim IS NULL AND d.due_ms <= :now_ms)
    OR e.id IN (SELECT endpoint FROM deliveries WHERE claim IS NOT NULL AND lease_until_ms <= :now_ms))

-- While an endpoint is paused, what is due waits for the end of the pause.
-- name: endpoints.next_due
SELECT e.paused_until_ms, (SELECT MIN(d.due_ms) FROM deliveries d WHERE d.endpoint = e.id AND d.claim IS NULL
  AND d.due_ms > CASE WHEN e.paused_until_ms > :now_ms THEN 0 ELSE :now_ms END)
FROM endpoints e WHERE e.status = 'enabled' AND e.deleted_ms IS NULL

-- name: deliveries.next_lapse
SELECT MIN(lease_until_ms) FROM deliveries WHERE claim IS NOT NULL AND lease_until_ms > :now_ms

-- name: deliveries.find_leased
SELECT d.claim, d.endpoint, d.event, d.team, d.attempt, d.created_ms, e.status, e.failing_since_ms, e.paused_until_ms,
  e.deleted_ms
FROM deliveries d JOIN endpoints e ON e.id = d.endpoint WHERE d.id = :id

-- name: attempts.insert
INSERT INTO attempts (id, delivery, number, at_ms, duration_ms, status, error, outcome, answer)
VALUES (:id, :delivery, :number, :at_ms, :duration_ms, :status, :error, :outcome, :answer)

-- name: deliveries.delete
DELETE FROM deliveries WHERE id = :id

-- name: history.insert
INSERT INTO delivery_history (id, endpoint, event, team, status, attempt, created_ms, finished_ms)
VALUES (:id, :endpoint, :event, :team, :status, :attempt, :created_ms, :finished_ms)

-- name: deliveries.retry
UPDATE deliveries SET attempt = :attempt, due_ms = :due_ms, claim = NULL, lease_until_ms = NULL WHERE id = :id

-- name: endpoints.mend
UPDATE endpoints SET failing_since_ms = NULL WHERE id = :id

-- name: endpoints.note_failure
UPDATE endpoints SET failing_since_ms = COALESCE(failing_since_ms, :at_ms),
  paused_until_ms = COALESCE(:pause_until_ms, paused_until_ms)
WHERE id = :id

-- name: endpoints.disable
UPDATE endpoints SET status = 'disabled', disabled_reason = :reason WHERE id = :id AND status = 'enabled'

-- name: endpoints.insert
INSERT INTO endpoints (id, team, url, event_types, extensions, description, headers_sealed, secrets_sealed,
  max_in_flight, status, created_ms)
VALUES (:id, :team, :url, :event_types, :extensions, :description, :headers_sealed, :secrets_sealed,
  :max_in_flight, :status, :created_ms)

-- name: endpoints.load
SELECT id, team, url, event_types, extensions, headers_sealed, secrets_sealed, max_in_flight, status, paused_until_ms
FROM endpoints WHERE id = :id AND deleted_ms IS NULL

-- name: endpoints.delete
UPDATE endpoints SET deleted_ms = :now_ms WHERE id = :id AND team = :team AND deleted_ms IS NULL

-- Both by a partial index: no index holds both what is leased and what is not.
-- name: deliveries.free_of_endpoint
UPDATE deliveries SET claim = NULL, lease_until_ms = NULL WHERE endpoint = :endpoint AND claim IS NOT NULL

-- Whoever leases one meanwhile has it: the statement looks again at the row that it waited for.
-- name: deliveries.take_of_endpoint
DELETE FROM deliveries WHERE claim IS NULL
  AND id IN (SELECT id FROM deliveries WHERE endpoint = :endpoint AND claim IS NULL LIMIT :most)
RETURNING id, endpoint, event, team, attempt, created_ms

-- What was more than one commit takes; and an event that was stored beside the deletion may have left a delivery to it.
-- name: endpoints.deleted_with_due
-- Not EXISTS: PostgreSQL would make a join of it, and then it may begin with the deliveries.
SELECT e.id FROM endpoints e WHERE e.deleted_ms > :since_ms
  AND (SELECT 1 FROM deliveries d WHERE d.endpoint = e.id AND d.claim IS NULL LIMIT 1) IS NOT NULL

-- name: endpoints.view
SELECT id, url, event_types, extensions, description, headers_sealed, max_in_flight, status, disabled_reason,
  paused_until_ms, created_ms
FROM endpoints WHERE id = :id AND team = :team AND deleted_ms IS NULL

-- name: endpoints.list
SELECT id, url, event_types, extensions, description, headers_sealed, max_in_flight, status, disabled_reason,
  paused_until_ms, created_ms
FROM endpoints WHERE team = :team AND deleted_ms IS NULL AND id < :before ORDER BY id DESC LIMIT :most

-- name: events.view
SELECT payload FROM events WHERE id = :id AND team = :team

-- name: events.list
SELECT position, payload FROM events WHERE team = :team AND position > :after ORDER BY position LIMIT :most

-- name: events.list_of_types
SELECT position, payload FROM events WHERE team = :team AND position > :after
  AND type IN (SELECT value FROM json_each(:types)) ORDER BY position LIMIT :most

-- name: events.last_position
SELECT MAX(position) FROM events WHERE team = :team

-- name: deliveries.view
SELECT d.id, d.endpoint, d.event, ev.type, 'pending', d.attempt, d.due_ms, d.created_ms, NULL
FROM deliveries d JOIN events ev ON ev.id = d.event WHERE d.id = :id AND d.team = :team

-- name: history.view
SELECT h.id, h.endpoint, h.event, ev.type, h.status, h.attempt, NULL, h.created_ms, h.finished_ms
FROM delivery_history h JOIN events ev ON ev.id = h.event WHERE h.id = :id AND h.team = :team

-- A filter that is NULL leaves the thing open; both tables are read newest first and merged by the script. The
-- deliveries of one event lie between ``after`` and ``before``, or all of the team would be looked at for them.
-- name: deliveries.list
SELECT d.id, d.endpoint, d.event, ev.type, 'pending', d.attempt, d.due_ms, d.created_ms, NULL
FROM deliveries d JOIN events ev ON ev.id = d.event
WHERE d.team = :team AND d.id < :before AND d.id > :after
  AND (d.endpoint = :endpoint OR :endpoint IS NULL) AND (d.event = :event OR :event IS NULL)
ORDER BY d.id DESC LIMIT :most

-- name: history.list
SELECT h.id, h.endpoint, h.event, ev.type, h.status, h.attempt, NULL, h.created_ms, h.finished_ms
FROM delivery_history h JOIN events ev ON ev.id = h.event
WHERE h.team = :team AND h.id < :before AND h.id > :after
  AND (h.endpoint = :endpoint OR :endpoint IS NULL) AND (h.event = :event OR :event IS NULL)
  AND (h.status = :status OR :status IS NULL)
ORDER BY h.id DESC LIMIT :most

-- name: attempts.of_delivery
SELECT id, number, at_ms, duration_ms, status, error, outcome, answer FROM attempts
WHERE delivery = :delivery ORDER BY number
