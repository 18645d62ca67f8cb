"""Schema by Alembic: forward only, each step safe under the release before it."""
