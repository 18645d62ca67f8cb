"""Storing what nobody else knows: however long the store is away."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from relay.domain.errors import StoreUnavailable
from relay.ports import Clock

T = TypeVar("T")

PAUSES_S: Final = (0.1, 0.5, 1.0, 2.0, 5.0)
"""Between one try and the next; the last one repeats."""


async def until_stored(clock: Clock, store: Callable[[], Awaitable[T]]) -> T:
    """The result of ``store``, tried again for as long as it raises StoreUnavailable."""
    failures = 0
    while True:
        try:
            return await store()
        except StoreUnavailable:
            await clock.sleep(PAUSES_S[min(failures, len(PAUSES_S) - 1)])
            failures += 1
