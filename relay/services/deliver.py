"""Delivering events to webhook endpoints: one lane per endpoint, so that a slow one delays nobody else."""

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec

from relay.domain.delivery import judge
from relay.domain.endpoints import DeliveryWork, Endpoint
from relay.domain.errors import NothingSent
from relay.domain.ids import EndpointId
from relay.domain.times import SECOND_MS
from relay.ports import AttemptRecord, Clock, Entropy, FinishedDelivery, Poster, PostResult, Store
from relay.services.membership import Alone, Members
from relay.services.persist import until_stored

MOST_IN_FLIGHT: Final = 10_000
AHEAD: Final = 4
"""Deliveries that a replica holds for each one that it may run at once. Decision: what more there is lies in the store,
where the others reach it; one replica alone holds as many as ``lane_max``, since nobody else could take them."""
FRESH_S: Final = 5.0
"""How long a loaded endpoint is believed: another process may have changed it."""


class Lane:
    """One endpoint's work in this process: what waits, how much runs, how much may run."""

    def __init__(self, share: Callable[[int], int], max_in_flight: int | None) -> None:
        """``share``: this process's part of a limit that all replicas keep together."""
        self._share = share
        self.waiting: deque[DeliveryWork] = deque()
        self.running = 0
        self.max_in_flight = max_in_flight
        """The endpoint's, over all replicas; None: not known yet, and not to be guessed."""
        self.ceiling = MOST_IN_FLIGHT
        """What this process allows besides."""
        self.open = True
        """False after a failure, until a success: then new work waits in the store, not in memory."""
        self.proven = False
        """The last attempt that ended was a success. Decision: until then, and after each failure, one attempt at a
        time, so that a dead endpoint holds one slot, and many of them do not hold all."""
        self.more = False
        """Work was turned away: the store has more for this lane."""

    @property
    def width(self) -> int:
        """How many may run at once now; 0: its deliveries are left to other replicas."""
        if self.max_in_flight is None:
            return 0
        share = min(self._share(self.max_in_flight), self.ceiling)
        return share if self.proven else min(share, 1)

    def ended(self, *, delivered: bool) -> None:
        """An attempt has ended."""
        self.open = self.proven = delivered

    def room(self) -> int:
        """How many more may be claimed now."""
        most = self.width * AHEAD if self.proven else self.width
        return max(0, most - self.running - len(self.waiting))


class Lanes:
    """The lanes of all endpoints; as ``ports.Straight``, what the store asks while it stores a delivery."""

    def __init__(self, entropy: Entropy, *, lane_max: int, lease_s: float) -> None:
        self.members: Members = Alone(entropy)
        """Until the composition root, which needs the store for others, says otherwise."""
        self._lane_max = lane_max
        self._lease_ms = int(lease_s * SECOND_MS)
        self._lanes: dict[EndpointId, Lane] = {}
        self._closed = False
        self.turned_away = False
        """Work was left in the store since this was last set to False."""

    @property
    def claim(self) -> bytes:
        """A new one."""
        return self.members.claim()

    def lease_until_ms(self, now_ms: int) -> int:
        """Until when work that is handed over now is ours."""
        return now_ms + self._lease_ms

    def takes(self, endpoint_id: EndpointId) -> bool:
        """Called from the store's thread: reads a few fields, which Python makes safe."""
        if self._closed:
            return False
        lane = self._lanes.get(endpoint_id)
        if lane is None:
            if not self.members.shared:
                return True
            # Our share is not known before the endpoint is.
            self.turned_away = True
            return False
        if lane.width == 0:
            return False
        most = min(self._lane_max, AHEAD * lane.width) if self.members.shared else self._lane_max
        if lane.open and len(lane.waiting) < most:
            return True
        lane.more = True
        self.turned_away = True
        return False

    def of(self, endpoint_id: EndpointId) -> Lane:
        """This endpoint's lane."""
        lane = self._lanes.get(endpoint_id)
        if lane is None:
            # Alone, one attempt may go ahead while the endpoint is loaded: nobody else makes another.
            lane = Lane(partial(self.members.share, endpoint_id), None if self.members.shared else 1)
            self._lanes[endpoint_id] = lane
        return lane

    def with_waiting(self) -> list[Lane]:
        """Lanes in which something waits to be started."""
        return [lane for lane in self._lanes.values() if lane.waiting]

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
    paused, or (``lease_lost``) the delivery was not ours any more."""

    result: PostResult | None
    record: AttemptRecord | None
    finished: FinishedDelivery | None
    lag_ms: int
    lease_lost: bool = False


class Deliver:
    """The use case of the deliver worker."""

    def __init__(
        self, store: Store, poster: Poster, members: Members, clock: Clock, entropy: Entropy, *, timeout_s: float
    ) -> None:
        self._store = store
        self._poster = poster
        self._members = members
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

        def may_send() -> bool:
            return self._clock.now_ms() < work.lease_until_ms and self._members.owns(work.claim)

        # A lease that ends before the time-out could leave two processes posting.
        lapses = now_ms + self._timeout_s * SECOND_MS > work.lease_until_ms
        if lapses or endpoint is None or not _takes(endpoint, now_ms) or not may_send():
            return await self._give_back(work, lease_lost=lapses or not may_send())
        try:
            result = await self._poster.post(
                endpoint, work.event_id, work.payload, now_ms // SECOND_MS, self._timeout_s, may_send
            )
        except NothingSent:
            return await self._give_back(work, lease_lost=True)
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

    async def _give_back(self, work: DeliveryWork, *, lease_lost: bool) -> DeliveryAttempt:
        """The store has it again, if it was still ours."""
        await self.give_back([work])
        return DeliveryAttempt(result=None, record=None, finished=None, lag_ms=0, lease_lost=lease_lost)


def _takes(endpoint: Endpoint, now_ms: int) -> bool:
    """Whether the endpoint is on and not paused."""
    return endpoint.status == "enabled" and (endpoint.paused_until_ms or 0) <= now_ms
