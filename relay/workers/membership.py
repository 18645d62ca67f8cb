"""The signs of life of a replica, and what they say about the others."""

import structlog

from relay.domain.errors import StoreUnavailable
from relay.ports import Clock
from relay.services.membership import Membership
from relay.telemetry.metrics import Metrics

log = structlog.get_logger("relay")


class MembershipWorker:
    """Beats for as long as the process lives, and tells what changed."""

    def __init__(self, membership: Membership, clock: Clock, metrics: Metrics) -> None:
        self._membership = membership
        self._clock = clock
        self._metrics = metrics
        self._known = 0
        self._led = False
        self._started = False

    async def start(self) -> None:
        """Join the others, before anything is started. Raises StoreUnavailable."""
        await self._membership.beat()
        self._started = True
        self._tell()

    async def run(self) -> None:
        """Beat, for ever. A beat that fails is followed by the next one, a little sooner."""
        interval_s = self._membership.interval_s
        while True:
            await self._clock.sleep(interval_s)
            began_s = self._clock.monotonic_s()
            interval_s = self._membership.interval_s
            try:
                beat = await self._membership.beat()
            except StoreUnavailable as error:
                self._metrics.beat_failed()
                log.warning("membership.beat_failed", reason=str(error))
                interval_s /= 2
            else:
                if beat.lost:
                    log.warning("membership.lost")
            self._tell()
            interval_s = max(0.0, interval_s - (self._clock.monotonic_s() - began_s))

    async def stop(self) -> None:
        """The others take over at once; or, when the store is away, once our time is over. Nothing unless we joined."""
        if not self._started:
            return
        try:
            await self._membership.leave()
        except StoreUnavailable as error:
            log.warning("membership.not_left", reason=str(error))
        self._tell()

    def _tell(self) -> None:
        replicas, leads = self._membership.replicas, self._membership.leads()
        self._metrics.membership(replicas, leads=leads)
        if replicas != self._known:
            log.info("membership.changed", replicas=replicas, before=self._known)
        if leads != self._led:
            log.info("leadership.gained" if leads else "leadership.lost", replicas=replicas)
        self._known, self._led = replicas, leads
