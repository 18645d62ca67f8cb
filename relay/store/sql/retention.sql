-- What goes when it is old. Ids begin with their time: "older than" is a range of ids, and needs no index of its own.
-- Decision: how far a kind has been walked is one row (a mark), not a flag of every row under an index, because the
-- flag would cost every message something, and the mark costs nothing.

-- name: marks.find
SELECT id FROM retention_marks WHERE kind = :kind

-- name: marks.set
INSERT INTO retention_marks (kind, id) VALUES (:kind, :id) ON CONFLICT (kind) DO UPDATE SET id = excluded.id

-- name: left.insert
INSERT INTO retention_left (kind, id, look_ms) VALUES (:kind, :id, :look_ms)
ON CONFLICT (kind, id) DO UPDATE SET look_ms = excluded.look_ms

-- name: left.due
SELECT id FROM retention_left WHERE kind = :kind AND look_ms <= :now_ms ORDER BY look_ms LIMIT :most

-- name: left.delete
DELETE FROM retention_left WHERE kind = :kind AND id = :id

-- Whoever leases one meanwhile has it: the statement looks again at the row that it waited for.
-- name: deliveries.expire
DELETE FROM deliveries WHERE claim IS NULL
  AND id IN (SELECT id FROM deliveries WHERE id < :before AND claim IS NULL ORDER BY id LIMIT :most)
RETURNING id, endpoint, event, team, attempt, created_ms

-- name: deliveries.oldest
SELECT event FROM deliveries WHERE id < :before ORDER BY id LIMIT 1

-- name: events.old
SELECT id FROM events WHERE id < :before ORDER BY id LIMIT :most

-- name: events.forget
DELETE FROM events WHERE id <= :last

-- name: events.between
SELECT id FROM events WHERE id >= :low AND id < :high LIMIT 1

-- name: history.old
SELECT id FROM delivery_history WHERE id < :before ORDER BY id LIMIT :most

-- name: history.forget
DELETE FROM delivery_history WHERE id <= :last

-- name: history.between
SELECT id FROM delivery_history WHERE id >= :low AND id < :high LIMIT 1

-- name: attempts.old
SELECT id FROM attempts WHERE id < :before ORDER BY id LIMIT :most

-- name: attempts.forget
DELETE FROM attempts WHERE id <= :last

-- name: attempts.between
SELECT id FROM attempts WHERE id >= :low AND id < :high LIMIT 1

-- name: raw.after
SELECT id, state FROM raw_bodies WHERE id > :after AND id < :before ORDER BY id LIMIT :most

-- name: raw.delete
DELETE FROM raw_bodies WHERE id = :id

-- name: raw.quarantined
SELECT id FROM raw_bodies WHERE state = 'quarantined' AND id < :before ORDER BY id LIMIT :most

-- name: raw.between
SELECT id FROM raw_bodies WHERE id >= :low AND id < :high LIMIT 1

-- Each half by its own partial index.
-- name: raw.staying
SELECT id FROM raw_bodies WHERE state = 'pending' AND id >= :low AND id < :high
UNION ALL
SELECT id FROM raw_bodies WHERE state = 'quarantined' AND id >= :low AND id < :high
LIMIT 1

-- name: inbound.after
SELECT id FROM inbound WHERE id > :after AND id < :before ORDER BY id LIMIT :most

-- name: inbound.erase
UPDATE inbound SET mobile_text = 'erased', text = '' WHERE id > :after AND id <= :last

-- name: inbound.forget
DELETE FROM inbound WHERE id <= :last

-- name: orphans.after
SELECT id FROM orphans WHERE id > :after AND id < :before ORDER BY id LIMIT :most

-- name: orphans.erase
UPDATE orphans SET mobile_text = 'erased', content = '' WHERE id > :after AND id <= :last

-- name: orphans.forget
DELETE FROM orphans WHERE id <= :last

