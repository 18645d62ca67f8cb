-- The audit: rows are added, never changed and never deleted; the database itself refuses both (migration 0005).

-- name: audit.insert
INSERT INTO audit (id, at_ms, actor, action, target, detail, from_address, request_id)
VALUES (:id, :at_ms, :actor, :action, :target, :detail, :from_address, :request_id)

-- Decision: no index but the id, because the audit grows with what people do: what a filter leaves out is walked over.
-- name: audit.list
SELECT id, at_ms, actor, action, target, detail, from_address, request_id FROM audit
WHERE id < :before AND (action LIKE :action OR :action IS NULL) AND (actor = :actor OR :actor IS NULL)
  AND (target = :target OR :target IS NULL) AND (at_ms > :after_ms OR :after_ms IS NULL)
  AND (at_ms < :before_ms OR :before_ms IS NULL)
ORDER BY id DESC LIMIT :most

-- name: audit.list_from
SELECT id, at_ms, actor, action, target, detail, from_address, request_id FROM audit
WHERE id > :after AND (action LIKE :action OR :action IS NULL) AND (actor = :actor OR :actor IS NULL)
  AND (target = :target OR :target IS NULL) AND (at_ms > :after_ms OR :after_ms IS NULL)
  AND (at_ms < :before_ms OR :before_ms IS NULL)
ORDER BY id LIMIT :most
