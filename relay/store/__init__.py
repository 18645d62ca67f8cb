"""What must be remembered: transaction scripts written once, run by a driver per engine.

script.py     what a script is, and what it works with
queries.py    named SQL, shared by the engines, with overrides where one must differ
scripts/      the transactions, one area a file
sqlite.py     the driver of the embedded engine
parts/        ``ports.Store`` by areas: which script each method runs, and whether it writes
store.py      all parts, joined
migrate.py    the schema, by Alembic
sealing.py    secrets at rest
spool.py      callbacks, while the database cannot be written
"""
