"""Brings a database to this release's schema, with Alembic.

Revisions are numbers and only grow. Each must leave the schema fit for the release before it, which may still be
running: it serves from any revision that is not below its own.
"""

import asyncio
import functools
import sqlite3
import uuid
from pathlib import Path
from typing import Final

import asyncpg
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.ext.asyncio import create_async_engine

from relay.domain.errors import StoreUnavailable

_SCRIPTS: Final = Path(__file__).parent / "migrations"
_LOCK: Final = 7_355_241_018
"""The number of the advisory lock that one migration at a time holds; nothing else in a database of ours has it."""
LOCK_TIMEOUT_S: Final = 5.0
"""How long a change of a table waits for those who use it, who wait behind it meanwhile; then all is undone."""
CONNECT_S: Final = 10.0


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
    """Bring the file (made when missing) to ``head()`` at least; its revision then. Raises StoreUnavailable, all
    undone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine("sqlite://", creator=lambda: _open(path))
    sa.event.listen(engine, "begin", _begin)
    try:
        with engine.connect() as connection:
            revision = _to_head(connection)
            connection.commit()
    except sa.exc.DatabaseError as error:
        raise StoreUnavailable(f"the database file {path} cannot be migrated: {error.orig}") from error
    finally:
        engine.dispose()
    return revision


async def migrate_postgres(url: str, *, lock_timeout_s: float = LOCK_TIMEOUT_S) -> str:
    """Bring the database to ``head()`` at least; its revision then. Whoever migrates at the same time waits, and then
    finds nothing to do. ``lock_timeout_s``: see ``LOCK_TIMEOUT_S``. Raises StoreUnavailable, all undone.

    Decision: everything in one transaction with a lock that ends with it, so it is all or nothing, and it works behind
    a pooler too.
    """

    async def connect() -> "asyncpg.Connection[asyncpg.Record]":
        return await asyncpg.connect(url, timeout=CONNECT_S, statement_cache_size=0)

    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connect,
        poolclass=sa.NullPool,
        # Behind a pooler another client's statement may have any name that is not unique.
        connect_args={"prepared_statement_name_func": lambda: f"relay_{uuid.uuid4().hex}"},
    )
    try:
        async with engine.connect() as connection:
            revision = await connection.run_sync(_upgrade, lock_timeout_s)
            await connection.commit()
    except ValueError:
        # From None: what cannot be read of an address may be a piece of its password.
        raise StoreUnavailable("the database cannot be migrated: its address cannot be read") from None
    except (sa.exc.DBAPIError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error
        raise StoreUnavailable(f"the database cannot be migrated: {_says(cause)}") from error
    finally:
        await engine.dispose()
    return revision


def _upgrade(connection: sa.Connection, lock_timeout_s: float) -> str:
    connection.execute(sa.text("SELECT pg_advisory_xact_lock(:number)"), {"number": _LOCK})
    connection.execute(sa.text(f"SET LOCAL lock_timeout = {int(lock_timeout_s * 1000)}"))
    return _to_head(connection)


def _to_head(connection: sa.Connection) -> str:
    """The revision then. What a later release has made of the database is fit for this one, which somebody may have
    gone back to, and stays."""
    found = MigrationContext.configure(connection).get_current_revision()
    if found is not None and found > head():
        return found
    command.upgrade(_config(connection), "head")
    return head()


def _says(error: BaseException | None) -> str:
    """What the server says, which of a migration quotes no values; a connection that failed says it in its class."""
    return " ".join(str(error).split()) or type(error).__name__


def run_migrate_postgres(url: str) -> str:
    """``migrate_postgres`` for whoever has no event loop."""
    return asyncio.run(migrate_postgres(url))


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=5.0, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    return connection


def _begin(connection: sa.Connection) -> None:
    # Python's sqlite3 begins no transaction before a CREATE TABLE: a kill between two of them would leave a schema that
    # no later start could finish.
    connection.exec_driver_sql("BEGIN IMMEDIATE")
