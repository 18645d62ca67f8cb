"""Others are in the way: contention is tried again, a lock is not waited for for ever, and nobody holds up the rest."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable

import asyncpg
import pytest

from relay.domain.errors import StoreError, StoreUnavailable
from relay.store.postgres.writer import TRIES, opening
from relay.store.script import Db, Script, Turn
from tests.faults.polling import until
from tests.store.postgres.notes import SECONDS, Gate, Notes, break_with, lock, read_all, together, write


@contextlib.asynccontextmanager
async def _locked(notes: Notes, number: int) -> AsyncIterator[None]:
    """Somebody else has this note to himself."""
    connection = await asyncpg.connect(notes.url)
    async with connection.transaction():
        await connection.execute("SELECT FROM notes WHERE id = $1 FOR UPDATE", number)
        yield
    await connection.close()


def _lock_both(first: int, second: int, gate: Gate) -> Callable[[Db], Script[int]]:
    def script(db: Db) -> Script[int]:
        yield from lock(first)(db)
        yield from gate.script(db)
        yield from lock(second)(db)
        return first

    return script


async def test_of_two_processes_that_wait_for_each_other_both_succeed(notes: Notes) -> None:
    one, two = notes.driver(), notes.driver()
    await one.write(write(1))
    await one.write(write(2))
    gate = await Gate.closed(notes)
    writing = [
        asyncio.create_task(one.write(_lock_both(1, 2, gate))),
        asyncio.create_task(two.write(_lock_both(2, 1, gate))),
    ]
    await gate.entered(2)
    await gate.open()
    assert await asyncio.gather(*writing) == [1, 2]
    assert notes.deadlocks() == 1
    await one.close()
    await two.close()


async def test_what_a_commit_locks_at_its_beginning_is_locked_in_one_order(newest: Notes) -> None:
    drivers = [newest.driver(writers=1), newest.driver(writers=1)]
    await asyncio.gather(*(drivers[0].write(write(number)) for number in range(20)))
    turns = [Turn(submissions=(b"%d" % number,), locks=(f"lock {number}",)) for number in range(20)]
    for _ in range(20):
        ups = [drivers[0].write(read_all, turn) for turn in turns]
        downs = [drivers[1].write(read_all, turn) for turn in reversed(turns)]
        await asyncio.gather(*ups, *downs)
    assert newest.deadlocks() == 0
    for driver in drivers:
        await driver.close()


async def test_rows_that_are_written_together_are_locked_in_one_order(newest: Notes) -> None:
    drivers = [newest.driver(writers=1), newest.driver(writers=1)]
    await asyncio.gather(*(drivers[0].write(write(number)) for number in range(50)))

    def set_all(numbers: list[int]) -> Callable[[Db], Script[None]]:
        return lambda db: db.many("notes.set", [("", number) for number in numbers])

    for _ in range(20):
        up, down = [*range(50)], [*reversed(range(50))]
        await asyncio.gather(drivers[0].write(set_all(up)), drivers[1].write(set_all(down)))
    assert newest.deadlocks() == 0
    for driver in drivers:
        await driver.close()


@pytest.mark.parametrize("state", ["40001", "40P01"])
async def test_contention_is_tried_again(newest: Notes, state: str) -> None:
    driver = newest.driver(writers=1)
    assert await together(newest, driver, write(1), break_with(state, times=3), write(2)) == [1, "done", 2]
    assert newest.stored() == [1, 2, 1000]
    await driver.close()


async def test_contention_that_does_not_end_is_a_failure(newest: Notes) -> None:
    driver = newest.driver(writers=1)
    with pytest.raises(StoreError):
        await driver.write(break_with("40001", times=1000))
    assert newest.execute("SELECT last_value FROM looks") == [(TRIES,)]
    assert newest.stored() == []
    await driver.close()


async def test_a_lock_that_does_not_come_in_time_is_unavailable_and_then_all_is_well(notes: Notes) -> None:
    driver = notes.driver(timeout_s=0.5)
    await driver.write(write(1))
    async with _locked(notes, 1):
        with pytest.raises(StoreUnavailable):
            await driver.write(lock(1))
        assert await driver.write(write(2)) == 2
    await driver.write(lock(1))
    await driver.close()


async def test_who_wants_a_lock_that_does_not_come_holds_up_neither_neighbours_nor_others(newest: Notes) -> None:
    timeout_s = 1.0
    driver = newest.driver(timeout_s=timeout_s)
    await driver.write(write(0))
    started_s = time.monotonic()
    took: list[float] = []

    async def store(number: int) -> None:
        await driver.write(write(number))
        took.append(time.monotonic() - started_s)

    async with _locked(newest, 0):
        stuck = [asyncio.create_task(driver.write(lock(0))) for _ in range(30)]
        await asyncio.gather(*(store(number) for number in range(1, 200)), driver.read(read_all))
        results = await asyncio.gather(*stuck, return_exceptions=True)
        took_all = time.monotonic() - started_s
    assert {type(result) for result in results} == {StoreUnavailable}
    # Not the 30 x 0.5 s of one after the other, for anybody.
    assert max(took) < 6 * timeout_s
    assert took_all < 10 * timeout_s
    await driver.close()


async def test_a_script_that_is_slow_is_unavailable_and_its_neighbours_are_not(newest: Notes) -> None:
    driver = newest.driver(timeout_s=0.5, writers=1)

    def slow(db: Db) -> Script[None]:
        yield from db.rows("slow.answer")

    writes = [asyncio.create_task(driver.write(script)) for script in (write(1), slow, write(2))]
    results = await asyncio.gather(*writes, return_exceptions=True)
    assert [type(result) for result in results] == [int, StoreUnavailable, StoreUnavailable]
    assert await driver.write(write(2)) == 2
    assert newest.stored() == [1, 2]
    await driver.close()


async def test_the_locks_of_a_frozen_process_end_by_themselves(newest: Notes) -> None:
    driver = newest.driver()
    await driver.write(write(1))
    frozen = await asyncpg.connect(newest.url)
    await frozen.execute(opening(0.5, 0.5))
    await frozen.execute("SELECT FROM notes WHERE id = 1 FOR UPDATE")
    # It does nothing any more.
    await driver.write(lock(1))
    await until(frozen.is_closed, SECONDS, "the server has ended the session")
    await driver.close()


@pytest.mark.parametrize("state", ["53100", "53200", "58030", "57P01", "57014"])
async def test_a_full_disk_and_the_like_are_unavailable_for_whoever_meets_them(newest: Notes, state: str) -> None:
    driver = newest.driver(writers=1)
    writes = [asyncio.create_task(driver.write(script)) for script in (write(1), break_with(state, times=1000))]
    results = await asyncio.gather(*writes, return_exceptions=True)
    assert type(results[1]) is StoreUnavailable
    assert await driver.write(write(3)) == 3
    assert 1000 not in newest.stored()
    await driver.close()
