"""Callbacks while the store hangs, fails or is far behind: answered in time, durable, and in order."""

import asyncio
from collections.abc import AsyncIterator, Collection
from pathlib import Path
from typing import Any, cast

import pytest

from relay.domain.accounts import Account, CallbackToken
from relay.domain.errors import SchemaMissing, SpoolUnavailable, StoreError, StoreUnavailable
from relay.domain.ids import RawId
from relay.domain.provider import RawBody
from relay.domain.teams import hash_secret
from relay.ports import PendingRaw, Store
from relay.services.accounts import AccountBook
from relay.services.apply import AppliedBody, Apply
from relay.services.receive import Receive
from relay.store.spool import Spool
from tests.services.stillness import FixedEntropy, StillClock, account_of

TOKEN = "token"
WAIT_S = 0.05
STORED = AppliedBody(result="stored", rows={"applied": 1})
SPOOLED = AppliedBody(result="spooled", rows={})


class Applier:
    """Keeps what it was given; answers each body when, and as, the test says."""

    def __init__(self) -> None:
        self.given: list[bytes] = []
        self.finished: list[bytes] = []
        self.answers: dict[bytes, asyncio.Future[AppliedBody]] = {}

    def answer_of(self, body: bytes) -> asyncio.Future[AppliedBody]:
        """What is answered for this body; not done: the store hangs."""
        return self.answers.setdefault(body, asyncio.get_running_loop().create_future())

    async def apply(self, item: PendingRaw) -> AppliedBody:
        self.given.append(item.raw.body)
        answer = await self.answer_of(item.raw.body)
        self.finished.append(item.raw.body)
        return answer


class Accounts:
    """A store with one account; while ``hangs`` it does not say whose token another one is."""

    hangs = False

    async def accounts(self) -> list[Account]:
        return [account_of()]

    async def callback_tokens(self) -> dict[bytes, CallbackToken]:
        if self.hangs:
            await asyncio.Event().wait()
        return {hash_secret(TOKEN): CallbackToken(account_id=account_of().id, created_ms=0)}


class Disk:
    """fsync of the spool, which may fail."""

    fails = False

    def fsync(self, fd: int) -> None:
        if self.fails:
            raise OSError("no space left")


class Gate:
    """A callback route with what stands behind it."""

    def __init__(self, spool: Spool, disk: Disk) -> None:
        self.applier, self.accounts, self.spool, self.disk = Applier(), Accounts(), spool, disk
        self.book = AccountBook(cast(Store, self.accounts), StillClock(), sandbox_for_live=False)
        self._receive = Receive(cast(Apply, self.applier), self.book, spool, FixedEntropy(), store_timeout_s=WAIT_S)

    async def callback(self, body: bytes, token: str = TOKEN) -> AppliedBody:
        """One comes."""
        raw = RawBody(kind="report", source="push", content_type="", query=b"", body=body, received_ms=1)
        return await self._receive.callback(token, raw, peer="127.0.0.1", forwarded_for=None)

    async def under_way(self, body: bytes) -> asyncio.Task[AppliedBody]:
        """One has come, and the store has been given it."""
        task = asyncio.create_task(self.callback(body))
        while body not in self.applier.given:  # noqa: ASYNC110 - what is awaited is several steps of another task
            await asyncio.sleep(0)
        return task

    async def spooled(self) -> list[bytes]:
        """What a replay brings, in its order."""
        found: list[bytes] = []

        async def apply(items: list[PendingRaw]) -> Collection[RawId]:
            found.extend(item.raw.body for item in items)
            return ()

        await self.spool.replay(apply)
        return found


@pytest.fixture
async def gate(tmp_path: Path) -> AsyncIterator[Gate]:
    disk = Disk()
    spool = Spool(tmp_path / "spool", fsync=disk.fsync)
    await spool.start()
    gate = Gate(spool, disk)
    await gate.book.refresh()
    yield gate
    for answer in gate.applier.answers.values():
        if not answer.done():
            answer.set_result(STORED)
    await asyncio.sleep(0)
    await spool.close()


async def test_a_callback_that_the_store_takes_is_in_no_spool(gate: Gate) -> None:
    gate.applier.answer_of(b"one").set_result(STORED)

    assert await gate.callback(b"one") == STORED
    assert await gate.spooled() == []


@pytest.mark.parametrize("error", [StoreUnavailable("locked"), SchemaMissing("old"), StoreError("it takes no NUL")])
async def test_a_callback_that_the_store_does_not_take_is_spooled(gate: Gate, error: StoreError) -> None:
    gate.applier.answer_of(b"one").set_exception(error)

    assert await gate.callback(b"one") == SPOOLED
    assert await gate.spooled() == [b"one"]


async def test_a_store_that_hangs_is_waited_for_so_long_and_its_write_is_not_cancelled(gate: Gate) -> None:
    loop = asyncio.get_running_loop()
    started_s = loop.time()

    assert await gate.callback(b"one") == SPOOLED

    assert WAIT_S <= loop.time() - started_s < WAIT_S + 2
    assert not gate.applier.answer_of(b"one").cancelled()
    gate.applier.answer_of(b"one").set_result(STORED)
    await asyncio.sleep(0)
    assert gate.applier.finished == [b"one"]
    assert await gate.spooled() == [b"one"]


