"""What every part of the store has: a driver that runs scripts, and the key ring."""

from collections.abc import Callable
from typing import Protocol, TypeVar

from relay.store.live_ring import FixedRing, LiveRing
from relay.store.script import ANY_TURN, Db, Script, Turn
from relay.store.sealing import KeyRing

T = TypeVar("T")


class Driver(Protocol):
    """Runs scripts on one engine."""

    async def write(self, script: Callable[[Db], Script[T]], turn: Turn = ANY_TURN) -> T:
        """In a transaction that is durable on return."""

    async def read(self, script: Callable[[Db], Script[T]]) -> T:
        """On one snapshot."""

    async def close(self) -> None:
        """Finish what is queued; then nothing works any more."""


class Part:
    """Some methods of the store."""

    def __init__(self, driver: Driver, ring: KeyRing | LiveRing) -> None:
        self._driver = driver
        self._live = FixedRing(ring) if isinstance(ring, KeyRing) else ring

    @property
    def _ring(self) -> KeyRing:
        """The ring of now: to be asked for when a script begins, not before it waits for its turn."""
        return self._live.current
