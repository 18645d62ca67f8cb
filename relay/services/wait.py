"""``Prefer: wait``: until every submission of a message has an outcome."""

import asyncio
from typing import Final

from relay.domain.errors import NotFound
from relay.domain.ids import MessageId, TeamId
from relay.domain.messages import MessageView
from relay.ports import Clock, Store

_UNDECIDED: Final = frozenset({"scheduled", "queued", "submitting"})
POLL_S: Final = 1.0
"""How often the store is asked all the same: another process may have sent it."""


class Wait:
    """Callers that wait, by message."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._events: dict[MessageId, list[asyncio.Event]] = {}
        self._draining = False

    def settled_one(self, message_id: MessageId) -> None:
        """A submission of this message has come to an outcome: whoever waits looks again."""
        for event in self._events.get(message_id, ()):
            event.set()

    def settled_elsewhere(self) -> None:
        """Another replica brought some message to an outcome: everybody looks again."""
        for waiting in self._events.values():
            for event in waiting:
                event.set()

    def drain(self) -> None:
        """From now on nobody waits: whoever does gets the message as it is."""
        self._draining = True
        for message_id in self._events:
            self.settled_one(message_id)

    async def settled(self, team_id: TeamId, message_id: MessageId, seconds: float) -> MessageView:
        """The message when all its submissions have an outcome, or as it is after ``seconds``."""
        deadline_s = self._clock.monotonic_s() + seconds
        event = asyncio.Event()
        waiting = self._events.setdefault(message_id, [])
        waiting.append(event)
        try:
            while True:
                event.clear()
                view = await self._store.message(team_id, message_id)
                if view is None:
                    raise NotFound("There is no such message.")
                left_s = deadline_s - self._clock.monotonic_s()
                settled = all(found.status not in _UNDECIDED for found in view.submissions)
                if settled or left_s <= 0 or self._draining:
                    return view
                try:
                    await asyncio.wait_for(event.wait(), min(left_s, POLL_S))
                except TimeoutError:
                    continue
        finally:
            waiting.remove(event)
            if not waiting:
                del self._events[message_id]
