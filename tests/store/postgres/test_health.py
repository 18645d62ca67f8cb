"""Whether a real server can be served from."""

import contextlib
from collections.abc import AsyncIterator, Iterator

import pytest

from relay.domain.errors import StoreUnavailable
from relay.store.migrate import run_migrate_postgres
from relay.store.postgres import PostgresDriver
from relay.store.queries import Queries
from relay.store.script import Db
from relay.store.sealing import KeyRing
from relay.store.store import ScriptStore
from tests.postgres.server import PostgresServer
from tests.store.builders import ENTROPY


@contextlib.asynccontextmanager
async def store_at(url: str) -> AsyncIterator[ScriptStore]:
    queries = Queries.load("postgres")
    store = ScriptStore(PostgresDriver(url, queries, Db(queries, ENTROPY, None)), KeyRing({"k1": bytes(32)}))
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture
def url(postgres_server: PostgresServer) -> Iterator[str]:
    made = postgres_server.create_database("health")
    run_migrate_postgres(made)
    yield made
    postgres_server.drop_database("health")


async def test_a_server_that_takes_no_writes_cannot_serve_although_it_answers_reads(url: str) -> None:
    async with store_at(url) as store:
        await store.check()
    async with store_at(f"{url}{'&' if '?' in url else '?'}default_transaction_read_only=on") as store:
        assert await store.accounts() == []
        with pytest.raises(StoreUnavailable, match="takes no writes"):
            await store.check()
