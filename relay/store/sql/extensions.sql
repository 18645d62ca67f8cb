-- Leased extensions. An account of 16 zero bytes is every account.

-- name: extensions.insert
INSERT INTO team_extensions (extension, account, team) VALUES (:extension, :account, :team)

-- name: extensions.release
DELETE FROM team_extensions WHERE extension = :extension AND account = :account AND team = :team

-- name: extensions.release_all
DELETE FROM team_extensions WHERE team = :team

-- name: extensions.of_team
SELECT extension, account FROM team_extensions WHERE team = :team ORDER BY extension

-- name: extensions.of_ends
SELECT extension, account, team FROM team_extensions WHERE extension IN (SELECT value FROM json_each(:ends))

-- name: extensions.of_width
SELECT extension, account FROM team_extensions WHERE LENGTH(extension) = :digits

-- name: extensions.list
SELECT DISTINCT extension, team FROM team_extensions
WHERE (extension > :after OR (extension = :after AND team > :after_team))
  AND (team = :team OR :team IS NULL) AND (extension = :extension OR :extension IS NULL)
  AND (account = :account OR account = :everywhere OR :account IS NULL)
ORDER BY extension, team LIMIT :most

-- name: extensions.places
SELECT account FROM team_extensions WHERE team = :team AND extension = :extension
