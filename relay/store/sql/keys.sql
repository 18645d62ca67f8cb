-- API keys.

-- name: keys.insert
INSERT INTO api_keys (id, hash, team, name, hint, scopes, mode, created_ms, expires_ms)
VALUES (:id, :hash, :team, :name, :hint, :scopes, :mode, :created_ms, :expires_ms)

-- name: keys.view
SELECT id, team, name, hint, scopes, mode, created_ms, expires_ms, last_used_ms, revoked_ms FROM api_keys
WHERE id = :id

-- name: keys.view_of_hash
SELECT id, team, name, hint, scopes, mode, created_ms, expires_ms, last_used_ms, revoked_ms FROM api_keys
WHERE hash = :hash

-- name: keys.list
SELECT id, team, name, hint, scopes, mode, created_ms, expires_ms, last_used_ms, revoked_ms FROM api_keys
WHERE id < :before AND (revoked_ms IS NULL OR :revoked = 1) ORDER BY id DESC LIMIT :most

-- name: keys.list_of_team
SELECT id, team, name, hint, scopes, mode, created_ms, expires_ms, last_used_ms, revoked_ms FROM api_keys
WHERE team = :team AND id < :before AND (revoked_ms IS NULL OR :revoked = 1) ORDER BY id DESC LIMIT :most

-- name: keys.change
UPDATE api_keys SET name = :name, expires_ms = :expires_ms, revoked_ms = :revoked_ms WHERE id = :id

-- What another replica has seen later stays.
-- name: keys.use
UPDATE api_keys SET last_used_ms = :used_ms
WHERE id = :id AND (last_used_ms < :used_ms OR last_used_ms IS NULL)

-- name: keys.by_hash
SELECT id, team, scopes, mode, expires_ms, revoked_ms FROM api_keys WHERE hash = :hash
