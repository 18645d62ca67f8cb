-- Provider accounts and their callback tokens.

-- name: accounts.insert
INSERT INTO accounts (id, name, base_url, account, password_sealed, password_ref, settings, sandbox, disabled, created_ms)
VALUES (:id, :name, :base_url, :account, :password_sealed, :password_ref, :settings, :sandbox, :disabled, :created_ms)

-- name: accounts.by_name
SELECT id FROM accounts WHERE name = :name

-- name: accounts.all
SELECT id, name, base_url, account, password_sealed, settings, sandbox, disabled, created_ms, version, password_ref,
       fallback_sealed, fallback_until_ms
FROM accounts WHERE deleted_ms IS NULL ORDER BY id

-- name: accounts.find
SELECT id, name, base_url, account, password_sealed, settings, sandbox, disabled, created_ms, version, password_ref,
       fallback_sealed, fallback_until_ms
FROM accounts WHERE id = :id AND deleted_ms IS NULL

-- name: accounts.change
UPDATE accounts
SET name = :name, base_url = :base_url, account = :account, password_sealed = :password_sealed,
    password_ref = :password_ref, fallback_sealed = :fallback_sealed, fallback_until_ms = :fallback_until_ms,
    settings = :settings, disabled = :disabled, version = version + 1
WHERE id = :id AND version = :version AND deleted_ms IS NULL

-- name: accounts.delete
UPDATE accounts
SET name = :name, password_sealed = :password_sealed, password_ref = NULL, fallback_sealed = NULL,
    fallback_until_ms = NULL, disabled = 1, deleted_ms = :now_ms, version = version + 1
WHERE id = :id AND deleted_ms IS NULL

-- name: accounts.forget_fallbacks
UPDATE accounts SET fallback_sealed = NULL, fallback_until_ms = NULL WHERE fallback_until_ms <= :now_ms

-- What an account cannot be deleted for.

-- name: accounts.team_that_names
SELECT name FROM teams WHERE deleted_ms IS NULL AND accounts LIKE :pattern ORDER BY id LIMIT 1

-- name: accounts.leased_extension
SELECT extension FROM team_extensions WHERE account = :account ORDER BY extension LIMIT 1

-- name: accounts.waiting
SELECT id FROM submissions WHERE account = :account AND status IN ('scheduled', 'queued') LIMIT 1

-- name: accounts.running
SELECT id FROM submissions WHERE account = :account AND status = 'submitting' LIMIT 1

-- name: accounts.open
SELECT id FROM submissions
WHERE account = :account AND status IN ('submitted', 'unconfirmed') AND n_open > 0
LIMIT 1

-- name: accounts.used_lately
SELECT id FROM (SELECT id, account FROM submissions WHERE id >= :since_id ORDER BY id DESC LIMIT :most) AS latest
WHERE latest.account = :account
LIMIT 1

-- name: tokens.insert
INSERT INTO callback_tokens (hash, account, created_ms) VALUES (:hash, :account, :created_ms)

-- name: tokens.all
SELECT hash, account, created_ms, expires_ms FROM callback_tokens

-- name: tokens.of_account
SELECT hash, account, created_ms, expires_ms FROM callback_tokens WHERE account = :account

-- name: tokens.expire
UPDATE callback_tokens SET expires_ms = :expires_ms WHERE hash = :hash

-- name: tokens.delete
DELETE FROM callback_tokens WHERE hash = :hash

-- name: tokens.delete_all
DELETE FROM callback_tokens WHERE account = :account

-- name: tokens.forget
DELETE FROM callback_tokens WHERE expires_ms <= :now_ms
