"""Per account: how many submissions may run at once, and how many may start per second, in all replicas together."""

from typing import Final

from relay.domain.accounts import Account
from relay.domain.ids import AccountId
from relay.ports import Clock, Entropy
from relay.services.breaker import Breaker
from relay.services.limits import Window
from relay.services.membership import Members

ARRIVAL_S: Final = 0.1
"""How unevenly calls travel. The provider counts when they arrive: a burst that was late and one that was not come
closer together than they were started."""


class Gate:
    """One account's slots. A start takes a connection and a place in the rate; the connection comes back at the end.
    Of the connections, no more are used than the account's breaker lets through.

    ``take`` comes before a submission is marked ``submitting``, ``begin`` after: a commit lies between them, and the
    provider counts what it sees.

    ``backlog``: due submissions wait in the store; while they do, nothing that is new may overtake them.
    """

    def __init__(self, connections: int, requests_per_s: float, clock: Clock, breaker: Breaker) -> None:
        self.backlog = False
        self.breaker = breaker
        self._clock = clock
        self._connections = connections
        self._running = 0
        self._per_s = requests_per_s
        self._window = Window(requests_per_s, ARRIVAL_S)

    def fit(self, connections: int, requests_per_s: float, starts: int, since_s: float) -> None:
        """Take over changed limits. ``connections``, and ``starts`` of those that the rate allows in its period, are
        this process's, since ``since_s``. With 0 of either nothing starts here: what waits is left to the others."""
        self._connections = connections
        self.breaker.fit(connections)
        if requests_per_s != self._per_s:
            self._per_s = requests_per_s
            self._window.change(requests_per_s)
        if starts != self._window.most:
            self._window.allot(starts, since_s)

    @property
    def running(self) -> int:
        """Connections in use."""
        return self._running

    def take(self) -> bool:
        """Make ready to start one, if both limits allow it now: ``begin`` or ``give_back`` follows."""
        if self._is_full() or not self._window.reserve(self._clock.monotonic_s()):
            return False
        self._running += 1
        return True

    def begin(self) -> int:
        """What was taken starts now; ``end`` follows. What came of it is for ``breaker.learn``, with this number."""
        self._window.begin(self._clock.monotonic_s())
        return self.breaker.begin()

    def give_back(self) -> None:
        """What was taken was not started after all."""
        self._running -= 1
        self._window.give_back()

    def end(self) -> None:
        """One that was started has ended."""
        self._running -= 1

    def wait_s(self) -> float | None:
        """Seconds until the rate allows a start; None when a connection must come free first."""
        if self._is_full():
            return None
        return self._window.wait_s(self._clock.monotonic_s())

    def room(self) -> int | None:
        """How many more may come, before what is ahead of them; None: no end of them, they wait for their turn. An
        account on probation gets no queue."""
        width = self.breaker.width()
        if width is None:
            return None
        return 0 if self.backlog else max(0, min(width, self._connections) - self._running)

    def _is_full(self) -> bool:
        width = self.breaker.width()
        return self._running >= (self._connections if width is None else min(width, self._connections))


class Gates:
    """The gates of all accounts."""

    def __init__(self, clock: Clock, members: Members, entropy: Entropy) -> None:
        self._clock = clock
        self._members = members
        self._entropy = entropy
        self._gates: dict[AccountId, Gate] = {}
        self._versions: dict[AccountId, int] = {}

    def of(self, account: Account) -> Gate:
        """This account's gate, with this process's share of its present limits: none, while it is disabled."""
        per_s, since_s = account.requests_per_s, self._members.steady_since_s()
        gate = self._gates.get(account.id)
        if gate is None:
            breaker = Breaker(self._clock, self._entropy)
            gate = self._gates[account.id] = Gate(account.connections, per_s, self._clock, breaker)
            gate.fit(0, per_s, 0, since_s)
            self._versions[account.id] = account.version
        if self._versions[account.id] != account.version:
            self._versions[account.id] = account.version
            gate.breaker.try_now()
        slots = self._members.slots(account.id, account.connections, Window.starts(per_s))
        gate.fit(0 if account.disabled else slots.connections, per_s, slots.starts, since_s)
        return gate

    def room(self, account: Account) -> int | None:
        """``Gate.room`` of this account, as it stands: cheap, for who compares accounts."""
        if account.disabled:
            return 0
        gate = self._gates.get(account.id)
        return None if gate is None else gate.room()
