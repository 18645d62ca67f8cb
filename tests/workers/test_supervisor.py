import asyncio

import structlog

from relay.domain.errors import StoreUnavailable
from relay.telemetry.metrics import Metrics
from relay.workers.supervisor import Supervisor
from tests.services.stillness import StillClock


class Loop:
    """A loop that breaks with each of these in turn, and then runs for ever."""

    def __init__(self, clock: StillClock, *errors: Exception, runs_s: float = 0.0) -> None:
        self._clock = clock
        self._errors = list(errors)
        self._runs_s = runs_s
        self.starts = 0
        self.steady = asyncio.Event()

    async def __call__(self) -> None:
        self.starts += 1
        self._clock.move(self._runs_s)
        if self._errors:
            raise self._errors.pop(0)
        self.steady.set()
        await asyncio.Event().wait()


async def run(loop: Loop, clock: StillClock, metrics: Metrics) -> list[str]:
    """What was logged until the loop ran for ever."""
    supervisor = Supervisor(clock, metrics)
    with structlog.testing.capture_logs() as lines:
        supervisor.keep("loop", loop)
        await loop.steady.wait()
        await supervisor.stop()
    return [line["event"] for line in lines]


async def test_a_loop_that_breaks_is_logged_counted_and_started_again_ever_more_slowly() -> None:
    clock, metrics = StillClock(), Metrics()
    loop = Loop(clock, *[ZeroDivisionError()] * 9)

    events = await run(loop, clock, metrics)

    assert loop.starts == 10
    assert clock.slept == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]
    assert events == ["loop.broke"] * 9
    assert metrics.registry.get_sample_value("relay_loop_restarts_total", {"loop": "loop"}) == 9


async def test_a_store_that_is_away_is_a_warning_without_a_traceback() -> None:
    clock = StillClock()

    assert await run(Loop(clock, StoreUnavailable("locked")), clock, Metrics()) == ["loop.store_unavailable"]


async def test_a_store_that_was_away_for_long_is_asked_again_soon() -> None:
    clock = StillClock()

    await run(Loop(clock, *[StoreUnavailable("locked")] * 7), clock, Metrics())

    assert clock.slept == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0]


async def test_a_loop_that_ran_long_is_started_again_after_the_first_pause() -> None:
    clock = StillClock()

    await run(Loop(clock, *[ZeroDivisionError()] * 4, runs_s=31), clock, Metrics())

    assert clock.slept == [0.1] * 4


async def test_one_loop_that_breaks_leaves_the_others_alone() -> None:
    clock, metrics = StillClock(), Metrics()
    broken, sound = Loop(clock, *[ZeroDivisionError()] * 3), Loop(clock)
    supervisor = Supervisor(clock, metrics)

    with structlog.testing.capture_logs():
        supervisor.keep("broken", broken)
        supervisor.keep("sound", sound)
        await broken.steady.wait()
        await supervisor.stop()

    assert (broken.starts, sound.starts) == (4, 1)


async def test_a_stop_ends_a_loop_that_swallows_a_cancellation() -> None:
    clock, started = StillClock(), asyncio.Event()

    async def stubborn() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            # As wait_for of Python 3.11 does when what it waits for is done in the same moment.
            await asyncio.Event().wait()

    supervisor = Supervisor(clock, Metrics())
    task = supervisor.keep("stubborn", stubborn)
    await started.wait()

    await asyncio.wait_for(supervisor.stop(), 5)

    assert task.done()


async def test_a_stop_before_the_first_start_ends_too() -> None:
    supervisor = Supervisor(StillClock(), Metrics())
    task = supervisor.keep("loop", asyncio.Event().wait)  # type: ignore[arg-type] # what it returns is never seen

    await supervisor.stop()

    assert task.cancelled()


async def test_a_loop_that_returns_has_ended_on_purpose() -> None:
    clock, metrics = StillClock(), Metrics()
    supervisor = Supervisor(clock, metrics)
    starts = 0

    async def ends() -> None:
        nonlocal starts
        starts += 1

    await supervisor.keep("ends", ends)

    assert starts == 1
    assert metrics.registry.get_sample_value("relay_loop_restarts_total", {"loop": "ends"}) is None
