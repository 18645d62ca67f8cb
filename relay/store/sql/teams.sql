-- Teams and their extensions.

-- name: teams.insert
INSERT INTO teams (id, name, signature, accounts, quota_units_per_day, requests_per_s, recipient_limits, created_ms, settings)
VALUES (:id, :name, :signature, :accounts, :quota_units_per_day, :requests_per_s, :recipient_limits, :created_ms, :settings)

-- name: teams.by_name
SELECT id FROM teams WHERE name = :name

-- name: extensions.insert
INSERT INTO team_extensions (extension, team) VALUES (:extension, :team)

-- name: extensions.of_team
SELECT extension FROM team_extensions WHERE team = :team ORDER BY extension

-- name: teams.find
SELECT id, name, signature, accounts, quota_units_per_day, requests_per_s, recipient_limits, created_ms, settings, version
FROM teams WHERE id = :id

-- name: teams.list
SELECT id, name, signature, accounts, quota_units_per_day, requests_per_s, recipient_limits, created_ms, settings, version
FROM teams WHERE id < :before ORDER BY id DESC LIMIT :most
