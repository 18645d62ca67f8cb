-- Where PostgreSQL must differ: locks between several writers, and its own way to unfold a JSON list.

-- name: deliveries.free_lapsed
UPDATE deliveries SET claim = NULL, lease_until_ms = NULL WHERE id IN (
  SELECT id FROM deliveries WHERE claim IS NOT NULL AND lease_until_ms <= :now_ms FOR UPDATE SKIP LOCKED)

-- name: deliveries.due
SELECT d.id, d.event, d.attempt, ev.type, ev.payload, ev.created_ms
FROM deliveries d JOIN events ev ON ev.id = d.event
WHERE d.endpoint = :endpoint AND d.claim IS NULL AND d.due_ms <= :now_ms
ORDER BY d.due_ms LIMIT :most FOR UPDATE OF d SKIP LOCKED

-- The claim must not change between this look and the write that it decides.
-- name: deliveries.find_leased
SELECT d.claim, d.endpoint, d.event, d.team, d.attempt, d.created_ms, e.status, e.failing_since_ms, e.paused_until_ms,
  e.deleted_ms
FROM deliveries d JOIN endpoints e ON e.id = d.endpoint WHERE d.id = :id FOR UPDATE OF d

-- The condition on (team, position): see lists.sql.
-- name: events.list_of_types
SELECT position, payload FROM events WHERE team <= :team AND (team, position) > (:team, :after)
  AND type IN (SELECT json_array_elements_text(CAST(:types AS json))) ORDER BY team, position LIMIT :most
