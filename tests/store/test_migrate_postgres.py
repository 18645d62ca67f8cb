"""From nothing to this release's schema, on every PostgreSQL."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg
import pytest

from relay.domain.errors import SchemaMissing, StoreUnavailable
from relay.store.migrate import head, migrate_postgres
from relay.store.postgres import PostgresDriver
from relay.store.queries import Queries
from relay.store.script import Db
from relay.store.sealing import KeyRing
from relay.store.store import ScriptStore
from tests.postgres.server import PostgresServer
from tests.store.builders import ENTROPY

_numbers: Final = itertools.count(1)


class Empty:
    """A database without a table."""

    def __init__(self, server: PostgresServer) -> None:
        self.name = f"migrate{next(_numbers)}"
        self.url = server.create_database(self.name)
        self._server = server

    def execute(self, sql: str, *params: object) -> list[Any]:
        """As the administrator."""
        return [tuple(row) for row in self._server.execute(self.name, sql, *params)]

    def schema(self) -> list[Any]:
        """All that there is, by name and kind."""
        return self.execute(
            "SELECT relname, relkind, pg_get_indexdef(oid) FROM pg_class"
            " WHERE relnamespace = 'public'::regnamespace ORDER BY oid"
        )

    def revision(self) -> str:
        """Where it stands."""
        return str(self.execute("SELECT version_num FROM alembic_version")[0][0])

    def drop(self) -> None:
        """It is gone."""
        self._server.drop_database(self.name)


@pytest.fixture
def empty(postgres_server: PostgresServer) -> Iterator[Empty]:
    made = Empty(postgres_server)
    yield made
    made.drop()


@asynccontextmanager
async def _store(empty: Empty) -> AsyncIterator[ScriptStore]:
    queries = Queries.load("postgres")
    store = ScriptStore(PostgresDriver(empty.url, queries, Db(queries, ENTROPY, None)), KeyRing({"k1": bytes(32)}))
    yield store
    await store.close()


async def test_migrating_again_changes_nothing(empty: Empty) -> None:
    assert await migrate_postgres(empty.url) == head()
    empty.execute("INSERT INTO team_extensions (extension, team) VALUES ('88', '\\x00')")
    schema = empty.schema()
    assert await migrate_postgres(empty.url) == head()
    assert (empty.schema(), empty.revision()) == (schema, head())
    assert empty.execute("SELECT extension FROM team_extensions") == [("88",)]


async def test_of_several_who_migrate_at_once_all_come_to_a_good_end(empty: Empty) -> None:
    assert await asyncio.gather(*(migrate_postgres(empty.url) for _ in range(4))) == [head()] * 4
    assert empty.revision() == head()


async def test_a_migration_that_breaks_off_leaves_nothing_behind(empty: Empty) -> None:
    empty.execute("CREATE TABLE attempts (id int)")
    before = empty.schema()
    with pytest.raises(StoreUnavailable, match='relation "attempts" already exists'):
        await migrate_postgres(empty.url)
    assert empty.schema() == before
    empty.execute("DROP TABLE attempts")
    assert await migrate_postgres(empty.url) == head()


async def test_a_table_that_others_use_for_long_is_not_waited_for_and_all_is_undone(empty: Empty) -> None:
    connection = await asyncpg.connect(empty.url)
    await connection.execute("CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)")
    before = empty.schema()
    async with connection.transaction():
        await connection.execute("LOCK TABLE alembic_version")
        with pytest.raises(StoreUnavailable, match=r"^the database cannot be migrated: .*lock timeout"):
            await migrate_postgres(empty.url, lock_timeout_s=0.1)
    await connection.close()
    assert empty.schema() == before
    assert await migrate_postgres(empty.url) == head()


async def test_a_migrated_database_and_that_of_a_later_release_can_serve(empty: Empty) -> None:
    await migrate_postgres(empty.url)
    async with _store(empty) as store:
        await store.check()
        empty.execute("UPDATE alembic_version SET version_num = '9999'")
        await store.check()
        assert await store.accounts() == []


@pytest.mark.parametrize("change", ["UPDATE alembic_version SET version_num = '0000'", "DELETE FROM alembic_version"])
async def test_a_database_of_an_earlier_release_cannot_serve(empty: Empty, change: str) -> None:
    await migrate_postgres(empty.url)
    empty.execute(change)
    async with _store(empty) as store:
        with pytest.raises(SchemaMissing):
            await store.check()


async def test_a_database_without_a_schema_cannot_serve_until_it_has_one(empty: Empty) -> None:
    async with _store(empty) as store:
        for question in (store.check, store.accounts):
            with pytest.raises(SchemaMissing):
                await question()
        await migrate_postgres(empty.url)
        await store.check()
