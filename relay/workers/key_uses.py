"""When API keys were used last: remembered in memory, stored now and then."""

from typing import Final

from relay.ports import Clock
from relay.services.authenticate import Authenticate

KEY_USES_S: Final = 60.0
"""A request costs nothing for it, and a crash loses this much."""


class KeyUses:
    """The loop that stores it."""

    def __init__(self, authenticate: Authenticate, clock: Clock) -> None:
        self._authenticate = authenticate
        self._clock = clock

    async def run(self) -> None:
        """For ever."""
        while True:
            await self._clock.sleep(KEY_USES_S)
            await self._authenticate.note_uses()
