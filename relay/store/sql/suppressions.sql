-- Opt-outs. Found by the number first: who accepts a message knows number and team, who erases or looks only the number.

-- Most teams have none: then nobody looks any number up.
-- name: suppressions.any
-- kept: yes
SELECT id FROM suppressions WHERE team = :team LIMIT 1

-- name: suppressions.of_numbers
SELECT mobile FROM suppressions
WHERE mobile IN (SELECT value FROM json_each(:mobiles)) AND team = :team

-- name: suppressions.of_number
SELECT id, team, mobile, source, keyword, created_ms FROM suppressions WHERE mobile = :mobile AND team = :team

-- No row when it has opted out before, which stands.
-- name: suppressions.add
INSERT INTO suppressions (id, team, mobile, source, keyword, created_ms)
VALUES (:id, :team, :mobile, :source, :keyword, :created_ms)
ON CONFLICT (mobile, team) DO NOTHING RETURNING id

-- For many at once, of which none may be there.
-- name: suppressions.insert
INSERT INTO suppressions (id, team, mobile, source, keyword, created_ms)
VALUES (:id, :team, :mobile, :source, :keyword, :created_ms)

-- name: suppressions.find
SELECT id, team, mobile, source, keyword, created_ms FROM suppressions WHERE id = :id

-- name: suppressions.list
SELECT id, team, mobile, source, keyword, created_ms FROM suppressions
WHERE id < :before ORDER BY id DESC LIMIT :most

-- name: suppressions.list_of_team
SELECT id, team, mobile, source, keyword, created_ms FROM suppressions
WHERE team = :team AND id < :before ORDER BY id DESC LIMIT :most

-- One row for each team at most, so that they need no pages.
-- name: suppressions.list_of_number
SELECT id, team, mobile, source, keyword, created_ms FROM suppressions WHERE mobile = :mobile

-- name: suppressions.delete
DELETE FROM suppressions WHERE id = :id
