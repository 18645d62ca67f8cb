"""Who lives, who leads, and this process's share of the limits that all replicas keep together.

Every replica beats: it renews its row in the database and reads who else lives, every fifth of the time to live. All
that follows is true only for so long after a beat *began*, so that a process that was paused, or whose database was
away, owns, leads and shares nothing when it comes back, before it has asked:

    owns, leads     4/5 of the time to live; others bury it after the whole
    shares          2 beats; others use what a death leaves after 5
    a joiner        gets its share 2.5 beats after it joined: by then everybody else counts it, or has no share

Why limits hold at every moment: a replica that uses a share is in the list of every other one that does. One that
joined later has none yet; one that was buried or left has none any more. The rest is ``domain.shares``.
"""

from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from relay.domain.shares import place, share
from relay.domain.times import SECOND_MS
from relay.ports import Clock, Entropy, Standing, Store

REPLICA_BYTES: Final = 8
_CLAIM_BYTES: Final = 8
BEATS: Final = 5
"""Beats in one time to live."""
_SHARED_BEATS: Final = 2.0
_SETTLED_BEATS: Final = 2.5


class Slots(msgspec.Struct, frozen=True):
    """What this process may use of an account: connections at once, and starts in any period of its rate."""

    connections: int
    starts: int


class Beat(msgspec.Struct, frozen=True, kw_only=True):
    """What one beat brought. ``lost``: the others had taken this replica for dead; what it had claimed is not its own
    any more, and it has joined again as a new one."""

    replicas: int
    lost: bool


class Members(Protocol):
    """What the rest of the process asks about itself among its replicas."""

    @property
    def shared(self) -> bool:
        """Whether other processes may use the same limits."""

    @property
    def replicas(self) -> int:
        """How many live, this one included; 0 when that is not known any more."""

    def claim(self) -> bytes:
        """A new claim, good for work that this process takes now."""

    def owns(self, claim: bytes) -> bool:
        """Whether what was taken under ``claim`` can still be ours. The work's own lease counts besides."""

    def leads(self) -> bool:
        """Whether what only one process may do is ours."""

    def slots(self, key: str, connections: int, starts: int) -> Slots:
        """Our part of what ``key`` allows. Who gets a connection gets a start, while there are enough of both."""

    def share(self, key: str, limit: int) -> int:
        """Our part of one limit."""

    def steady_since_s(self) -> float:
        """Since when, on the monotonic clock, our shares are what they are: others may have used them before."""


class Alone:
    """The one process of an embedded database: everything is its own, and nobody is asked."""

    shared = False
    replicas = 1

    def __init__(self, entropy: Entropy) -> None:
        self._entropy = entropy
        self._replica = entropy.token(REPLICA_BYTES)

    def claim(self) -> bytes:
        return self._replica + self._entropy.token(_CLAIM_BYTES)

    def owns(self, claim: bytes) -> bool:
        return True

    def leads(self) -> bool:
        return True

    def slots(self, key: str, connections: int, starts: int) -> Slots:
        return Slots(connections, starts)

    def share(self, key: str, limit: int) -> int:
        return limit

    def steady_since_s(self) -> float:
        return float("-inf")


class _Life(msgspec.Struct, kw_only=True):
    """What a replica knows, from its join to its burial. Then it is another one, with another id.

    ``began``: when the last good beat began, on both clocks. ``settled``: everybody who uses a share counts this
    replica. ``arrived``: and nothing runs any more that began before. ``held``, until then: by key, how much each
    replica has leased.
    """

    replica: bytes
    replicas: tuple[bytes, ...] = ()
    duty: bool = False
    began: tuple[float, int] | None = None
    joined_s: float | None = None
    settled: bool = False
    arrived: bool = False
    held: dict[str, dict[bytes, int]] = {}
    steady_since_s: float = float("-inf")
    places: dict[tuple[str, bytes], int] = {}


