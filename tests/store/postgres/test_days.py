"""Days as partitions on a real server: made ahead, dropped whole, and never waited for long."""

import itertools
import time
from collections.abc import AsyncIterator, Iterator
from typing import Final

import asyncpg
import pytest

from relay.domain.retention import RetentionKind
from relay.domain.times import DAY_MS
from relay.ports import Retired
from relay.store.migrate import run_migrate_postgres
from relay.store.postgres import PostgresDriver
from relay.store.queries import Queries
from relay.store.script import Db
from relay.store.sealing import KeyRing
from relay.store.store import ScriptStore
from tests.postgres.server import PostgresServer
from tests.store.builders import ACCEPTED, ENTROPY, NOW_MS, mobiles, raw_body, raw_id, reading, work_of
from tests.store.conformance.world import World

TODAY_MS: Final = NOW_MS - NOW_MS % DAY_MS
DAYS: Final = ["default", "p20261118", "p20261119", "p20261120", "p20261121"]
LATER: Final = ["p20261228", "p20261229", "p20261230", "p20261231"]
_names = (f"days{number}" for number in itertools.count(1))


class Server:
    """A database of its own, a store on it, and a look behind it."""

    def __init__(self, server: PostgresServer, name: str, store: ScriptStore) -> None:
        self._server = server
        self.name = name
        self.url = server.url(name)
        self.store = store
        self.world = World(store)

    def parts(self, table: str) -> list[str]:
        """The partitions of a table, without its name."""
        rows = self._server.execute(
            self.name,
            "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
            " WHERE i.inhparent = $1::text::regclass ORDER BY c.relname",
            table,
        )
        return [str(row[0]).removeprefix(f"{table}_") for row in rows]

    def count(self, table: str) -> int:
        number: int = self._server.execute(self.name, f"SELECT COUNT(*) FROM {table}")[0][0]  # noqa: S608 - ours
        return number

    def analyze(self, table: str) -> None:
        """Let the server count its rows, as autovacuum does by and by."""
        self._server.execute(self.name, f"ANALYZE {table}")

    async def today(self, kind: RetentionKind) -> Retired:
        """A run of today, when nothing is old."""
        return await self.store.retire(kind, before_ms=TODAY_MS - 30 * DAY_MS, now_ms=NOW_MS, limit=500)

    async def later(self, kind: RetentionKind) -> Retired:
        """One batch in forty days, when all of today and of three days more is old."""
        return await self.store.retire(kind, before_ms=TODAY_MS + 5 * DAY_MS, now_ms=TODAY_MS + 40 * DAY_MS, limit=500)

    async def drain(self, kind: RetentionKind) -> None:
        """All of it."""
        while (await self.later(kind)).more:
            pass

    async def event(self) -> None:
        """Something happens."""
        await self.world.finish(work_of(await self.world.accept(mobiles(1))), ACCEPTED)


@pytest.fixture
def database(postgres_server: PostgresServer) -> Iterator[str]:
    name = next(_names)
    run_migrate_postgres(postgres_server.create_database(name))
    yield name
    postgres_server.drop_database(name)


@pytest.fixture
async def server(postgres_server: PostgresServer, database: str) -> AsyncIterator[Server]:
    queries = Queries.load("postgres")
    driver = PostgresDriver(postgres_server.url(database), queries, Db(queries, ENTROPY, None))
    store = ScriptStore(driver, KeyRing({"k1": bytes(32)}))
    made = Server(postgres_server, database, store)
    await made.world.start()
    yield made
    await store.close()


async def test_today_and_three_days_are_made_once_and_rows_go_into_their_day(server: Server) -> None:
    assert server.parts("events") == ["default"]
    for _ in range(2):
        assert await server.today("events") == Retired(rows=0, more=False, overdue_ms=None)
    await server.event()

    assert server.parts("events") == DAYS
    assert (server.count("events_p20261118"), server.count("events_default")) == (1, 0)


@pytest.mark.parametrize(
    ("kind", "table"),
    [("events", "events"), ("deliveries", "delivery_history"), ("attempts", "attempts"), ("raw", "raw_bodies")],
)
async def test_every_table_of_days_has_them_made_and_dropped(server: Server, kind: RetentionKind, table: str) -> None:
    await server.today(kind)
    assert server.parts(table) == DAYS

    await server.drain(kind)

    assert server.parts(table) == ["default", *LATER]


async def test_an_old_day_goes_at_once_one_each_time_and_its_rows_are_estimated(server: Server) -> None:
    await server.today("events")
    for _ in range(3):
        await server.event()
    server.analyze("events_p20261118")

    batches = [await server.later("events") for _ in range(5)]

    assert [(batch.rows, batch.more) for batch in batches] == [(3, True), (0, True), (0, True), (0, True), (0, False)]
    assert [batch.overdue_ms is None for batch in batches] == [False, False, False, True, True]
    assert server.count("events") == 0


async def test_a_day_that_others_read_stays_until_the_next_run_and_nobody_waits_long(server: Server) -> None:
    await server.today("events")
    await server.event()
    reader = await asyncpg.connect(server.url)
    try:
        async with reader.transaction():
            await reader.fetchval("SELECT COUNT(*) FROM events")
            started_s = time.monotonic()
            waits = await server.later("events")
            assert time.monotonic() - started_s < 5
            assert (waits.rows, waits.more, waits.overdue_ms) == (0, False, TODAY_MS + DAY_MS - 1)
            assert "p20261118" in server.parts("events")
    finally:
        await reader.close()

    await server.drain("events")

    assert server.parts("events") == ["default", *LATER]


async def test_a_day_with_a_pending_delivery_stays_until_that_has_ended(server: Server) -> None:
    await server.world.endpoint(status="disabled")
    await server.today("events")
    await server.event()

    await server.drain("events")
    assert "p20261118" in server.parts("events")

    await server.drain("pending")
    await server.drain("events")
    assert server.count("events") == 0
    assert "p20261118" not in server.parts("events")


async def test_a_day_with_a_body_that_must_stay_keeps_that_and_loses_the_rest(server: Server) -> None:
    await server.today("raw")
    account = server.world.account.id
    await server.store.quarantine(account, raw_id(), raw_body(body=b"stays"), "why")
    await server.store.receive_reports(account, raw_id(), raw_body(body=b"goes"), reading([]))

    await server.drain("raw")
    assert server.parts("raw_bodies") == ["default", "p20261118", *LATER]
    assert server.count("raw_bodies") == 1

    await server.drain("quarantine")
    await server.drain("raw")
    assert server.parts("raw_bodies") == ["default", *LATER]


async def test_rows_of_a_day_that_has_no_partition_keep_it_from_being_made_and_go_one_by_one(server: Server) -> None:
    await server.event()

    await server.today("events")
    assert server.parts("events") == [day for day in DAYS if day != "p20261118"]
    assert server.count("events_default") == 1

    await server.drain("events")
    assert (await server.later("events")).rows == 0
    assert server.count("events") == 0


async def test_positions_go_on_over_days_that_were_dropped(server: Server) -> None:
    await server.today("events")
    await server.event()
    seen = await server.store.events(server.world.team.id, position=None, limit=10, event_types=())
    await server.drain("events")
    await server.event()

    page = await server.store.events(server.world.team.id, position=seen.next_position, limit=10, event_types=())

    assert len(page.data) == 1
