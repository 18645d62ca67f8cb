"""The loop that lets go of what is old: until nothing is left, each kind in its turn, one process only."""

import asyncio
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from relay.domain.errors import StoreUnavailable
from relay.domain.retention import RETENTION_KINDS, Keeping, RetentionKind, before_ms
from relay.ports import Retired, Store
from relay.telemetry.metrics import Metrics
from relay.workers.retention import BATCH_ROWS, Retention
from tests.services.stillness import StillClock

KEEPING = Keeping(content_days=90, messages_days=400, events_days=30, deliveries_days=30, raw_days=14)


class Backlog:
    """A store in which so many batches of each kind are old; a batch takes ``batch_s``."""

    def __init__(self, clock: StillClock, *, batch_s: float = 0.5, **batches: int) -> None:
        self._clock = clock
        self._batch_s = batch_s
        self._batches = batches
        self.asked: list[tuple[RetentionKind, int]] = []
        self.away = False

    async def retire(self, kind: RetentionKind, *, before_ms: int, now_ms: int, limit: int) -> Retired:
        if self.away:
            raise StoreUnavailable("locked")
        self.asked.append((kind, before_ms))
        left = self._batches.get(kind, 0)
        if not left:
            return Retired(rows=0, more=False, overdue_ms=None)
        self._clock.move(self._batch_s)
        self._batches[kind] = left - 1
        return Retired(rows=limit, more=left > 1, overdue_ms=before_ms - 60_000 if left > 1 else None)


def retention_of(store: Backlog, clock: StillClock, metrics: Metrics, **more: Any) -> Retention:
    return Retention(cast(Store, store), clock, metrics, KEEPING, interval_s=60.0, **more)


def lag(metrics: Metrics, kind: str) -> float | None:
    return metrics.registry.get_sample_value("relay_retention_lag_seconds", {"kind": kind})


async def test_it_goes_on_while_there_is_more_and_no_kind_waits_for_another() -> None:
    clock, metrics = StillClock(), Metrics()
    store = Backlog(clock, events=3, quota=2)

    with capture_logs() as logged:
        done = await retention_of(store, clock, metrics).once()

    asked = [kind for kind, _ in store.asked]
    assert asked == [*RETENTION_KINDS, "events", "quota", "events"]
    assert done == {"events": 3 * BATCH_ROWS, "quota": 2 * BATCH_ROWS}
    assert metrics.registry.get_sample_value("relay_retention_rows_total", {"kind": "events"}) == 3 * BATCH_ROWS
    assert logged == [
        {"event": "retention.done", "log_level": "info", "duration_ms": 5_000, "events": 1500, "quota": 1000}
    ]


async def test_every_kind_is_asked_with_its_own_time() -> None:
    clock = StillClock()
    store = Backlog(clock)

    await retention_of(store, clock, Metrics()).once()

    assert store.asked == [(kind, before_ms(kind, KEEPING, clock.now_ms())) for kind in RETENTION_KINDS]


@pytest.mark.parametrize(("batch_s", "pause_s"), [(0.25, 0.25), (1.0, 1.0), (30.0, 1.0)])
async def test_between_two_batches_it_waits_as_long_as_a_batch_took_but_not_for_long(
    batch_s: float, pause_s: float
) -> None:
    clock = StillClock()

    await retention_of(Backlog(clock, raw=2, batch_s=batch_s), clock, Metrics()).once()

    assert clock.slept == [pause_s, pause_s]


async def test_nothing_done_is_not_logged() -> None:
    clock = StillClock()

    with capture_logs() as logged:
        assert await retention_of(Backlog(clock), clock, Metrics()).once() == {}

    assert logged == []


async def test_deliveries_that_expire_are_told_apart() -> None:
    clock = StillClock()

    with capture_logs() as logged:
        await retention_of(Backlog(clock, pending=1), clock, Metrics()).once()

    assert logged[0] == {"event": "deliveries.expired", "log_level": "warning", "deliveries": BATCH_ROWS}


async def test_how_far_it_is_behind_is_told_while_it_works_and_zero_at_the_end() -> None:
    clock, metrics = StillClock(), Metrics()
    store = Backlog(clock, events=2)
    leads = iter([True, False])

    await retention_of(store, clock, metrics, leads=lambda: next(leads)).once()
    assert lag(metrics, "events") == 0.0

    store = Backlog(clock, events=2)
    seen: list[float | None] = []
    retire = store.retire

    async def watched(kind: RetentionKind, **asked: Any) -> Retired:
        seen.append(lag(metrics, "events"))
        return await retire(kind, **asked)

    store.retire = watched  # type: ignore[method-assign] # looks at the metric between two batches
    await retention_of(store, clock, metrics).once()
    assert (max(value or 0.0 for value in seen), lag(metrics, "events")) == (60.0, 0.0)


async def test_a_process_that_does_not_lead_does_nothing_and_claims_no_lag() -> None:
    clock, metrics = StillClock(), Metrics()
    metrics.retired("events", 0, 99.0)
    store = Backlog(clock, events=1)

    assert await retention_of(store, clock, metrics, leads=lambda: False).once() == {}

    assert (store.asked, lag(metrics, "events")) == ([], 0.0)


async def test_a_store_that_is_away_breaks_the_loop_so_that_the_supervisor_tells() -> None:
    clock = StillClock()
    store = Backlog(clock)
    store.away = True

    with pytest.raises(StoreUnavailable):
        await asyncio.wait_for(retention_of(store, clock, Metrics()).run(), 5)


async def test_it_looks_again_at_every_interval() -> None:
    clock = StillClock()
    store = Backlog(clock)
    running = asyncio.create_task(retention_of(store, clock, Metrics()).run())

    async with asyncio.timeout(5):
        while len(store.asked) < 3 * len(RETENTION_KINDS):  # noqa: ASYNC110 - what is awaited is steps of another task
            await asyncio.sleep(0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    assert clock.slept[:2] == [60.0, 60.0]
