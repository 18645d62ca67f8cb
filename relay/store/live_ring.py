"""The ring that a process has now, which follows its file: a rotation needs no restart.

Two ways lead to another ring:

- ``candidate`` and ``take``, by the upkeep, every second: the store has checked it against the database in between.
- ``current`` itself, when nobody has looked at the file for some seconds (the process was frozen), and when a value was
  sealed with a key that is not here. No database is asked then, so nothing is let go of: the new ring is taken if it
  continues the one that is here, and what that one opens still opens.
"""

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Final

from relay.domain.errors import KeyRingError
from relay.store.ring_files import RingSource, Stamp
from relay.store.sealing import KeyRing

_LOOK_S: Final = 5.0
"""The upkeep looks every second: later than this, it did not run."""


class LiveRing:
    """Thread-safe. ``current`` is what to seal and open with, taken anew for each piece of work."""

    def __init__(self, source: RingSource, *, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        """Raises KeyRingError."""
        self.source = source
        self._monotonic_s = monotonic_s
        self._lock = threading.Lock()
        self._ring = KeyRing.parse(source.read_first(), newer=self._newer)
        # After the reading: a change in between is found by the next look.
        self._seen: Stamp | None = None
        self._settled: Stamp | None = None
        self._looked_s = monotonic_s()

    @property
    def current(self) -> KeyRing:
        """The ring of now."""
        if self._monotonic_s() - self._looked_s > _LOOK_S:
            self._look()
        return self._ring

    def candidate(self) -> tuple[KeyRing, Stamp | None] | None:
        """What the file holds, for ``take``; None when it holds what was taken last. Raises KeyRingError when it cannot
        be read."""
        self._looked_s = self._monotonic_s()
        stamp = self.source.stamp()
        if self.source.path is None or (stamp is not None and stamp == self._settled):
            return None
        return KeyRing.parse(self.source.read(), newer=self._newer), stamp

    def take(self, ring: KeyRing, stamp: Stamp | None) -> None:
        """From now on this ring is used, and no other."""
        with self._lock:
            self._ring, self._settled, self._seen = ring, stamp, stamp

    def _newer(self) -> KeyRing:
        # As often as it is asked: the file is only read when its stamp is another one.
        self._look()
        return self._ring

    def _look(self) -> None:
        with self._lock:
            self._looked_s = self._monotonic_s()
            stamp = self.source.stamp()
            if stamp is None or stamp == self._seen:
                return
            self._seen = stamp
            # What is wrong with it is told by the upkeep, which finds it, too.
            with contextlib.suppress(KeyRingError):
                found = KeyRing.parse(self.source.read(), newer=self._newer)
                if found.continues(self._ring):
                    self._ring = found.opening_also(self._ring)


class FixedRing:
    """One ring for as long as the process lives."""

    def __init__(self, ring: KeyRing) -> None:
        self.current = ring