-- The order of their numbers is the order of their time; a release before this one left the time empty.
-- name: pairs.after
SELECT id, received_ms FROM inbound_seen WHERE id > :after ORDER BY id LIMIT :most

-- name: pairs.forget
DELETE FROM inbound_seen WHERE id <= :last

-- CROSS, because SQLite then keeps the order: a look into each team, and no walk over all days.
-- name: quota.forget
DELETE FROM quota_use WHERE (team, day) IN (
  SELECT q.team, q.day FROM teams t CROSS JOIN quota_use q WHERE q.team = t.id AND q.day < :before_day LIMIT :most)

-- name: messages.after
SELECT id FROM messages WHERE id > :after AND id < :before ORDER BY id LIMIT :most

-- name: submissions.between
SELECT id FROM submissions WHERE message >= :first AND message <= :last ORDER BY message, id

-- A message is open while one of its recipients is not final. Not the n_open of its submissions: that counts whom no
-- report has spoken of, also where the submission has failed.
-- name: messages.between
SELECT m.id, m.refused, m.send_at_ms, t.n_scheduled + t.n_queued + t.n_submitting + t.n_submitted + t.n_unconfirmed
FROM messages m JOIN message_states t ON t.message = m.id WHERE m.id >= :first AND m.id <= :last ORDER BY m.id

-- The join is CROSS because SQLite then keeps its order, which is the order of the answer. The lowest number says which
-- ordinals are given out already.
-- name: recipients.between
SELECT m.id, r.submission, r.mobile, (SELECT MIN(o.mobile) FROM recipients o WHERE o.submission = r.submission)
FROM messages m CROSS JOIN message_states t CROSS JOIN submissions s CROSS JOIN recipients r
WHERE m.id >= :first AND m.id <= :last AND (m.send_at_ms < :before_ms OR m.send_at_ms IS NULL)
  AND t.message = m.id AND t.n_scheduled + t.n_queued + t.n_submitting + t.n_submitted + t.n_unconfirmed = 0
  AND s.message = m.id AND r.submission = s.id AND r.mobile > 0
ORDER BY m.id, s.id, r.mobile LIMIT :most

-- name: recipients.erase
UPDATE recipients SET mobile = :ordinal WHERE submission = :submission AND mobile = :mobile

-- name: reports.erase
UPDATE reports SET mobile = :ordinal WHERE submission = :submission AND mobile = :mobile

-- name: messages.erase
UPDATE messages SET text = '', refused = :refused WHERE id = :id

-- name: reports.forget
DELETE FROM reports WHERE id IN (
  SELECT p.id FROM messages m CROSS JOIN message_states t CROSS JOIN submissions s CROSS JOIN reports p
  WHERE m.id >= :first AND m.id <= :last AND (m.send_at_ms < :before_ms OR m.send_at_ms IS NULL)
    AND t.message = m.id AND t.n_scheduled + t.n_queued + t.n_submitting + t.n_submitted + t.n_unconfirmed = 0
    AND s.message = m.id AND p.submission = s.id LIMIT :most)

-- name: recipients.forget
DELETE FROM recipients WHERE (submission, mobile) IN (
  SELECT r.submission, r.mobile FROM messages m CROSS JOIN message_states t CROSS JOIN submissions s
    CROSS JOIN recipients r
  WHERE m.id >= :first AND m.id <= :last AND (m.send_at_ms < :before_ms OR m.send_at_ms IS NULL)
    AND t.message = m.id AND t.n_scheduled + t.n_queued + t.n_submitting + t.n_submitted + t.n_unconfirmed = 0
    AND s.message = m.id AND r.submission = s.id LIMIT :most)

-- name: submissions.forget
DELETE FROM submissions WHERE message = :message

-- name: states.forget
DELETE FROM message_states WHERE message = :message

-- name: messages.forget
DELETE FROM messages WHERE id = :message

-- SQLite has no partitions; asked for by name all the same, so that every query is one on both engines.
-- name: partitions.of
SELECT :parent, 0 WHERE 1 = 0
