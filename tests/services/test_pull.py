"""What was pulled exists nowhere else: kept in the store, in the spool, or in memory until one of them takes it."""

import asyncio
from typing import cast

import pytest

from relay.domain.accounts import Account
from relay.domain.errors import SpoolUnavailable, StoreError, StoreUnavailable
from relay.domain.ids import AccountId, RawId
from relay.domain.provider import BodyKind, Pulled, RawBody
from relay.ports import MaySend, PendingRaw, Provider, Spool, Store
from relay.services.apply import AppliedBody, Apply
from relay.services.pull import Pull
from tests.services.stillness import Among, FixedEntropy, StillClock, account_of


class Places:
    """A provider, a store and a spool at once. Each of the two refuses as often as its list has errors."""

    def __init__(self) -> None:
        self.asked = 0
        self.store_fails: list[StoreError] = []
        self.spool_fails: list[StoreError] = []
        self.kept: list[tuple[str, RawId, bytes]] = []
        self.waiting = False

    async def pull(self, account: Account, kind: BodyKind, may_send: MaySend) -> Pulled:
        self.asked += 1
        return Pulled(body=b"rows", content_type="application/json", http_status=200)

    async def store_raw(self, account_id: AccountId, raw: RawBody, raw_id: RawId) -> None:
        if self.store_fails:
            raise self.store_fails.pop(0)
        self.kept.append(("store", raw_id, raw.body))

    async def append(self, item: PendingRaw) -> None:
        if self.spool_fails:
            raise self.spool_fails.pop(0)
        self.kept.append(("spool", item.id, item.raw.body))

    async def apply(self, item: PendingRaw) -> AppliedBody:
        return AppliedBody(result="stored", rows={"applied": 1})


def pull_of(places: Places, clock: StillClock) -> Pull:
    """The use case between these places."""
    return Pull(
        cast(Store, places),
        cast(Provider, places),
        cast(Apply, places),
        cast(Spool, places),
        Among(),
        clock,
        FixedEntropy(),
    )


@pytest.mark.parametrize("waiting", [False, True], ids=["an empty spool", "bodies in the spool"])
@pytest.mark.parametrize(("away", "full", "place"), [(3, 2, "spool"), (2, 9, "store")])
async def test_what_neither_store_nor_spool_takes_is_tried_again_until_one_does(
    away: int, full: int, place: str, waiting: bool
) -> None:
    places, clock = Places(), StillClock()
    places.waiting = waiting
    places.store_fails = [StoreUnavailable("away")] * away
    places.spool_fails = [SpoolUnavailable("full")] * full

    result = await pull_of(places, clock).once(account_of(), "report")

    ((kept_in, _, body),) = places.kept
    assert (kept_in, body, places.asked) == (place, b"rows", 1)
    assert result.outcome == ("spooled" if place == "spool" else "rows")
    assert clock.slept == [1.0] * 2


async def test_what_the_store_refuses_for_good_goes_into_the_spool_too() -> None:
    places = Places()
    places.store_fails = [StoreError("the statement failed")]

    result = await pull_of(places, StillClock()).once(account_of(), "mo")

    assert [place for place, _, _ in places.kept] == ["spool"]
    assert result.outcome == "spooled"


async def test_what_can_be_kept_nowhere_goes_on_being_tried_until_it_is_cut_off() -> None:
    places, clock = Places(), StillClock()
    places.store_fails = [StoreUnavailable("away")] * 1000
    places.spool_fails = [SpoolUnavailable("full")] * 1000

    pulling = asyncio.create_task(pull_of(places, clock).once(account_of(), "report"))
    async with asyncio.timeout(5):
        while len(clock.slept) < 100:  # noqa: ASYNC110 - several steps of another task
            await asyncio.sleep(0)
    pulling.cancel()
    await asyncio.gather(pulling, return_exceptions=True)

    assert (places.asked, places.kept, pulling.cancelled()) == (1, [], True)
