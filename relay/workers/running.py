"""The tasks of one worker that are under way."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any


class Running:
    """Holds each task until it has ended, which the event loop alone does not, and waits for them at a stop."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run ``work`` beside the others."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def idle(self) -> None:
        """Until none is under way, not one of those either that begin meanwhile."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def drain(self, seconds: float) -> int:
        """Wait for all of them, cancel what is left after ``seconds``; how many were cut off."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.idle()
        left = list(self._tasks)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        return len(left)
