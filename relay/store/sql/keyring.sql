-- The key ring: what shows that it is the right one, who has which keys, and coming from one key to another.

-- name: ringmarks.all
SELECT key_id, sealed, created_ms, activated_ms FROM key_ring_marks ORDER BY key_id

-- name: ringmarks.insert
INSERT INTO key_ring_marks (key_id, sealed, created_ms, activated_ms)
VALUES (:key_id, :sealed, :created_ms, :activated_ms) ON CONFLICT (key_id) DO NOTHING

-- No row when it is known already that the key seals.
-- name: ringmarks.activate
UPDATE key_ring_marks SET activated_ms = :now_ms WHERE key_id = :key_id AND activated_ms IS NULL

-- name: ringmarks.delete
DELETE FROM key_ring_marks WHERE key_id = :key_id

-- name: ringholders.keep
INSERT INTO key_ring_holders (id, name, key_ids, seen_ms) VALUES (:id, :name, :key_ids, :seen_ms)
ON CONFLICT (id) DO UPDATE SET key_ids = excluded.key_ids, seen_ms = excluded.seen_ms

-- name: ringholders.all
SELECT name, key_ids, seen_ms FROM key_ring_holders WHERE seen_ms > :after_ms ORDER BY id

-- name: ringholders.delete
DELETE FROM key_ring_holders WHERE id = :id

-- name: ringholders.delete_old
DELETE FROM key_ring_holders WHERE seen_ms <= :before_ms

-- The pages of all sealed values, in the order of their keys: of each how it begins, which says by what key it was
-- sealed, and the value itself unless it begins with `head`.

-- name: sealed.password
SELECT id, substr(password_sealed, 1, 34), CASE WHEN substr(password_sealed, 1, :size) = :head THEN NULL ELSE password_sealed END
FROM accounts WHERE id > :id ORDER BY id LIMIT :most

-- name: sealed.fallback
SELECT id, substr(fallback_sealed, 1, 34), CASE WHEN substr(fallback_sealed, 1, :size) = :head THEN NULL ELSE fallback_sealed END
FROM accounts WHERE id > :id ORDER BY id LIMIT :most

-- name: sealed.headers
SELECT id, substr(headers_sealed, 1, 34), CASE WHEN substr(headers_sealed, 1, :size) = :head THEN NULL ELSE headers_sealed END
FROM endpoints WHERE id > :id ORDER BY id LIMIT :most

-- name: sealed.secrets
SELECT id, substr(secrets_sealed, 1, 34), CASE WHEN substr(secrets_sealed, 1, :size) = :head THEN NULL ELSE secrets_sealed END
FROM endpoints WHERE id > :id ORDER BY id LIMIT :most

-- name: sealed.answer
SELECT scope, key, substr(answer_sealed, 1, 34),
  CASE WHEN substr(answer_sealed, 1, :size) = :head THEN NULL ELSE answer_sealed END
FROM idempotency WHERE (scope, key) > (:scope, :key) ORDER BY scope, key LIMIT :most

-- Only what is still what was read: it may have been changed since, by somebody who sealed it with the key of now.

-- name: reseal.password
UPDATE accounts SET password_sealed = :new WHERE id = :id AND password_sealed = :old RETURNING 1

-- name: reseal.fallback
UPDATE accounts SET fallback_sealed = :new WHERE id = :id AND fallback_sealed = :old RETURNING 1

-- name: reseal.headers
UPDATE endpoints SET headers_sealed = :new WHERE id = :id AND headers_sealed = :old RETURNING 1

-- name: reseal.secrets
UPDATE endpoints SET secrets_sealed = :new WHERE id = :id AND secrets_sealed = :old RETURNING 1

-- name: reseal.answer
UPDATE idempotency SET answer_sealed = :new WHERE scope = :scope AND key = :key AND answer_sealed = :old RETURNING 1
