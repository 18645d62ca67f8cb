"""Brings a database to this release's schema, with Alembic."""

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


def head() -> str:
    """The revision that this release needs."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    if revision is None:
        raise RuntimeError("there are no migrations")
    return revision


def migrate_sqlite(path: Path) -> str:
    """Bring the file (made when missing) to ``head()`` and return that. Raises StoreUnavailable."""
    path.parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine("sqlite://", creator=lambda: sqlite3.connect(path, timeout=5.0))
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
            command.upgrade(_config(connection), "head")
            connection.commit()
    except sa.exc.OperationalError as error:
        raise StoreUnavailable(f"the database file {path} cannot be migrated: {error.orig}") from error
    finally:
        engine.dispose()
    return head()
