"""A clock that runs, and that tests can move forward."""

import asyncio
import time


class MovableClock:
    """``ports.Clock``: the machine's own time and what it was moved by. Whoever sleeps is woken by a move."""

    def __init__(self) -> None:
        self._ahead_s = 0.0
        self._moved = asyncio.Event()

    def now_ms(self) -> int:
        return int((time.time() + self._ahead_s) * 1000)

    def monotonic_s(self) -> float:
        return time.monotonic() + self._ahead_s

    async def sleep(self, seconds: float) -> None:
        until_s = self.monotonic_s() + seconds
        while (left_s := until_s - self.monotonic_s()) > 0:
            try:
                await asyncio.wait_for(self._moved.wait(), left_s)
            except TimeoutError:
                continue

    def move(self, seconds: float) -> None:
        """So many seconds have passed."""
        self._ahead_s += seconds
        self._moved.set()
        self._moved = asyncio.Event()
