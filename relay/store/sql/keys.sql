-- API keys.

-- name: keys.insert
INSERT INTO api_keys (id, hash, team, name, hint, scopes, mode, created_ms, expires_ms)
VALUES (:id, :hash, :team, :name, :hint, :scopes, :mode, :created_ms, :expires_ms)

-- name: keys.view
SELECT id, team, name, hint, scopes, mode, created_ms, expires_ms FROM api_keys WHERE id = :id

-- name: keys.list
SELECT id, team, name, hint, scopes, mode, created_ms, expires_ms FROM api_keys
WHERE id < :before ORDER BY id DESC LIMIT :most

-- name: keys.list_of_team
SELECT id, team, name, hint, scopes, mode, created_ms, expires_ms FROM api_keys
WHERE team = :team AND id < :before ORDER BY id DESC LIMIT :most

-- name: keys.by_hash
SELECT id, team, scopes, mode, expires_ms, revoked_ms FROM api_keys WHERE hash = :hash
