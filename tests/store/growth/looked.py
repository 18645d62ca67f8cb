"""One PostgreSQL database, from empty to a million recipients, and how each query is planned on the way."""

import asyncio
from collections.abc import Mapping
from typing import Final, Literal, get_args

import asyncpg
import msgspec

from relay.store.migrate import run_migrate_postgres
from relay.store.postgres.planner import SETTINGS
from relay.store.queries import Queries
from tests.postgres.server import ADMIN, PostgresServer
from tests.store.growth.asked import asked
from tests.store.growth.exempt import IN_BATCHES
from tests.store.growth.fill import Size
from tests.store.growth.filled_postgres import fill_postgres
from tests.store.growth.plans import Mode, Names, Step, explain, pages, steps

State = Literal["empty", "unknown", "known"]
"""``empty``: analyzed while nothing was in it. ``unknown``: a million rows, of which the planner has never been told.
``known``: freshly analyzed."""

QUERIES: Final = Queries.load("postgres")
GUARDED: Final = [name for name in QUERIES.names() if name not in IN_BATCHES]
_DATABASE: Final = "growth"
_ANALYZE_S: Final = 120.0


class Looked(msgspec.Struct, frozen=True, kw_only=True):
    """What was found. ``plans``: by query, state and mode. ``pages``: by query that only reads, how many pages it
    touched and how many rows it answered, at the worst."""

    plans: dict[str, dict[tuple[State, Mode], list[Step]]]
    pages: dict[str, tuple[int, int]]


def make(server: PostgresServer) -> None:
    """A database for ``look``. Not for several threads at once: Alembic keeps what it works on in globals."""
    run_migrate_postgres(server.create_database(_DATABASE))


def look(server: PostgresServer, size: Size) -> Looked:
    """Fills the database of ``server``, whose autovacuum is off, and looks at every query in every state."""
    return asyncio.run(_look(server, size))


async def _look(server: PostgresServer, size: Size) -> Looked:
    looked = Looked(plans={name: {} for name in GUARDED}, pages={})
    url = server.url(_DATABASE)
    server.execute(_DATABASE, "ANALYZE")
    await _look_once(url, size, looked, "empty")
    await fill_postgres(server.socket_url(_DATABASE, ADMIN), size)
    await _look_once(url, size, looked, "unknown")
    server.execute(_DATABASE, "ANALYZE", timeout_s=_ANALYZE_S)
    await _look_once(url, size, looked, "known")
    return looked


async def _look_once(url: str, size: Size, looked: Looked, state: State) -> None:
    settings: Mapping[str, str] = SETTINGS
    connection = await asyncpg.connect(url, statement_cache_size=0, server_settings=dict(settings))
    try:
        names = await Names.read(connection)
        for name in GUARDED:
            query = QUERIES[name]
            params = asked(name, query, size)
            for mode in get_args(Mode):
                plan = await explain(connection, query, params, mode)
                looked.plans[name][state, mode] = steps(plan, names)
                if state != "empty" and query.sql.startswith("SELECT"):
                    done = await explain(connection, query, params, mode, run=True)
                    cost = (pages(done), int(done["Actual Rows"]))
                    looked.pages[name] = max(looked.pages.get(name, (0, 0)), cost)
    finally:
        await connection.close()
