-- The audit: rows are added, never changed and never deleted.

-- name: audit.insert
INSERT INTO audit (id, at_ms, actor, action, target, detail, from_address, request_id)
VALUES (:id, :at_ms, :actor, :action, :target, :detail, :from_address, :request_id)

-- name: audit.list
SELECT id, at_ms, actor, action, target, detail, from_address, request_id FROM audit
WHERE id < :before ORDER BY id DESC LIMIT :most
