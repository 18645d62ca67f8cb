"""Several processes that learn at once that an endpoint is gone."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from relay.store.postgres import PostgresDriver
from relay.store.queries import Queries
from relay.store.script import Db
from relay.store.sealing import KeyRing
from relay.store.store import ScriptStore
from tests.store.builders import ACCEPTED, ENTROPY, attempt_record, mobiles, work_of
from tests.store.conformance.world import World


@pytest.fixture
async def stores(url: str) -> AsyncIterator[list[ScriptStore]]:
    queries, ring = Queries.load("postgres"), KeyRing({"k1": bytes(32)})
    made = [ScriptStore(PostgresDriver(url, queries, Db(queries, ENTROPY, None)), ring) for _ in range(2)]
    yield made
    for store in made:
        await store.close()


async def test_an_endpoint_that_two_find_gone_at_once_is_disabled_once_with_one_event(
    stores: list[ScriptStore], url: str
) -> None:
    world = World(stores[0])
    await world.start()
    endpoint = await world.endpoint()
    for first in range(2):
        await world.finish(work_of(await world.accept(mobiles(1, first))), ACCEPTED)
    works = await world.lease((endpoint, 2))
    other = await asyncpg.connect(url)
    try:
        # Both have read what the endpoint is; neither gets on to change it.
        await other.execute("BEGIN; SELECT 1 FROM endpoints FOR UPDATE")
        finishing = [
            asyncio.create_task(store.finish_delivery(work, attempt_record(work, 410)))
            for store, work in zip(stores, works, strict=True)
        ]
        while await other.fetchval("SELECT COUNT(*) FROM pg_locks WHERE NOT granted") < 2:  # noqa: ASYNC110 - polled
            await asyncio.sleep(0.01)
        await other.execute("ROLLBACK")
        finished = await asyncio.gather(*finishing)
    finally:
        await other.close()
    events = [event["type"] for event in await world.events()]
    assert (sorted(one.disabled for one in finished), events.count("endpoint.disabled")) == ([False, True], 1)
