-- Erasing one number. Decision: what holds numbers in the middle of texts is walked in the order of its ids and not
-- indexed, because an index would cost every row what an erasure, which is rare, costs once. Each walk answers with
-- every id and whether the digits are there: where it ended is then known too. It runs beside the writer.

-- name: erase.raw_bodies
SELECT id, INSTR(body, :digits) > 0 OR INSTR(query, :digits) > 0 OR INSTR(body, :mask) > 0 OR INSTR(query, :mask) > 0
  OR INSTR(query, :quoted) > 0 OR INSTR(body, :quoted) > 0
FROM raw_bodies WHERE id > :after ORDER BY id LIMIT :most

-- name: erase.events
SELECT id, INSTR(payload, :digits) > 0 FROM events WHERE id > :after ORDER BY id LIMIT :most

-- name: erase.attempts
SELECT id, INSTR(answer, :digits) > 0 FROM attempts WHERE id > :after ORDER BY id LIMIT :most

-- name: erase.inbound
SELECT id, mobile_text LIKE :like OR text LIKE :like FROM inbound WHERE id > :after ORDER BY id LIMIT :most

-- name: erase.orphans
SELECT id, mobile_text LIKE :like OR content LIKE :like FROM orphans WHERE id > :after ORDER BY id LIMIT :most

-- name: erase.pairs
SELECT id, mobile = :mobile FROM inbound_seen WHERE id > :after ORDER BY id LIMIT :most

-- Refused numbers are as the caller wrote them, so that their digits may stand apart: the script reads each.
-- name: erase.messages
SELECT id, text LIKE :like OR reference LIKE :like OR metadata LIKE :like,
  CASE WHEN refused <> '[]' THEN refused END
FROM messages WHERE id > :after ORDER BY id LIMIT :most

-- name: erase.recipients
SELECT submission, 1 FROM recipients
WHERE LOWER(HEX(SUBSTR(submission, 1, 3))) IN (SELECT value FROM json_each(:spans))
  AND mobile = :mobile AND submission > :after
ORDER BY submission LIMIT :most

-- name: messages.ends
SELECT (SELECT MIN(id) FROM messages), (SELECT MAX(id) FROM messages)

-- name: raw.read
SELECT state, body, query FROM raw_bodies WHERE id = :id

-- name: raw.empty
UPDATE raw_bodies SET body = :nothing, query = :nothing, applied = '{}' WHERE id = :id

-- name: recipients.tasks
SELECT r.submission, s.provider_task_id FROM recipients r JOIN submissions s ON s.id = r.submission
WHERE LOWER(HEX(SUBSTR(r.submission, 1, 3))) IN (SELECT value FROM json_each(:spans)) AND r.mobile = :mobile

-- name: events.read
SELECT payload FROM events WHERE id = :id

-- name: events.rewrite
UPDATE events SET payload = :payload WHERE id = :id

-- name: attempts.read
SELECT answer FROM attempts WHERE id = :id

-- name: attempts.rewrite
UPDATE attempts SET answer = :answer WHERE id = :id

-- name: inbound.read
SELECT mobile_text, text FROM inbound WHERE id = :id

-- name: inbound.rewrite
UPDATE inbound SET mobile_text = :mobile_text, text = :text WHERE id = :id

-- name: orphans.read
SELECT mobile_text, content, kind, resolved_ms, received_ms FROM orphans WHERE id = :id

-- name: orphans.rewrite
UPDATE orphans SET mobile_text = :mobile_text, content = :content WHERE id = :id

-- name: pairs.blank
UPDATE inbound_seen SET mobile = NULL WHERE id = :id

-- name: messages.read
SELECT m.text, m.refused, m.reference, m.metadata,
  t.n_scheduled + t.n_queued + t.n_submitting + t.n_submitted + t.n_unconfirmed
FROM messages m JOIN message_states t ON t.message = m.id WHERE m.id = :id

-- name: messages.rewrite
UPDATE messages SET text = :text, refused = :refused, reference = :reference, metadata = :metadata WHERE id = :id

-- name: recipients.anchor
SELECT s.message, m.to_count, s.provider_message,
  t.n_scheduled + t.n_queued + t.n_submitting + t.n_submitted + t.n_unconfirmed,
  (SELECT MIN(o.mobile) FROM recipients o WHERE o.submission = s.id)
FROM submissions s JOIN messages m ON m.id = s.message JOIN message_states t ON t.message = s.message
WHERE s.id = :submission

-- name: submissions.rewrite
UPDATE submissions SET provider_message = :provider_message WHERE id = :id

-- name: messages.empty
UPDATE messages SET text = '' WHERE id = :id
