-- Provider accounts, their callback tokens and balances.

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

-- name: balances.keep
INSERT INTO balances (account, amount, prepaid, as_of_ms) VALUES (:account, :amount, :prepaid, :as_of_ms)
ON CONFLICT (account) DO UPDATE SET amount = excluded.amount, prepaid = excluded.prepaid, as_of_ms = excluded.as_of_ms

-- name: balances.find
SELECT a.name, b.amount, b.prepaid, b.as_of_ms FROM accounts a LEFT JOIN balances b ON b.account = a.id
WHERE a.id = :account
