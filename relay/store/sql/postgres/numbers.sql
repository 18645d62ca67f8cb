-- Where PostgreSQL must differ: recipients are found by the bytes themselves, and a JSON list unfolds in its own
-- way. An array, because IN would be a join with the list, and the last of all; then the index is of no use for it.

-- name: recipients.recent_sends
SELECT r.mobile, r.submission FROM recipients r
JOIN submissions s ON s.id = r.submission
JOIN messages m ON m.id = s.message
WHERE SUBSTR(r.submission, 1, 3) = ANY (ARRAY(
    SELECT decode(json_array_elements_text(CAST(:spans AS json)), 'hex')))
  AND r.mobile = ANY (ARRAY(SELECT CAST(json_array_elements_text(CAST(:mobiles AS json)) AS BIGINT)))
  AND r.submission >= :since_id AND m.team = :team AND m.mode = :mode AND m.category = :category
  AND s.status NOT IN ('failed', 'canceled')

-- name: messages.last_to
SELECT m.id, m.team FROM recipients r
JOIN submissions s ON s.id = r.submission
JOIN messages m ON m.id = s.message
WHERE SUBSTR(r.submission, 1, 3) = ANY (ARRAY(
    SELECT decode(json_array_elements_text(CAST(:spans AS json)), 'hex')))
  AND r.mobile = :mobile AND r.submission >= :since_id AND s.account = :account
  AND s.status NOT IN ('scheduled', 'queued', 'failed', 'canceled')
ORDER BY r.submission DESC LIMIT 1

-- name: messages.last_of_team_to
SELECT m.id FROM recipients r
JOIN submissions s ON s.id = r.submission
JOIN messages m ON m.id = s.message
WHERE SUBSTR(r.submission, 1, 3) = ANY (ARRAY(
    SELECT decode(json_array_elements_text(CAST(:spans AS json)), 'hex')))
  AND r.mobile = :mobile AND r.submission >= :since_id AND m.team = :team
  AND s.status NOT IN ('scheduled', 'queued', 'failed', 'canceled')
ORDER BY r.submission DESC LIMIT 1

-- name: messages.sent_to
SELECT m.id, r.submission FROM recipients r
JOIN submissions s ON s.id = r.submission
JOIN messages m ON m.id = s.message
WHERE SUBSTR(r.submission, 1, 3) = ANY (ARRAY(
    SELECT decode(json_array_elements_text(CAST(:spans AS json)), 'hex')))
  AND r.mobile = :mobile AND r.submission < :before AND m.team = :team
ORDER BY r.submission DESC LIMIT :most

-- name: extensions.of_ends
SELECT extension, account, team FROM team_extensions
WHERE extension IN (SELECT json_array_elements_text(CAST(:ends AS json)))

-- name: recipients.repeated
SELECT r.mobile FROM recipients r
JOIN submissions s ON s.id = r.submission
JOIN messages m ON m.id = s.message
WHERE SUBSTR(r.submission, 1, 3) = ANY (ARRAY(
    SELECT decode(json_array_elements_text(CAST(:spans AS json)), 'hex')))
  AND r.mobile = ANY (ARRAY(SELECT CAST(json_array_elements_text(CAST(:mobiles AS json)) AS BIGINT)))
  AND r.submission >= :since_id AND m.team = :team AND m.mode = :mode AND m.text = :text
  AND s.status NOT IN ('failed', 'canceled')
  AND ABS(GREATEST(COALESCE(m.send_at_ms, 0), m.created_ms) - :due_ms) < :window_ms

-- name: suppressions.of_numbers
SELECT mobile FROM suppressions
WHERE mobile = ANY (ARRAY(SELECT CAST(json_array_elements_text(CAST(:mobiles AS json)) AS BIGINT))) AND team = :team
