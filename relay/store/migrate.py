"""Brings a database to this release's schema, with Alembic."""

import functools
import sqlite3
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from relay.domain.errors import StoreUnavailable

_SCRIPTS: Final = Path(__file__).parent / "migrations"


def _config(connection: sa.Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    config.attributes["connection"] = connection
    return config


@functools.cache
def head() -> str:
    """The revision that this release needs. Kept, because every readiness probe asks."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    if revision is None:
        raise RuntimeError("there are no migrations")
    return revision


def migrate_sqlite(path: Path) -> str:
    """Bring the file (made when missing) to ``head()`` and return that. Raises StoreUnavailable, all undone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine("sqlite://", creator=lambda: _open(path))
    sa.event.listen(engine, "begin", _begin)
    try:
        with engine.connect() as connection:
            command.upgrade(_config(connection), "head")
            connection.commit()
    except sa.exc.DatabaseError as error:
        raise StoreUnavailable(f"the database file {path} cannot be migrated: {error.orig}") from error
    finally:
        engine.dispose()
    return head()


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=5.0, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    return connection


def _begin(connection: sa.Connection) -> None:
    # Python's sqlite3 begins no transaction before a CREATE TABLE: a kill between two of them would leave a schema that
    # no later start could finish.
    connection.exec_driver_sql("BEGIN IMMEDIATE")
