"""The loop that lets go of what is old."""

from collections.abc import Callable
from typing import Final

import structlog

from relay.domain.retention import RETENTION_KINDS, Keeping, RetentionKind, before_ms
from relay.domain.times import SECOND_MS
from relay.ports import Clock, Store
from relay.telemetry.metrics import Metrics

BATCH_ROWS: Final = 500
"""Rows of one transaction: the one writer of SQLite is held for some milliseconds."""
LONGEST_PAUSE_S: Final = 1.0
"""Between two batches; one that waited long for a lock is no reason to wait as long again."""

log = structlog.get_logger("relay")


class Retention:
    """Deletes and erases by age, a batch of each kind in turn, so that no backlog of one kind delays another."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        metrics: Metrics,
        keeping: Keeping,
        *,
        interval_s: float,
        leads: Callable[[], bool] = lambda: True,
    ) -> None:
        """``leads``: whether this process is the one that does it, asked before every batch."""
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._keeping = keeping
        self._interval_s = interval_s
        self._leads = leads

    async def run(self) -> None:
        """For ever."""
        while True:
            await self.once()
            await self._clock.sleep(self._interval_s)

    async def once(self) -> dict[RetentionKind, int]:
        """Everything that is old by now; how many rows of each kind that was."""
        began_s = self._clock.monotonic_s()
        done: dict[RetentionKind, int] = {}
        left = list(RETENTION_KINDS)
        while left and self._leads():
            for kind in tuple(left):
                rows, more = await self._batch(kind)
                if rows:
                    done[kind] = done.get(kind, 0) + rows
                if not more:
                    left.remove(kind)
        for kind in left:
            # Another process does it now, and tells how far it is.
            self._metrics.retired(kind, 0, 0.0)
        if "pending" in done:
            log.warning("deliveries.expired", deliveries=done["pending"])
        if done:
            log.info("retention.done", duration_ms=round((self._clock.monotonic_s() - began_s) * 1000), **done)
        return done

    async def _batch(self, kind: RetentionKind) -> tuple[int, bool]:
        began_s = self._clock.monotonic_s()
        now_ms = self._clock.now_ms()
        old_ms = before_ms(kind, self._keeping, now_ms)
        retired = await self._store.retire(kind, before_ms=old_ms, now_ms=now_ms, limit=BATCH_ROWS)
        overdue_s = 0.0 if retired.overdue_ms is None else max(0, old_ms - retired.overdue_ms) / SECOND_MS
        self._metrics.retired(kind, retired.rows, overdue_s)
        if retired.rows:
            # As long as it took: half of the writer's time at most, and still faster than anything is written.
            await self._clock.sleep(min(LONGEST_PAUSE_S, self._clock.monotonic_s() - began_s))
        return retired.rows, retired.more
