-- Replicas that share a database. Ids of replicas are the first 8 bytes of all their claims.

-- Milliseconds since 1970 by the database's clock, which is the same for all replicas. SQLite's is the machine's;
-- julianday, because unixepoch('subsec') needs SQLite 3.42.
-- name: clock.now_ms
SELECT CAST(ROUND((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER)

-- A join whose answer was lost is made again.
-- name: replicas.join
INSERT INTO replicas (id, name, joined_ms, expires_ms) VALUES (:id, :name, :now_ms, :expires_ms)
ON CONFLICT (id) DO UPDATE SET expires_ms = excluded.expires_ms

-- name: replicas.find
SELECT expires_ms FROM replicas WHERE id = :id

-- name: replicas.renew
UPDATE replicas SET expires_ms = :expires_ms WHERE id = :id

-- name: replicas.delete_dead
DELETE FROM replicas WHERE expires_ms <= :now_ms RETURNING id

-- name: replicas.delete
DELETE FROM replicas WHERE id = :id

-- name: replicas.all
SELECT id FROM replicas ORDER BY id

-- One statement decides who has it: a row that somebody else holds is locked, looked at in its newest state, and left.
-- name: duties.take
INSERT INTO duties (name, replica, until_ms) VALUES (:name, :replica, :until_ms)
ON CONFLICT (name) DO UPDATE SET replica = excluded.replica, until_ms = excluded.until_ms
WHERE duties.replica = excluded.replica OR duties.until_ms <= :now_ms
RETURNING replica

-- name: duties.give_up
UPDATE duties SET until_ms = 0 WHERE replica = :replica

-- The sweep takes what has no lease for what it is: perhaps sent.
-- name: submissions.end_leases
UPDATE submissions SET lease_until_ms = :now_ms
WHERE status = 'submitting' AND lease_until_ms > :now_ms AND substr(claim, 1, 8) = :replica

-- name: deliveries.free_of_replica
UPDATE deliveries SET claim = NULL, lease_until_ms = NULL WHERE claim IS NOT NULL AND substr(claim, 1, 8) = :replica

-- name: submissions.held
SELECT account, substr(claim, 1, 8), COUNT(*) FROM submissions WHERE status = 'submitting'
GROUP BY account, substr(claim, 1, 8)

-- name: deliveries.held
SELECT endpoint, substr(claim, 1, 8), COUNT(*) FROM deliveries WHERE claim IS NOT NULL
GROUP BY endpoint, substr(claim, 1, 8)
