-- Where PostgreSQL must differ: parameters in a SELECT list have no type of their own, and several writers need locks.

-- name: quota.reserve
INSERT INTO quota_use (team, day, units)
SELECT CAST(:team AS bytea), CAST(:day AS text), CAST(:units AS bigint) WHERE CAST(:units AS bigint) <= :most
ON CONFLICT (team, day) DO UPDATE SET units = quota_use.units + excluded.units
WHERE quota_use.units + excluded.units <= :most
RETURNING units

-- The message's row is the lock of all that belongs to it. A join would read the submission as it was before the wait.
-- name: states.hold
SELECT t.message FROM message_states t WHERE t.message IN (
  SELECT s.message FROM submissions s WHERE s.id = ANY (:submissions)
  UNION SELECT s.message FROM submissions s WHERE s.provider_task_id = ANY (:tasks))
ORDER BY t.message FOR UPDATE OF t

-- Two replicas claim beside each other: each passes over what the other is just taking. The sum keeps PostgreSQL from
-- the index of what expires, by which it would read all that waits.
-- name: submissions.due
SELECT id, message, status, attempt, n_open FROM submissions
WHERE account = :account AND priority = :priority AND due_ms <= :now_ms AND expires_ms + 0 > :now_ms
  AND status IN ('scheduled', 'queued')
ORDER BY due_ms LIMIT :most FOR UPDATE SKIP LOCKED

-- The sum: as in the claim.
-- name: submissions.stranded
SELECT id, message, n_total FROM submissions
WHERE account = :account AND priority = :priority AND due_ms <= :now_ms AND expires_ms + 0 > :now_ms
  AND status IN ('scheduled', 'queued') AND maybe_sent = 0
ORDER BY due_ms LIMIT :most OFFSET :skip

-- What another replica is just claiming, moving or settling is passed over: it is not ours to move any more.
-- name: submissions.change_account
UPDATE submissions SET account = :to_account
WHERE id = (SELECT s.id FROM submissions s
  WHERE s.id = :id AND s.account = :account AND s.status IN ('scheduled', 'queued') AND s.maybe_sent = 0
  FOR UPDATE SKIP LOCKED)
RETURNING id, account
