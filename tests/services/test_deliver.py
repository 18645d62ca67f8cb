"""One attempt of one delivery: made only while it is ours, and given back when it is not."""

from typing import cast

import msgspec
import pytest

from relay.domain.endpoints import DeliveryWork, Endpoint
from relay.domain.errors import NothingSent
from relay.domain.ids import DeliveryId, EndpointId, EventId, TeamId
from relay.ports import AttemptRecord, FinishedDelivery, MaySend, Poster, PostResult, Store, StoredEffects, always
from relay.services.deliver import Deliver, DeliveryAttempt
from tests.services.stillness import Among, FixedEntropy, StillClock

TIMEOUT_S = 15.0
NOW_MS = StillClock().now_ms()
WORK = DeliveryWork(
    id=DeliveryId("dlv_" + "1" * 32),
    endpoint_id=EndpointId("ep_" + "1" * 32),
    event_id=EventId("evt_" + "1" * 32),
    event_type="message.delivered",
    payload=b"{}",
    attempt=1,
    claim=b"replica1 a claim",
    lease_until_ms=NOW_MS + 60_000,
    event_created_ms=NOW_MS,
)
ENDPOINT = Endpoint(
    id=WORK.endpoint_id,
    team_id=TeamId("team_" + "1" * 32),
    url="http://hooks.test/",
    event_types=(),
    extensions=(),
    headers={},
    max_in_flight=4,
    secrets=(),
    status="enabled",
    paused_until_ms=None,
)
EFFECTS = StoredEffects(deliveries=(), recipients_by_status={}, segments_by_status={}, events_by_type={})


class Book:
    """The part of a store that knows one endpoint and its deliveries."""

    def __init__(self, endpoint: Endpoint | None) -> None:
        self._endpoint = endpoint
        self.released: list[DeliveryWork] = []
        self.finished: list[AttemptRecord] = []

    async def load_endpoint(self, endpoint_id: EndpointId) -> Endpoint | None:
        return self._endpoint

    async def release_deliveries(self, works: list[DeliveryWork]) -> None:
        self.released += works

    async def finish_delivery(self, work: DeliveryWork, record: AttemptRecord) -> FinishedDelivery:
        self.finished.append(record)
        return FinishedDelivery(fenced=False, disabled=False, effects=EFFECTS)


class Connecting:
    """A poster whose connect takes long: then it asks whether it may write."""

    def __init__(self, clock: StillClock, among: Among) -> None:
        self._clock = clock
        self._among = among
        self.connect_s = 0.0
        self.loses_it = False
        self.posted = 0

    async def post(
        self,
        endpoint: Endpoint,
        webhook_id: str,
        body: bytes,
        timestamp_s: int,
        timeout_s: float,
        may_send: MaySend = always,
    ) -> PostResult:
        self._clock.move(self.connect_s)
        self._among.owning = not self.loses_it
        if not may_send():
            lost = NothingSent("lease")
            lost.why = "lease"
            raise lost
        self.posted += 1
        return PostResult(status=200, error=None, answer=b"", duration_ms=1, retry_after_s=None)


class Shop(msgspec.Struct, frozen=True):
    """An attempt's surroundings."""

    store: Book
    poster: Connecting
    among: Among
    deliver: Deliver


def shop_of(endpoint: Endpoint | None = ENDPOINT) -> Shop:
    clock, among, store = StillClock(), Among(), Book(endpoint)
    poster = Connecting(clock, among)
    deliver = Deliver(cast(Store, store), cast(Poster, poster), among, clock, FixedEntropy(), timeout_s=TIMEOUT_S)
    return Shop(store, poster, among, deliver)


def assert_given_back(shop: Shop, attempt: DeliveryAttempt, *, lease_lost: bool) -> None:
    assert (attempt.record, attempt.finished, attempt.lease_lost) == (None, None, lease_lost)
    assert (shop.store.released, shop.store.finished, shop.poster.posted) == ([WORK], [], 0)


async def test_what_is_ours_is_posted_and_its_outcome_stored() -> None:
    shop = shop_of()

    attempt = await shop.deliver.attempt(WORK)

    assert (shop.poster.posted, len(shop.store.finished), shop.store.released) == (1, 1, [])
    assert not attempt.lease_lost


async def test_what_is_not_ours_any_more_is_not_posted() -> None:
    shop = shop_of()
    shop.among.owning = False

    assert_given_back(shop, await shop.deliver.attempt(WORK), lease_lost=True)


async def test_what_stops_being_ours_before_the_first_byte_is_no_attempt() -> None:
    shop = shop_of()
    shop.poster.loses_it = True

    assert_given_back(shop, await shop.deliver.attempt(WORK), lease_lost=True)


async def test_a_lease_that_ends_before_the_first_byte_is_as_good_as_none() -> None:
    shop = shop_of()
    shop.poster.connect_s = 60.0

    assert_given_back(shop, await shop.deliver.attempt(WORK), lease_lost=True)


async def test_an_attempt_that_could_outlast_its_lease_is_not_begun() -> None:
    shop = shop_of()
    work = msgspec.structs.replace(WORK, lease_until_ms=NOW_MS + int(TIMEOUT_S * 1000) - 1)

    attempt = await shop.deliver.attempt(work)

    assert (attempt.lease_lost, shop.store.released, shop.poster.posted) == (True, [work], 0)


@pytest.mark.parametrize(
    "endpoint",
    [
        None,
        msgspec.structs.replace(ENDPOINT, status="disabled"),
        msgspec.structs.replace(ENDPOINT, paused_until_ms=NOW_MS + 1),
    ],
    ids=["gone", "off", "paused"],
)
async def test_an_endpoint_that_takes_nothing_loses_no_lease(endpoint: Endpoint | None) -> None:
    shop = shop_of(endpoint)

    assert_given_back(shop, await shop.deliver.attempt(WORK), lease_lost=False)
