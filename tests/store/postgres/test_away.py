"""The server goes away: whoever waits is told soon, what was answered stays, and then all is well again."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

import pytest

from relay.domain.errors import StoreUnavailable
from relay.store.postgres import PostgresDriver
from relay.store.script import Db, Script
from tests.faults.polling import until
from tests.postgres.found import found
from tests.postgres.server import PostgresServer
from tests.postgres.servers import PostgresServers
from tests.store.postgres.notes import SECONDS, Gate, Notes, read_all, write
from tests.store.postgres.proxy import proxied

AT_ONCE_S: Final = 5.0
"""More than a refusal takes on a slow machine, and far less than any time-out of these drivers."""


@pytest.fixture(scope="module")
def server(postgres_servers: PostgresServers) -> Iterator[PostgresServer]:
    """Every test leaves it running."""
    made = postgres_servers.new(found()[0])
    made.start()
    yield made
    made.close()


@pytest.fixture
def own(server: PostgresServer) -> Iterator[Notes]:
    made = Notes(server)
    yield made
    made.drop()


async def _warm(driver: PostgresDriver) -> None:
    """Both writers and all readers have a connection."""
    await asyncio.gather(
        *(driver.write(write(number)) for number in range(2)), *(driver.read(read_all) for _ in "1234")
    )


async def _all(driver: PostgresDriver, first: int) -> list[Any]:
    """More writes than one commit holds, and more reads than there are readers."""
    writes = [driver.write(write(number)) for number in range(first, first + 200)]
    return await asyncio.gather(*writes, *(driver.read(read_all) for _ in range(40)), return_exceptions=True)


async def _is_well(driver: PostgresDriver, notes: Notes, number: int) -> None:
    """Soon; for a moment after a failure nobody tries."""

    async def works() -> bool:
        try:
            return await driver.write(write(number)) == number and number in await driver.read(read_all)
        except StoreUnavailable:
            return False

    await until(works, SECONDS, "the driver works again", notes.server.tail)


async def test_connections_that_were_ended_while_they_lay_idle_are_not_noticed(newest: Notes) -> None:
    driver = newest.driver()
    for first in (10, 20, 30):
        await asyncio.gather(*(driver.write(write(first + number)) for number in range(5)))
        await asyncio.gather(*(driver.read(read_all) for _ in range(5)))
        newest.end_sessions()
        # Once before the event loop has heard of it, and once after.
        if first == 20:
            await until(lambda: newest.sessions() == 0, SECONDS, "all sessions have ended")
    assert await driver.write(write(1)) == 1
    assert len(await driver.read(read_all)) == 16
    await driver.close()


async def test_a_connection_that_breaks_at_its_first_use_is_not_noticed(newest: Notes) -> None:
    async with proxied(newest.server) as proxy:
        driver = newest.driver(proxy.url(newest.name), writers=1, readers=1)
        await driver.write(write(1))
        assert await driver.read(read_all) == [1]
        proxy.cut("before", at=b"BEGIN", times=1)
        assert await driver.write(write(2)) == 2
        proxy.cut("before", at=b"BEGIN", times=1)
        assert await driver.read(read_all) == [1, 2]
        assert proxy.cuts == 0
        await driver.close()


async def test_a_connection_that_is_ended_in_the_middle_is_not_noticed_either(newest: Notes) -> None:
    driver = newest.driver(writers=1)
    await driver.write(write(0))
    gate = await Gate.closed(newest)

    def script(db: Db) -> Script[int]:
        yield from gate.script(db)
        return (yield from write(1)(db))

    writing = asyncio.create_task(driver.write(script))
    reading = asyncio.create_task(driver.read(gate.script))
    await gate.entered(2)
    newest.end_sessions()
    await gate.open()
    assert await writing == 1
    await asyncio.gather(reading, return_exceptions=True)
    assert newest.stored() == [0, 1]
    await driver.close()


async def test_while_the_server_is_stopped_all_are_refused_at_once(own: Notes) -> None:
    driver = own.driver()
    await _warm(driver)
    own.server.stop()
    for first in (100, 400):
        async with asyncio.timeout(AT_ONCE_S):
            results = await _all(driver, first)
        assert {type(result) for result in results} == {StoreUnavailable}
        assert len({id(result) for result in results}) == len(results)
    own.server.start()
    await _is_well(driver, own, 2)
    assert own.stored() == [0, 1, 2]
    await driver.close()


async def test_a_store_can_be_closed_while_the_server_is_stopped(own: Notes) -> None:
    driver = own.driver()
    await _warm(driver)
    own.server.stop()
    writing = asyncio.create_task(driver.write(write(7)))
    await asyncio.sleep(0)
    async with asyncio.timeout(AT_ONCE_S):
        await driver.close()
    with pytest.raises(StoreUnavailable):
        await writing
    own.server.start()


async def test_while_the_server_is_frozen_all_are_refused_within_three_time_outs(own: Notes) -> None:
    timeout_s = 1.0
    driver = own.driver(timeout_s=timeout_s)
    await _warm(driver)
    own.server.pause()
    # Once with connections that lie idle, once without.
    for first in (100, 400):
        async with asyncio.timeout(3 * timeout_s + AT_ONCE_S):
            results = await _all(driver, first)
        assert {type(result) for result in results} == {StoreUnavailable}
    own.server.resume()
    await _is_well(driver, own, 2)
    await driver.close()


class _Load:
    """Writers that never stop: what they were told is stored, and what they were told nothing of."""

    def __init__(self, driver: PostgresDriver) -> None:
        self.stored: list[int] = []
        self.unknown: list[int] = []
        self._driver = driver
        self._numbers = itertools.count(1000)
        self._tasks: list[asyncio.Task[None]] = []

    async def during(self, what: Callable[[], Awaitable[None]]) -> None:
        """Some are stored, then ``what`` is done, and more are stored."""
        self._tasks = [asyncio.create_task(self._write()) for _ in range(20)]
        await until(lambda: len(self.stored) > 200, SECONDS, "the load is on")
        await what()
        enough = len(self.stored) + 200
        await until(lambda: len(self.stored) > enough, SECONDS, "it goes on")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _write(self) -> None:
        for number in self._numbers:
            self.unknown.append(number)
            try:
                await self._driver.write(write(number))
            except StoreUnavailable:
                await asyncio.sleep(0.01)
            else:
                self.unknown.remove(number)
                self.stored.append(number)


@pytest.mark.parametrize("how", ["kill", "stop", "end sessions"])
async def test_what_was_answered_is_stored_whatever_happens_to_the_server(own: Notes, how: str) -> None:
    driver = own.driver()
    load = _Load(driver)

    async def happen() -> None:
        match how:
            case "kill":
                own.server.kill()
                own.server.start()
            case "stop":
                own.server.stop("immediate")
                own.server.start()
            case _:
                own.end_sessions()

    await load.during(happen)
    await driver.close()
    stored = own.stored()
    assert set(load.stored) <= set(stored)
    assert set(stored) <= set(load.stored) | set(load.unknown)
