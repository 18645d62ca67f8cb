"""The loop that beats: what it tells, and that a database that is away does not end it."""

import asyncio
from collections.abc import AsyncIterator, MutableMapping
from pathlib import Path
from typing import Any

import pytest
import structlog

from relay.domain.errors import StoreUnavailable
from relay.store.migrate import migrate_sqlite
from relay.telemetry.metrics import Metrics
from relay.workers.membership import MembershipWorker
from tests.services.neighbours import BEAT_S, TTL_S, Neighbours, Replica, open_neighbours
from tests.services.stillness import StillClock


@pytest.fixture
async def street(tmp_path: Path) -> AsyncIterator[Neighbours]:
    migrate_sqlite(tmp_path / "relay.db")
    async with open_neighbours(tmp_path / "relay.db") as opened:
        yield opened


def value(metrics: Metrics, name: str) -> float | None:
    return metrics.registry.get_sample_value(name)


class Beating:
    """A worker that beats as often as it is told."""

    def __init__(self, street: Neighbours) -> None:
        self.clock = Stepped(street.clock)
        self.metrics = Metrics()
        self.replica: Replica = street.replica()
        self.worker = MembershipWorker(self.replica.membership, self.clock, self.metrics)

    async def beat(self, times: int) -> None:
        """So many intervals pass."""
        running = asyncio.create_task(self.worker.run())
        for _ in range(times + 1):
            await self.clock.step()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    @property
    def seen(self) -> tuple[float | None, float | None]:
        """Replicas and leader, as the metrics say."""
        return value(self.metrics, "relay_replicas"), value(self.metrics, "relay_leader")


class Stepped(StillClock):
    """The street's clock; who sleeps goes on when it is told to."""

    def __init__(self, clock: StillClock) -> None:
        super().__init__()
        self._clock = clock
        self._asleep = asyncio.Semaphore(0)
        self._go = asyncio.Semaphore(0)

    def now_ms(self) -> int:
        return self._clock.now_ms()

    def monotonic_s(self) -> float:
        return self._clock.monotonic_s()

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self._asleep.release()
        await self._go.acquire()
        self._clock.move(seconds)

    async def step(self) -> None:
        """Return when the worker sleeps, after it was let out of the sleep before."""
        async with asyncio.timeout(5):
            await self._asleep.acquire()
        self._go.release()


def told(lines: list[MutableMapping[str, Any]]) -> list[tuple[str, ...]]:
    """Event, and how many live."""
    return [(line["event"], *([str(line["replicas"])] if "replicas" in line else [])) for line in lines]


async def test_a_change_of_members_and_of_leadership_is_told_once(street: Neighbours) -> None:
    one, two = Beating(street), street.replica()
    with structlog.testing.capture_logs() as lines:
        await one.worker.start()
        assert one.seen == (1, 1)
        await two.beat()
        await one.beat(2)
        assert one.seen == (2, 1)
        await two.membership.leave()
        await one.beat(2)
        await one.worker.stop()

    assert told(lines) == [
        ("membership.changed", "1"),
        ("leadership.gained", "1"),
        ("membership.changed", "2"),
        ("membership.changed", "1"),
        ("membership.changed", "0"),
        ("leadership.lost", "0"),
    ]
    assert one.seen == (0, 0)


async def test_beats_are_a_fifth_of_the_time_to_live_apart(street: Neighbours) -> None:
    one = Beating(street)
    await one.worker.start()

    with structlog.testing.capture_logs():
        await one.beat(3)

    assert one.clock.slept[:3] == [pytest.approx(BEAT_S)] * 3


async def test_while_the_database_is_away_beats_fail_and_what_it_led_is_lost_in_time(street: Neighbours) -> None:
    one = Beating(street)
    with structlog.testing.capture_logs() as lines:
        await one.worker.start()
        one.replica.store.away = True
        await one.beat(9)
        assert one.seen == (0, 0)
        one.replica.store.away = False
        await one.beat(1)

    assert one.seen == (1, 1)
    assert value(one.metrics, "relay_beat_failures_total") == 9
    names = [name for name, *_ in told(lines)]
    assert names.count("membership.beat_failed") == 9
    assert [name for name in names if name.startswith("leadership")] == [
        "leadership.gained",
        "leadership.lost",
        "leadership.gained",
    ]
    # A failed beat is made up for sooner.
    assert min(one.clock.slept) == pytest.approx(BEAT_S / 2)


async def test_a_replica_that_was_taken_for_dead_says_so(street: Neighbours) -> None:
    one, two = Beating(street), street.replica()
    with structlog.testing.capture_logs() as lines:
        await one.worker.start()
        await two.beat()
        await street.pass_s(TTL_S + BEAT_S, two)
        await one.beat(1)

    assert ("membership.lost",) in told(lines)


async def test_a_stop_that_the_others_cannot_hear_of_is_told_and_stops_all_the_same(street: Neighbours) -> None:
    one = Beating(street)
    with structlog.testing.capture_logs() as lines:
        await one.worker.start()
        await one.replica.store.close()
        await one.worker.stop()

    assert told(lines)[-3:] == [("membership.not_left",), ("membership.changed", "0"), ("leadership.lost", "0")]


async def test_who_could_not_join_has_nothing_to_leave_and_says_nothing(street: Neighbours) -> None:
    one = Beating(street)
    one.replica.store.away = True
    with structlog.testing.capture_logs() as lines:
        with pytest.raises(StoreUnavailable):
            await one.worker.start()
        await one.replica.store.close()
        await one.worker.stop()

    assert lines == []
