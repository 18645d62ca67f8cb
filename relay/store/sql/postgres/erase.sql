-- PostgreSQL has no INSTR; POSITION finds bytes in bytes.

-- name: erase.raw_bodies
SELECT id, POSITION(CAST(:digits AS BYTEA) IN body) > 0 OR POSITION(CAST(:digits AS BYTEA) IN query) > 0
  OR POSITION(CAST(:mask AS BYTEA) IN body) > 0 OR POSITION(CAST(:mask AS BYTEA) IN query) > 0
  OR POSITION(CAST(:quoted AS BYTEA) IN query) > 0 OR POSITION(CAST(:quoted AS BYTEA) IN body) > 0
FROM raw_bodies WHERE id > :after ORDER BY id LIMIT :most

-- name: erase.events
SELECT id, POSITION(CAST(:digits AS BYTEA) IN payload) > 0 FROM events WHERE id > :after ORDER BY id LIMIT :most

-- name: erase.attempts
SELECT id, POSITION(CAST(:digits AS BYTEA) IN answer) > 0 FROM attempts WHERE id > :after ORDER BY id LIMIT :most

-- PostgreSQL compares bytes, and has no MIN of them; for the spans see numbers.sql.
-- name: messages.ends
SELECT (SELECT id FROM messages ORDER BY id LIMIT 1), (SELECT id FROM messages ORDER BY id DESC LIMIT 1)

-- name: erase.recipients
SELECT submission, 1 FROM recipients
WHERE SUBSTR(submission, 1, 3) = ANY (ARRAY(SELECT decode(json_array_elements_text(CAST(:spans AS json)), 'hex')))
  AND mobile = :mobile AND submission > :after
ORDER BY submission LIMIT :most

-- name: recipients.tasks
SELECT r.submission, s.provider_task_id FROM recipients r JOIN submissions s ON s.id = r.submission
WHERE SUBSTR(r.submission, 1, 3) = ANY (ARRAY(SELECT decode(json_array_elements_text(CAST(:spans AS json)), 'hex')))
  AND r.mobile = :mobile
