-- The balances of provider accounts, and what they were in the last days.

-- name: balances.keep
INSERT INTO balances (account, amount, prepaid, as_of_ms, low) VALUES (:account, :amount, :prepaid, :as_of_ms, :low)
ON CONFLICT (account) DO UPDATE
SET amount = excluded.amount, prepaid = excluded.prepaid, as_of_ms = excluded.as_of_ms, low = excluded.low

-- name: balances.find
SELECT a.id, a.name, b.amount, b.prepaid, b.as_of_ms, b.low
FROM accounts a LEFT JOIN balances b ON b.account = a.id WHERE a.id = :account

-- name: balances.all
SELECT a.id, a.name, b.amount, b.prepaid, b.as_of_ms, b.low
FROM accounts a LEFT JOIN balances b ON b.account = a.id WHERE a.deleted_ms IS NULL ORDER BY a.id

-- name: balances.teams
SELECT id, accounts FROM teams WHERE deleted_ms IS NULL ORDER BY id

-- name: samples.insert
INSERT INTO balance_samples (account, at_ms, amount) VALUES (:account, :at_ms, :amount)

-- name: samples.last
SELECT at_ms FROM balance_samples WHERE account = :account ORDER BY at_ms DESC LIMIT 1

-- name: samples.since
SELECT at_ms, amount FROM balance_samples WHERE account = :account AND at_ms >= :since_ms ORDER BY at_ms

-- name: samples.forget
DELETE FROM balance_samples WHERE account = :account AND at_ms < :before_ms
