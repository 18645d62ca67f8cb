"""Events on their way to webhook endpoints."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

import structlog

from relay.domain.endpoints import DeliveryWork
from relay.domain.ids import EndpointId
from relay.domain.times import SECOND_MS
from relay.ports import Clock, Store, StoredEffects
from relay.services.deliver import Deliver, DeliveryAttempt, Lane, Lanes
from relay.telemetry.metrics import Metrics
from relay.workers.running import Running

IDLE_S: Final = 1.0
"""How often the store is asked although nothing says that work waits: another process may have left some."""
MOST_AT_ONCE: Final = 100
SHARE: Final = 4
"""One endpoint may use a quarter of all slots at most, so that a dead one leaves room for the others."""

log = structlog.get_logger("relay")


class DeliverWorker:
    """Runs the lanes: work comes straight from a commit of this process, or is claimed from the store."""

    def __init__(
        self,
        store: Store,
        deliver: Deliver,
        lanes: Lanes,
        clock: Clock,
        metrics: Metrics,
        *,
        max_in_flight_total: int,
    ) -> None:
        self._store = store
        self._deliver = deliver
        self._lanes = lanes
        self._clock = clock
        self._metrics = metrics
        self._most_per_lane = max(1, max_in_flight_total // SHARE)
        self._slots = asyncio.Semaphore(max_in_flight_total)
        self._event = asyncio.Event()
        self._running = Running()
        self._waiting_for_slot: dict[asyncio.Task[None], DeliveryWork] = {}
        self._giving_back = Running()
        self.set_going: Callable[[StoredEffects], None] = _nothing
        self.stopping = False

    def stored(self, works: Sequence[DeliveryWork]) -> None:
        """These deliveries were stored as ours: start them. Others of the same commit wait in the store."""
        if self.stopping:
            self._give_back(list(works))
            return
        touched: dict[EndpointId, Lane] = {}
        for work in works:
            lane = self._lanes.of(work.endpoint_id)
            lane.waiting.append(work)
            touched[work.endpoint_id] = lane
        for lane in touched.values():
            self._pump(lane)
        if self._lanes.turned_away:
            self._event.set()

    @property
    def leaves_work(self) -> bool:
        """Whether deliveries lie in the store because this process has no room for them."""
        return self._lanes.turned_away

    def look(self) -> None:
        """Another replica says that deliveries wait in the store."""
        self._event.set()

    def changed(self, endpoint_id: EndpointId) -> None:
        """An endpoint was changed or deleted."""
        self._deliver.forget(endpoint_id)
        self._event.set()

    async def run(self) -> None:
        """Claim and start, for ever."""
        while not self.stopping:
            self._event.clear()
            self._lanes.turned_away = False
            self._go_on()
            now_ms = self._clock.now_ms()
            await self._claim(now_ms)
            due_ms = await self._store.next_delivery_due_ms(now_ms)
            wait_s = IDLE_S if due_ms is None else min(IDLE_S, (due_ms - self._clock.now_ms()) / SECOND_MS)
            try:
                await asyncio.wait_for(self._event.wait(), max(wait_s, 0.001))
            except TimeoutError:
                continue

    def withdraw(self) -> None:
        """Start nothing more; what was not started is given back, in one go. What runs goes on."""
        self.stopping = True
        self._event.set()
        works = self._lanes.close()
        for task, work in self._waiting_for_slot.items():
            task.cancel()
            works.append(work)
        self._waiting_for_slot.clear()
        self._give_back(works)

    async def idle(self) -> None:
        """Until no delivery is under way and what was not started is given back."""
        await self._running.idle()
        await self._giving_back.idle()

    async def drain(self, seconds: float) -> int:
        """Start nothing more; wait for what runs. How many were cut off (their leases end, and they are sent again)."""
        self.withdraw()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.idle()
        await self._giving_back.drain(0.0)
        return await self._running.drain(0.0)

    def _go_on(self) -> None:
        """Our share of an endpoint may have changed: start what waits here, or leave it to those who may."""
        for lane in self._lanes.with_waiting():
            self._pump(lane)
            if lane.width == 0 and not self.stopping:
                works = list(lane.waiting)
                lane.waiting.clear()
                self._give_back(works)

    async def _claim(self, now_ms: int) -> None:
        rooms: list[tuple[EndpointId, int]] = []
        for endpoint_id in await self._store.due_endpoints(now_ms):
            lane = self._lanes.of(endpoint_id)
            if self._lanes.members.shared:
                await self._fit(lane, endpoint_id)
            room = min(lane.room(), MOST_AT_ONCE)
            if room > 0:
                rooms.append((endpoint_id, room))
            else:
                lane.more = True
        if not rooms or self.stopping:
            return
        works = await self._store.claim_deliveries(
            rooms,
            claim=self._lanes.claim,
            now_ms=now_ms,
            lease_until_ms=self._lanes.lease_until_ms(now_ms),
        )
        claimed = Counter(work.endpoint_id for work in works)
        for endpoint_id, room in rooms:
            self._lanes.of(endpoint_id).more = claimed[endpoint_id] == room
        self.stored(works)

    async def _fit(self, lane: Lane, endpoint_id: EndpointId) -> None:
        """The lane knows the endpoint's limit."""
        endpoint = await self._deliver.endpoint(endpoint_id)
        if endpoint is not None:
            lane.max_in_flight, lane.ceiling = endpoint.max_in_flight, self._most_per_lane

    def _pump(self, lane: Lane) -> None:
        while lane.waiting and lane.running < lane.width and not self.stopping:
            work = lane.waiting.popleft()
            lane.running += 1
            task = self._running.start(self._attempt(lane, work))
            self._waiting_for_slot[task] = work
            task.add_done_callback(self._no_longer_waits)

    async def _attempt(self, lane: Lane, work: DeliveryWork) -> None:
        try:
            await self._fit(lane, work.endpoint_id)
            async with self._slots:
                self._no_longer_waits(asyncio.current_task())
                attempt = await self._deliver.attempt(work)
        except Exception:
            # The lease ends by itself, and the delivery is tried again.
            log.exception("delivery.broke", delivery_id=work.id, endpoint_id=work.endpoint_id)
        else:
            self._told(lane, work, attempt)
        finally:
            lane.running -= 1
            self._pump(lane)
            if not lane.waiting and lane.more:
                lane.more = False
                self._event.set()

    def _no_longer_waits(self, task: asyncio.Task[None] | None) -> None:
        if task is not None:
            self._waiting_for_slot.pop(task, None)

    def _give_back(self, works: list[DeliveryWork]) -> None:
        if works:
            self._giving_back.start(self._given_back(works))

    async def _given_back(self, works: list[DeliveryWork]) -> None:
        await self._deliver.give_back(works)
        log.info("deliveries.given_back", deliveries=len(works))

    def _told(self, lane: Lane, work: DeliveryWork, attempt: DeliveryAttempt) -> None:
        record, finished, result = attempt.record, attempt.finished, attempt.result
        if attempt.lease_lost or (finished is not None and finished.fenced):
            self._metrics.lease_lost("delivery")
        if record is None or finished is None or result is None:
            log.info("delivery.passed_over", delivery_id=work.id, endpoint_id=work.endpoint_id, attempt=work.attempt)
            return
        lane.ended(delivered=record.outcome == "delivered")
        self.set_going(finished.effects)
        if record.next_due_ms is not None:
            self._event.set()
        self._metrics.delivery_attempted(
            record.outcome,
            record.duration_ms / SECOND_MS,
            attempt.lag_ms / SECOND_MS if work.attempt == 1 else None,
        )
        log.info(
            "delivery.attempted",
            delivery_id=work.id,
            endpoint_id=work.endpoint_id,
            event_id=work.event_id,
            event_type=work.event_type,
            attempt=work.attempt,
            outcome=record.outcome,
            status=record.status,
            error=record.error,
            duration_ms=record.duration_ms,
            fenced=finished.fenced,
            endpoint_disabled=finished.disabled,
            next_due_in_s=None
            if record.next_due_ms is None
            else round((record.next_due_ms - record.at_ms) / SECOND_MS, 1),
        )


def _nothing(effects: StoredEffects) -> None:
    """Until the composition root says what commits set going."""
