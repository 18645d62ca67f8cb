"""Waiting for what must come, until a deadline."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import Final

EVERY_S: Final = 0.01


async def until(
    holds: Callable[[], bool | Awaitable[bool]], within_s: float, what: str, tell: Callable[[], str] = str
) -> None:
    """Return once ``holds`` does; fails after ``within_s`` seconds, naming ``what`` did not come and what ``tell`` says
    of the circumstances then."""
    deadline_s = time.monotonic() + within_s
    while True:
        answer = holds()
        if await answer if isawaitable(answer) else answer:
            return
        if time.monotonic() > deadline_s:
            raise AssertionError(f"not within {within_s} s: {what}\n{tell()}")
        await asyncio.sleep(EVERY_S)
