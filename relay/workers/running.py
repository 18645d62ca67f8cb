"""The tasks of one worker that are under way."""

import asyncio
from collections.abc import Coroutine
from typing import Any


class Running:
    """Holds each task until it has ended, which the event loop alone does not, and waits for them at a stop."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run ``work`` beside the others."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def drain(self, seconds: float) -> int:
        """Wait for all of them, cancel what is left after ``seconds``; how many were cut off."""
        if not self._tasks:
            return 0
        _, left = await asyncio.wait(self._tasks, timeout=seconds)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        return len(left)
