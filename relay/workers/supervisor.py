"""Keeps loops running: a loop that breaks is logged, counted and started again."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from relay.domain.errors import StoreUnavailable
from relay.ports import Clock
from relay.telemetry.metrics import Metrics

_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 10.0
_LONGEST_AWAY_S: Final = 1.0
"""A store that was away is asked again after so long at the latest: what waited for it goes on soon."""
_CANCEL_AGAIN_S: Final = 0.05
_STEADY_S: Final = 30.0
"""A loop that ran so long before it broke is started again after the first pause."""

log = structlog.get_logger("relay")


class Supervisor:
    """The loops of this process."""

    def __init__(self, clock: Clock, metrics: Metrics) -> None:
        self._clock = clock
        self._metrics = metrics
        self._tasks: list[asyncio.Task[None]] = []

    def keep(self, name: str, loop: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        """Run ``loop`` until ``stop``, again and again when it breaks; one that returns has ended on purpose."""
        task = asyncio.create_task(self._keep(name, loop), name=f"relay-{name}")
        self._tasks.append(task)
        return task

    async def stop(self) -> None:
        """Cancel every loop and wait until it has ended."""
        left = set(self._tasks)
        while left:
            for task in left:
                task.cancel()
            # Again and again: Python 3.11's wait_for swallows a cancellation that comes in the moment when what it
            # waited for is done, and the loop would go on for ever.
            _, left = await asyncio.wait(left, timeout=_CANCEL_AGAIN_S)
        self._tasks.clear()

    async def _keep(self, name: str, loop: Callable[[], Awaitable[None]]) -> None:
        pause_s = _FIRST_PAUSE_S
        while True:
            started_s = self._clock.monotonic_s()
            try:
                await loop()
                return
            except StoreUnavailable as error:
                pause_s = min(pause_s, _LONGEST_AWAY_S)
                log.warning("loop.store_unavailable", loop=name, reason=str(error), next_start_in_s=pause_s)
            except Exception:
                # The one place that may catch everything: nothing above would start the loop again.
                log.exception("loop.broke", loop=name, next_start_in_s=pause_s)
            self._metrics.loop_restarted(name)
            if self._clock.monotonic_s() - started_s > _STEADY_S:
                pause_s = _FIRST_PAUSE_S
            await self._clock.sleep(pause_s)
            pause_s = min(_LONGEST_PAUSE_S, pause_s * 2)
