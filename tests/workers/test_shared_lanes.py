"""The deliver worker of one replica among others: what it claims, and what it leaves or gives back to them."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import msgspec
import structlog

from relay.domain.endpoints import DeliveryWork
from relay.domain.errors import StoreUnavailable
from relay.domain.ids import DeliveryId, EndpointId
from relay.ports import Poster, Store
from relay.services.deliver import Deliver, Lanes
from relay.telemetry.metrics import Metrics
from relay.workers.deliver import DeliverWorker
from tests.services.stillness import Among, FixedEntropy, StillClock
from tests.services.test_deliver import ENDPOINT, WORK, Book, Connecting


class Queue(Book):
    """The same store, in which deliveries of the endpoint are due."""

    def __init__(self) -> None:
        super().__init__(ENDPOINT)
        self.rooms: list[int] = []
        self.looks = 0
        self.away_times = 0

    async def due_endpoints(self, now_ms: int) -> list[EndpointId]:
        self.looks += 1
        return [ENDPOINT.id]

    async def next_delivery_due_ms(self, now_ms: int) -> int | None:
        return now_ms

    async def claim_deliveries(self, rooms: list[tuple[EndpointId, int]], **rest: Any) -> list[DeliveryWork]:
        self.rooms += [room for _, room in rooms]
        return []

    async def release_deliveries(self, works: list[DeliveryWork]) -> None:
        if self.away_times:
            self.away_times -= 1
            raise StoreUnavailable("away")
        await super().release_deliveries(works)


class Shop:
    """A worker and what it works with."""

    def __init__(self) -> None:
        clock, entropy = StillClock(), FixedEntropy()
        self.among, self.store = Among(), Queue()
        self.poster = Connecting(clock, self.among)
        self.lanes = Lanes(entropy, lane_max=10, lease_s=60.0)
        self.lanes.members = self.among
        store = cast(Store, self.store)
        deliver = Deliver(store, cast(Poster, self.poster), self.among, clock, entropy, timeout_s=15.0)
        self.worker = DeliverWorker(store, deliver, self.lanes, clock, Metrics(), max_in_flight_total=8)

    async def until(self, so: Callable[[], bool]) -> None:
        """The worker runs until it is so."""
        with structlog.testing.capture_logs():
            task = asyncio.create_task(self.worker.run())
            async with asyncio.timeout(5):
                while not so() and not task.done():  # noqa: ASYNC110 - several steps of other tasks
                    await asyncio.sleep(0.001)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def waiting(number: int) -> list[DeliveryWork]:
    return [msgspec.structs.replace(WORK, id=DeliveryId(f"dlv_{index:032x}")) for index in range(number)]


async def test_an_endpoint_is_looked_up_before_its_share_is_claimed() -> None:
    shop = Shop()

    await shop.until(lambda: shop.store.looks > 1)

    lane = shop.lanes.of(ENDPOINT.id)
    assert (shop.store.rooms[0], lane.max_in_flight, lane.ceiling) == (1, 4, 2)


async def test_without_a_share_nothing_is_claimed() -> None:
    shop = Shop()
    shop.among.part = lambda limit: 0

    await shop.until(lambda: shop.store.looks > 3)

    assert shop.store.rooms == []


async def test_what_waits_in_memory_goes_back_when_the_share_goes() -> None:
    shop = Shop()
    lane = shop.lanes.of(ENDPOINT.id)
    lane.max_in_flight = 4
    lane.waiting.extend(waiting(3))
    shop.among.part = lambda limit: 0

    await shop.until(lambda: bool(shop.store.released))

    assert (shop.store.released, shop.poster.posted) == (waiting(3), 0)


async def test_what_waits_in_memory_is_started_when_the_share_comes_back() -> None:
    shop = Shop()
    lane = shop.lanes.of(ENDPOINT.id)
    lane.max_in_flight = 4
    lane.waiting.extend(waiting(3))

    await shop.until(lambda: shop.poster.posted == 3)

    assert shop.store.released == []


async def test_what_could_not_be_given_back_is_given_back_once_the_store_is_there() -> None:
    shop = Shop()
    lane = shop.lanes.of(ENDPOINT.id)
    lane.max_in_flight = 4
    lane.waiting.extend(waiting(2))
    shop.among.part, shop.store.away_times = lambda limit: 0, 3

    await shop.until(lambda: bool(shop.store.released))

    assert (shop.store.released, shop.store.away_times) == (waiting(2), 0)
