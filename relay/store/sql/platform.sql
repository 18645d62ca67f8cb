-- Accounts, teams, keys.

-- name: accounts.insert
INSERT INTO accounts (id, name, base_url, account, password_sealed, settings, sandbox, disabled, created_ms)
VALUES (:id, :name, :base_url, :account, :password_sealed, :settings, :sandbox, :disabled, :created_ms)

-- name: accounts.by_name
SELECT id FROM accounts WHERE name = :name

-- name: accounts.all
SELECT id, name, base_url, account, password_sealed, settings, sandbox, disabled, created_ms FROM accounts ORDER BY id

-- name: tokens.insert
INSERT INTO callback_tokens (hash, account, created_ms) VALUES (:hash, :account, :created_ms)

-- name: tokens.all
SELECT hash, account FROM callback_tokens

-- name: balances.keep
INSERT INTO balances (account, amount, prepaid, as_of_ms) VALUES (:account, :amount, :prepaid, :as_of_ms)
ON CONFLICT (account) DO UPDATE SET amount = excluded.amount, prepaid = excluded.prepaid, as_of_ms = excluded.as_of_ms

-- name: balances.find
SELECT a.name, b.amount, b.prepaid, b.as_of_ms FROM accounts a LEFT JOIN balances b ON b.account = a.id
WHERE a.id = :account

-- name: teams.insert
INSERT INTO teams (id, name, signature, accounts, quota_units_per_day, requests_per_s, recipient_limits, created_ms)
VALUES (:id, :name, :signature, :accounts, :quota_units_per_day, :requests_per_s, :recipient_limits, :created_ms)

-- name: teams.by_name
SELECT id FROM teams WHERE name = :name

-- name: extensions.insert
INSERT INTO team_extensions (extension, team) VALUES (:extension, :team)

-- name: extensions.of_team
SELECT extension FROM team_extensions WHERE team = :team ORDER BY extension

-- name: teams.find
SELECT id, name, signature, accounts, quota_units_per_day, requests_per_s, recipient_limits, created_ms
FROM teams WHERE id = :id

-- name: teams.list
SELECT id, name, signature, accounts, quota_units_per_day, requests_per_s, recipient_limits, created_ms
FROM teams WHERE id < :before ORDER BY id DESC LIMIT :most

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
