"""Delivering events to webhook endpoints: one lane per endpoint, so that a slow one delays nobody else."""

from collections import deque
from typing import Final

import msgspec

from relay.domain.delivery import judge
from relay.domain.endpoints import DeliveryWork, Endpoint
from relay.domain.ids import EndpointId
from relay.domain.times import SECOND_MS
from relay.ports import AttemptRecord, Clock, Entropy, FinishedDelivery, Poster, PostResult, Store
from relay.services.persist import until_stored

FRESH_S: Final = 5.0
"""How long a loaded endpoint is believed: another process may have changed it."""
_CLAIM_BYTES: Final = 12


class Lane:
    """One endpoint's work in this process: what waits, how much runs, how much may run."""

    def __init__(self, max_in_flight: int) -> None:
        self.waiting: deque[DeliveryWork] = deque()
        self.running = 0
        self.max_in_flight = max_in_flight
        self.open = True
        """False after a failure, until a success: then new work waits in the store, not in memory."""
        self.proven = False
        """The last attempt that ended was a success. Decision: until then, and after each failure, one attempt at a
        time, so that a dead endpoint holds one slot, and many of them do not hold all."""
        self.more = False
        """Work was turned away: the store has more for this lane."""

    @property
    def width(self) -> int:
        """How many may run at once now."""
        return self.max_in_flight if self.proven else 1

    def ended(self, *, delivered: bool) -> None:
        """An attempt has ended."""
        self.open = self.proven = delivered

    def room(self) -> int:
        """How many more may be claimed now."""
        return max(0, self.width - self.running - len(self.waiting))


class Lanes:
    """The lanes of all endpoints; as ``ports.Straight``, what the store asks while it stores a delivery."""

    def __init__(self, entropy: Entropy, *, lane_max: int, lease_s: float, default_in_flight: int = 1) -> None:
        self.claim = entropy.token(_CLAIM_BYTES)
        self._lane_max = lane_max
        self._lease_ms = int(lease_s * SECOND_MS)
        self._default_in_flight = default_in_flight
        self._lanes: dict[EndpointId, Lane] = {}
        self._closed = False
        self.turned_away = False
        """Work was left in the store since this was last set to False."""

    def lease_until_ms(self, now_ms: int) -> int:
        """Until when work that is handed over now is ours."""
        return now_ms + self._lease_ms

    def takes(self, endpoint_id: EndpointId) -> bool:
        """Called from the store's thread: reads a few fields, which Python makes safe."""
        if self._closed:
            return False
        lane = self._lanes.get(endpoint_id)
        if lane is None:
            return True
        if lane.open and len(lane.waiting) < self._lane_max:
            return True
        lane.more = True
        self.turned_away = True
        return False

    def of(self, endpoint_id: EndpointId) -> Lane:
        """This endpoint's lane."""
        lane = self._lanes.get(endpoint_id)
        if lane is None:
            lane = self._lanes[endpoint_id] = Lane(self._default_in_flight)
        return lane

    def close(self) -> list[DeliveryWork]:
        """Take nothing more; what waited, which is the caller's now."""
        self._closed = True
        waited: list[DeliveryWork] = []
        for lane in self._lanes.values():
            waited += lane.waiting
            lane.waiting.clear()
        return waited


class DeliveryAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """What one attempt came to. ``record`` and ``finished`` are None when it was not made: the endpoint is gone, off or
    paused, or the lease had ended."""

    result: PostResult | None
    record: AttemptRecord | None
    finished: FinishedDelivery | None
    lag_ms: int


_NOT_MADE: Final = DeliveryAttempt(result=None, record=None, finished=None, lag_ms=0)


class Deliver:
    """The use case of the deliver worker."""

    def __init__(self, store: Store, poster: Poster, clock: Clock, entropy: Entropy, *, timeout_s: float) -> None:
        self._store = store
        self._poster = poster
        self._clock = clock
        self._entropy = entropy
        self._timeout_s = timeout_s
        self._endpoints: dict[EndpointId, tuple[float, Endpoint | None]] = {}

    def forget(self, endpoint_id: EndpointId) -> None:
        """The endpoint was changed: load it anew."""
        self._endpoints.pop(endpoint_id, None)

    async def endpoint(self, endpoint_id: EndpointId) -> Endpoint | None:
        """The endpoint with its secrets, a few seconds old at most."""
        now_s = self._clock.monotonic_s()
        known = self._endpoints.get(endpoint_id)
        if known is not None and known[0] > now_s:
            return known[1]
        endpoint = await self._store.load_endpoint(endpoint_id)
        self._endpoints[endpoint_id] = (now_s + FRESH_S, endpoint)
        return endpoint

    async def give_back(self, works: list[DeliveryWork]) -> None:
        """None of them is attempted here; they are due for whoever claims them, however long the store is away."""
        await until_stored(self._clock, lambda: self._store.release_deliveries(works))

    async def attempt(self, work: DeliveryWork) -> DeliveryAttempt:
        """Post once and store what came of it, however long the store is away."""
        endpoint = await self.endpoint(work.endpoint_id)
        now_ms = self._clock.now_ms()
        # A lease that ends before the time-out could leave two processes posting: then the store has it back.
        lapses = now_ms + self._timeout_s * SECOND_MS > work.lease_until_ms
        if lapses or endpoint is None or not _takes(endpoint, now_ms):
            await self.give_back([work])
            return _NOT_MADE
        result = await self._poster.post(endpoint, work.event_id, work.payload, now_ms // SECOND_MS, self._timeout_s)
        ended_ms = self._clock.now_ms()
        verdict = judge(
            result.status,
            result.retry_after_s,
            attempt=work.attempt,
            now_ms=ended_ms,
            jitter=self._entropy.jitter(),
        )
        record = AttemptRecord(
            at_ms=now_ms,
            duration_ms=result.duration_ms,
            status=result.status,
            error=result.error,
            answer=result.answer,
            outcome=verdict.outcome,
            next_due_ms=verdict.next_due_ms,
            pause_until_ms=verdict.pause_until_ms,
        )
        finished = await until_stored(self._clock, lambda: self._store.finish_delivery(work, record))
        if finished.disabled or verdict.pause_until_ms is not None:
            self.forget(work.endpoint_id)
        return DeliveryAttempt(
            result=result, record=record, finished=finished, lag_ms=max(0, ended_ms - work.event_created_ms)
        )


def _takes(endpoint: Endpoint, now_ms: int) -> bool:
    """Whether the endpoint is on and not paused."""
    return endpoint.status == "enabled" and (endpoint.paused_until_ms or 0) <= now_ms
