"""Several memberships on one real database, whose clock the test moves."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

from relay.domain.errors import StoreUnavailable
from relay.ports import Standing
from relay.services.membership import Membership, Slots
from relay.store.queries import Queries
from relay.store.script import Db, Row, Script
from relay.store.sealing import KeyRing
from relay.store.sqlite import SqliteDriver
from relay.store.store import ScriptStore
from relay.system import SharedClock
from tests.services.stillness import FixedEntropy, StillClock

TTL_S: Final = 10.0
BEAT_S: Final = TTL_S / 5
ARRIVAL_S: Final = 60.0


class ClockedDb(Db):
    """The real scripts; only the database's clock is the test's."""

    def __init__(self, clock: StillClock) -> None:
        super().__init__(Queries.load("sqlite"), FixedEntropy(), None)
        self._clock = clock

    def row(self, name: str, /, **params: object) -> Script[Row | None]:
        if name == "clock.now_ms":
            return (self._clock.now_ms(),)
        return (yield from super().row(name, **params))


class ReachableStore(ScriptStore):
    """A store that this replica may not reach for a while."""

    away = False

    async def beat(self, *args: Any, **more: Any) -> Standing | None:
        if self.away:
            raise StoreUnavailable("away")
        return await super().beat(*args, **more)


class Distinct(FixedEntropy):
    """Randomness that no two replicas share."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number

    def token(self, size_bytes: int) -> bytes:
        self.made += 1
        return bytes([self.made * 37 % 251, self._number]) + self.made.to_bytes(size_bytes - 2)


class Replica:
    """One process: its membership, its own clock (``skew_s`` ahead of the database's), and the clock it works by."""

    def __init__(self, number: int, store: ReachableStore, clock: StillClock, skew_s: float = 0.0) -> None:
        self.store = store
        self.own = Skewed(clock, skew_s)
        self.clock = SharedClock(self.own)
        self.membership = Membership(
            store,
            self.own,
            Distinct(number),
            name=f"replica {number}",
            ttl_s=TTL_S,
            arrival_s=ARRIVAL_S,
            tell_ahead=self.clock.set_ahead,
        )

    async def beat(self) -> bool:
        """Whether it worked."""
        try:
            await self.membership.beat()
        except StoreUnavailable:
            return False
        return True

    def slots(self, key: str = "acct", connections: int = 1000, starts: int = 1000) -> Slots:
        return self.membership.slots(key, connections, starts)


class Skewed(StillClock):
    """The database's clock, and what this machine's is wrong by."""

    def __init__(self, clock: StillClock, skew_s: float) -> None:
        super().__init__()
        self._clock = clock
        self.skew_s = skew_s

    def now_ms(self) -> int:
        return self._clock.now_ms() + int(self.skew_s * 1000)

    def monotonic_s(self) -> float:
        return self._clock.monotonic_s()


class Neighbours:
    """The database, and the replicas on it."""

    def __init__(self, driver: SqliteDriver, clock: StillClock) -> None:
        self._driver = driver
        self.clock = clock
        self.made = 0

    def replica(self, skew_s: float = 0.0) -> Replica:
        """A new one, which has not joined yet."""
        self.made += 1
        return Replica(self.made, ReachableStore(self._driver, KeyRing({"k1": bytes(32)})), self.clock, skew_s)

    async def pass_s(self, seconds: float, *replicas: Replica) -> None:
        """Time passes, in which these beat."""
        left_s = seconds
        while left_s > 0:
            step_s = min(BEAT_S, left_s)
            left_s -= step_s
            self.clock.move(step_s)
            if step_s == BEAT_S:
                for replica in replicas:
                    await replica.beat()


@contextlib.asynccontextmanager
async def open_neighbours(path: Path) -> AsyncIterator[Neighbours]:
    """On a migrated database at ``path``."""
    clock = StillClock()
    driver = SqliteDriver(path, ClockedDb(clock))
    # No power cut comes here.
    driver._connection.execute("PRAGMA synchronous=OFF")
    try:
        yield Neighbours(driver, clock)
    finally:
        await driver.close()
