"""Deleting an endpoint while another process takes its deliveries."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from relay.domain.ids import raw_bytes
from relay.store.postgres import PostgresDriver
from relay.store.queries import Queries
from relay.store.script import Db
from relay.store.sealing import KeyRing
from relay.store.store import ScriptStore
from tests.store.builders import ACCEPTED, ENTROPY, NOW_MS, OTHER_CLAIM, mobiles, work_of
from tests.store.conformance.world import World


@pytest.fixture
async def world(url: str) -> AsyncIterator[World]:
    queries = Queries.load("postgres")
    store = ScriptStore(PostgresDriver(url, queries, Db(queries, ENTROPY, None)), KeyRing({"k1": bytes(32)}))
    made = World(store)
    await made.start()
    yield made
    await store.close()


async def test_a_delivery_that_is_leased_while_its_endpoint_is_deleted_ends_once(world: World, url: str) -> None:
    endpoint = await world.endpoint()
    for first in range(2):
        await world.finish(work_of(await world.accept(mobiles(1, first))), ACCEPTED)
    page = await world.store.deliveries(
        world.team.id, endpoint_id=endpoint.view.id, event_id=None, status="pending", position=None, limit=10
    )
    other = await asyncpg.connect(url)
    try:
        # Whoever writes the history of the first one waits, and has looked at both by then.
        await other.execute("BEGIN")
        await other.execute(
            "INSERT INTO delivery_history SELECT id, endpoint, event, team, 'discarded', 0, 0, 0 FROM deliveries"
            " ORDER BY id LIMIT 1"
        )
        deleting = asyncio.create_task(world.store.delete_endpoint(world.team.id, endpoint.view.id, NOW_MS + 1))
        while not await other.fetchval("SELECT COUNT(*) FROM pg_locks WHERE NOT granted"):  # noqa: ASYNC110 - polled
            await asyncio.sleep(0.01)
        leased = await world.lease((endpoint, 1), now_ms=NOW_MS + 1, claim=OTHER_CLAIM)
        await other.execute("ROLLBACK")
        assert await deleting
        await world.store.release_deliveries(leased)
        await world.sweep(NOW_MS + 2)
        ended = await other.fetch("SELECT id, status FROM delivery_history ORDER BY id")
        left = await other.fetchval("SELECT COUNT(*) FROM deliveries")
    finally:
        await other.close()
    assert (left, [tuple(row) for row in ended]) == (
        0,
        sorted((raw_bytes(delivery.id), "discarded") for delivery in page.data),
    )