async def test_a_caller_that_goes_away_cancels_no_write(gate: Gate) -> None:
    task = await gate.under_way(b"one")

    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    gate.applier.answer_of(b"one").set_result(STORED)
    await asyncio.sleep(0)

    assert gate.applier.finished == [b"one"]


async def test_when_one_is_given_up_all_go_into_the_spool_in_the_order_in_which_they_came(gate: Gate) -> None:
    tasks = [await gate.under_way(body) for body in (b"one", b"two", b"three")]

    gate.applier.answer_of(b"two").set_exception(StoreUnavailable("the connection broke"))
    assert await asyncio.gather(*tasks) == [SPOOLED] * 3

    assert await gate.spooled() == [b"one", b"two", b"three"]


async def test_what_comes_while_bodies_wait_goes_behind_them_and_not_to_the_store(gate: Gate) -> None:
    gate.applier.answer_of(b"one").set_exception(StoreUnavailable("locked"))
    await gate.callback(b"one")
    for body in (b"two", b"three"):
        gate.applier.answer_of(body).set_result(STORED)
        assert await gate.callback(body) == SPOOLED

    assert gate.applier.given == [b"one"]
    assert await gate.spooled() == [b"one", b"two", b"three"]
    gate.applier.answer_of(b"four").set_result(STORED)
    assert await gate.callback(b"four") == STORED


async def test_what_comes_while_the_last_bodies_are_applied_waits_for_them_and_goes_to_the_store(gate: Gate) -> None:
    gate.applier.answer_of(b"one").set_exception(StoreUnavailable("locked"))
    await gate.callback(b"one")
    gate.applier.answer_of(b"three").set_result(STORED)
    found: list[bytes] = []
    coming: list[asyncio.Task[AppliedBody]] = []

    async def apply(items: list[PendingRaw]) -> Collection[RawId]:
        if not found:
            # Nobody knows yet whether the store is back: it goes behind.
            assert await gate.callback(b"two") == SPOOLED
        else:
            coming.append(asyncio.create_task(gate.callback(b"three")))
            for _ in range(10):
                await asyncio.sleep(0)
        found.extend(item.raw.body for item in items)
        return ()

    assert await gate.spool.replay(apply) == 2

    assert [await task for task in coming] == [STORED]
    assert (found, gate.applier.given) == ([b"one", b"two"], [b"one", b"three"])


async def test_when_the_last_bodies_take_too_long_what_came_goes_behind_them(gate: Gate) -> None:
    gate.applier.answer_of(b"one").set_exception(StoreUnavailable("locked"))
    await gate.callback(b"one")
    found: list[bytes] = []

    async def apply(items: list[PendingRaw]) -> Collection[RawId]:
        if len(found) < 2:
            assert await gate.callback(b"two" if not found else b"three") == SPOOLED
        found.extend(item.raw.body for item in items)
        return ()

    await gate.spool.replay(apply)

    assert (found, gate.applier.given) == ([b"one", b"two", b"three"], [b"one"])


async def test_when_the_spool_is_full_while_bodies_wait_the_store_is_tried_out_of_turn(gate: Gate) -> None:
    gate.applier.answer_of(b"one").set_exception(StoreUnavailable("locked"))
    await gate.callback(b"one")
    gate.disk.fails = True
    gate.applier.answer_of(b"two").set_result(STORED)

    assert await gate.callback(b"two") == STORED
    gate.disk.fails = False
    assert await gate.spooled() == [b"one"]


async def test_the_store_has_all_its_time_although_the_turn_was_waited_for_in_vain(gate: Gate) -> None:
    gate.applier.answer_of(b"one").set_exception(StoreUnavailable("locked"))
    await gate.callback(b"one")
    results: list[AppliedBody] = []

    async def apply(items: list[PendingRaw]) -> Collection[RawId]:
        if not results:
            results.append(await gate.callback(b"two"))
            return ()
        gate.disk.fails = True
        asyncio.get_running_loop().call_later(WAIT_S * 1.5, gate.applier.answer_of(b"three").set_result, STORED)
        results.append(await gate.callback(b"three"))
        gate.disk.fails = False
        return ()

    await gate.spool.replay(apply)

    assert results == [SPOOLED, STORED]


async def test_a_callback_that_neither_takes_is_refused(gate: Gate) -> None:
    gate.disk.fails = True
    gate.applier.answer_of(b"one").set_exception(StoreUnavailable("locked"))

    with pytest.raises(SpoolUnavailable):
        await gate.callback(b"one")


async def test_a_full_spool_takes_no_time_from_those_that_the_store_may_still_answer(gate: Gate) -> None:
    gate.disk.fails = True
    first, second = await gate.under_way(b"one"), await gate.under_way(b"two")

    gate.applier.answer_of(b"one").set_exception(StoreUnavailable("the connection broke"))
    with pytest.raises(SpoolUnavailable):
        await first
    gate.applier.answer_of(b"two").set_result(STORED)

    assert await second == STORED


async def test_nobody_waits_for_ever_to_hear_whose_token_it_is(gate: Gate) -> None:
    gate.accounts.hangs = True

    with pytest.raises(StoreUnavailable):
        await gate.callback(b"one", token="another")
    assert await gate.spooled() == []


async def test_a_mistake_of_ours_in_the_code_around_is_told(gate: Gate) -> None:
    gate.applier.answer_of(b"one").set_exception(cast(Any, ValueError("ours")))

    with pytest.raises(ValueError, match="ours"):
        await gate.callback(b"one")
