-- PostgreSQL keeps its partitions in its catalog. The estimate of rows is what autovacuum has counted last; -1: not yet.
-- name: partitions.of
SELECT CAST(child.relname AS TEXT), CAST(child.reltuples AS BIGINT)
FROM pg_inherits i JOIN pg_class child ON child.oid = i.inhrelid
WHERE i.inhparent = to_regclass(CAST(:parent AS TEXT))