class Membership:
    """One replica among several. ``beat`` again and again, ``leave`` at the end.

    ``name`` is for people. ``clock`` is the machine's own: ``tell_ahead`` hears after each beat by how many
    milliseconds the database's clock is ahead of it. After ``arrival_s`` nothing runs any more that began before a
    join.
    """

    shared = True

    def __init__(
        self,
        store: Store,
        clock: Clock,
        entropy: Entropy,
        *,
        name: str,
        ttl_s: float,
        arrival_s: float,
        tell_ahead: Callable[[int], None],
    ) -> None:
        self._store = store
        self._clock = clock
        self._entropy = entropy
        self._name = name
        self._ttl_ms = int(ttl_s * SECOND_MS)
        self.interval_s = ttl_s / BEATS
        self._lasts_s = ttl_s - self.interval_s
        self._arrival_s = arrival_s
        self._tell_ahead = tell_ahead
        self._life = self._new_life()
        self._lost = False

    # -- beating -----------------------------------------------------------------------------------------------------

    async def beat(self) -> Beat:
        """Renew our row, bury the dead, see who lives and who leads. Raises StoreUnavailable; then nothing of ours
        lasts longer than before. What a beat says counts from its begin: one that takes long is worth little."""
        began = self._now()
        standing = await self._call(self._life)
        if standing is None:
            self._life, self._lost = self._new_life(), True
            began = self._now()
            standing = await self._call(self._life)
        if standing is None:
            raise LookupError("a replica that joins is there")
        ended = self._now()
        await self._learn(self._life, standing, began, ended)
        self._tell_ahead(standing.now_ms - (began[1] + ended[1]) // 2)
        lost, self._lost = self._lost, False
        return Beat(replicas=len(standing.replicas), lost=lost)

    async def leave(self) -> None:
        """The others take over at once. Nothing is ours from now on, whether the store hears of it or not."""
        left, self._life = self._life, self._new_life()
        await self._store.leave(left.replica)

    async def _call(self, life: _Life) -> Standing | None:
        return await self._store.beat(life.replica, name=self._name, ttl_ms=self._ttl_ms, join=life.joined_s is None)

    async def _learn(self, life: _Life, standing: Standing, began: tuple[float, int], ended: tuple[float, int]) -> None:
        if life.joined_s is None:
            # Nobody else was there: nothing is to be waited for.
            settled = arrived = len(standing.replicas) == 1
        else:
            since_s = began[0] - life.joined_s
            settled = life.settled or since_s >= _SETTLED_BEATS * self.interval_s
            arrived = life.arrived or (settled and since_s >= self._arrival_s)
        held = await self._read_held() if settled and not arrived else {}
        # From here on nothing fails: a life that half of a beat has changed could use a share too early.
        if life.joined_s is None:
            life.joined_s = ended[0]
        elif not life.arrived or standing.replicas != life.replicas or not self._fresh():
            life.steady_since_s = ended[0]
        if standing.replicas != life.replicas:
            life.replicas, life.places = standing.replicas, {}
        life.settled, life.arrived, life.held = settled, arrived, held
        life.duty = standing.leads
        life.began = began

    async def _read_held(self) -> dict[str, dict[bytes, int]]:
        held: dict[str, dict[bytes, int]] = {}
        for one in await self._store.held():
            held.setdefault(one.key, {})[one.replica] = one.number
        return held

    def _new_life(self) -> _Life:
        return _Life(replica=self._entropy.token(REPLICA_BYTES))

    def _now(self) -> tuple[float, int]:
        return self._clock.monotonic_s(), self._clock.now_ms()

    def _age_s(self) -> float:
        """Seconds since the last good beat began. Decision: by the clock that says more, because the monotonic clock
        stands still while a machine is suspended, and the other one may be set back."""
        if self._life.began is None:
            return float("inf")
        monotonic_s, wall_ms = self._now()
        return max(monotonic_s - self._life.began[0], (wall_ms - self._life.began[1]) / SECOND_MS)

    def _fresh(self) -> bool:
        """Whether a share may be used by what the last beat said."""
        return self._age_s() < _SHARED_BEATS * self.interval_s

    # -- asking ------------------------------------------------------------------------------------------------------

    @property
    def replicas(self) -> int:
        """How many live, this one included; 0 when that is not known any more."""
        return len(self._life.replicas) if self._age_s() < self._lasts_s else 0

    def claim(self) -> bytes:
        return self._life.replica + self._entropy.token(_CLAIM_BYTES)

    def owns(self, claim: bytes) -> bool:
        return claim.startswith(self._life.replica) and self._age_s() < self._lasts_s

    def leads(self) -> bool:
        return self._life.duty and self._age_s() < self._lasts_s

    def slots(self, key: str, connections: int, starts: int) -> Slots:
        life = self._life
        if not life.settled or not self._fresh():
            return Slots(0, 0)
        holders = min(len(life.replicas), connections, starts)
        for replica, number in life.held.get(key, {}).items():
            if replica == life.replica or replica not in life.replicas:
                continue
            if number > share(connections, self._place(replica, key), holders):
                # Calls that began before we came still hold what will be ours.
                return Slots(0, 0)
        own = self._place(life.replica, key)
        return Slots(share(connections, own, holders), share(starts, own, holders))

    def share(self, key: str, limit: int) -> int:
        return self.slots(key, limit, limit).connections

    def steady_since_s(self) -> float:
        return self._life.steady_since_s

    def _place(self, replica: bytes, key: str) -> int:
        places = self._life.places
        found = places.get((key, replica))
        if found is None:
            found = places[key, replica] = place(self._life.replicas, replica, key)
        return found
