-- The balances of provider accounts.

-- name: balances.keep
INSERT INTO balances (account, amount, prepaid, as_of_ms) VALUES (:account, :amount, :prepaid, :as_of_ms)
ON CONFLICT (account) DO UPDATE SET amount = excluded.amount, prepaid = excluded.prepaid, as_of_ms = excluded.as_of_ms

-- name: balances.find
SELECT a.name, b.amount, b.prepaid, b.as_of_ms FROM accounts a LEFT JOIN balances b ON b.account = a.id
WHERE a.id = :account
