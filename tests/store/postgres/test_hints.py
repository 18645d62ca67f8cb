"""Hints between replicas: they arrive, they are told of once, and a lost connection says so."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

import pytest

from relay.domain.errors import StoreUnavailable
from relay.ports import HintTopic
from relay.store.postgres.connections import Connections
from relay.store.postgres.hints import PostgresHints
from relay.system import SystemClock
from tests.faults.polling import until
from tests.postgres.server import PostgresServer

SECONDS: Final = 20.0
DATABASE: Final = "postgres"


class Replica:
    """One process's hints, and what it heard."""

    def __init__(self, url: str, name: str) -> None:
        self.hints = PostgresHints(Connections(url, timeout_s=5, pooler=False), SystemClock(), name)
        self.heard: list[HintTopic] = []
        self.hints.heard = self.heard.append


@asynccontextmanager
async def running(*replicas: Replica) -> AsyncIterator[list[asyncio.Task[None]]]:
    tasks = [asyncio.create_task(replica.hints.run()) for replica in replicas]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError, StoreUnavailable):
                await task


async def _is_heard(teller: Replica, listener: Replica, topic: HintTopic) -> None:
    """Tells again and again: what is told before the other one listens is lost, as hints may be."""

    def tell() -> bool:
        teller.hints.tell(topic)
        return topic in listener.heard

    await until(tell, SECONDS, f"the hint {topic} arrives")


async def test_a_hint_reaches_every_other_replica_and_not_its_teller(postgres_server: PostgresServer) -> None:
    url = postgres_server.url(DATABASE)
    one, two, three = (Replica(url, name) for name in ("one", "two", "three"))

    async with running(one, two, three):
        await _is_heard(one, two, "events")
        await _is_heard(one, three, "events")
        await _is_heard(two, one, "submissions")

    assert "events" not in one.heard
    assert "submissions" not in two.heard


async def test_what_is_told_within_a_moment_is_one_notification(postgres_server: PostgresServer) -> None:
    url = postgres_server.url(DATABASE)
    one, two = Replica(url, "one"), Replica(url, "two")

    async with running(one, two):
        await _is_heard(one, two, "settled")
        for _ in range(1000):
            one.hints.tell("deliveries")
        one.hints.tell("submissions")
        await until(lambda: "submissions" in two.heard, SECONDS, "the last one arrives")

    assert two.heard.count("deliveries") == 1


async def test_a_topic_of_a_later_release_is_passed_over(postgres_server: PostgresServer) -> None:
    one, two = (Replica(postgres_server.url(DATABASE), name) for name in ("one", "two"))

    async with running(one, two):
        await _is_heard(one, two, "settled")
        postgres_server.execute(DATABASE, "SELECT pg_notify('relay', 'three something new')")
        postgres_server.execute(DATABASE, "SELECT pg_notify('relay', 'three events')")
        await until(lambda: "events" in two.heard, SECONDS, "what is known arrives")

    assert set(two.heard) == {"settled", "events"}


async def test_a_connection_that_is_lost_is_told_of_so_that_the_loop_starts_again(
    postgres_server: PostgresServer,
) -> None:
    one, two = (Replica(postgres_server.url(DATABASE), name) for name in ("one", "two"))

    async with running(one, two) as tasks:
        await _is_heard(one, two, "events")
        postgres_server.execute(
            DATABASE,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'relay' AND query LIKE '%pg_notify%' AND pid <> pg_backend_pid()",
        )
        one.hints.tell("events")
        with pytest.raises(StoreUnavailable):
            await asyncio.wait_for(tasks[0], SECONDS)
