"""Polling events: for teams that cannot host a webhook."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from relay.domain.ids import TeamId
from relay.ports import Clock, Page, Store

POLL_S: Final = 1.0
"""How often the store is asked all the same: another process may have stored an event."""


async def _always() -> None:
    """Nobody comes between."""


class Poll:
    """Callers that wait for the next event."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._waiting: set[asyncio.Event] = set()
        self._draining = False

    def events_stored(self) -> None:
        """New events are committed: whoever waits looks again."""
        for event in self._waiting:
            event.set()

    def drain(self) -> None:
        """From now on nobody waits: whoever does is answered with what there is."""
        self._draining = True
        self.events_stored()

    async def events(
        self,
        team_id: TeamId,
        *,
        position: str | None,
        limit: int,
        event_types: tuple[str, ...],
        wait_s: float,
        still_allowed: Callable[[], Awaitable[None]] = _always,
    ) -> Page[bytes]:
        """Events after ``position``, oldest first; waits up to ``wait_s`` for the first one. ``still_allowed`` raises
        once whoever waits may not have them any more."""
        deadline_s = self._clock.monotonic_s() + wait_s
        event = asyncio.Event()
        self._waiting.add(event)
        try:
            while True:
                event.clear()
                page = await self._store.events(team_id, position=position, limit=limit, event_types=event_types)
                left_s = deadline_s - self._clock.monotonic_s()
                if page.data or left_s <= 0 or self._draining:
                    return page
                position = page.next_position
                with suppress(TimeoutError):
                    await asyncio.wait_for(event.wait(), min(left_s, POLL_S))
                await still_allowed()
        finally:
            self._waiting.discard(event)
