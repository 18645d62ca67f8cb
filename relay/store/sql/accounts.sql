-- Provider accounts and their callback tokens.

-- name: accounts.insert
INSERT INTO accounts (id, name, base_url, account, password_sealed, settings, sandbox, disabled, created_ms)
VALUES (:id, :name, :base_url, :account, :password_sealed, :settings, :sandbox, :disabled, :created_ms)

-- name: accounts.by_name
SELECT id FROM accounts WHERE name = :name

-- name: accounts.all
SELECT id, name, base_url, account, password_sealed, settings, sandbox, disabled, created_ms, version FROM accounts ORDER BY id

-- name: tokens.insert
INSERT INTO callback_tokens (hash, account, created_ms) VALUES (:hash, :account, :created_ms)

-- name: tokens.all
SELECT hash, account FROM callback_tokens
