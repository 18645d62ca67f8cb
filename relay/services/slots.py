"""Per account: how many submissions may run at once, and how many may start per second, in all replicas together."""

from typing import Final

from relay.domain.accounts import Account
from relay.domain.ids import AccountId
from relay.ports import Clock
from relay.services.limits import Window
from relay.services.membership import Members

ARRIVAL_S: Final = 0.1
"""How unevenly calls travel. The provider counts when they arrive: a burst that was late and one that was not come
closer together than they were started."""


class Gate:
    """One account's slots. A start takes a connection and a place in the rate; the connection comes back at the end.

    ``take`` comes before a submission is marked ``submitting``, ``begin`` after: a commit lies between them, and the
    provider counts what it sees.

    ``backlog``: due submissions wait in the store; while they do, nothing that is new may overtake them.
    """

    def __init__(self, connections: int, requests_per_s: float, clock: Clock) -> None:
        self.backlog = False
        self._clock = clock
        self._connections = connections
        self._running = 0
        self._per_s = requests_per_s
        self._window = Window(requests_per_s, ARRIVAL_S)

    def fit(self, connections: int, requests_per_s: float, starts: int, since_s: float) -> None:
        """Take over changed limits. ``connections``, and ``starts`` of those that the rate allows in its period, are
        this process's, since ``since_s``. With 0 of either nothing starts here: what waits is left to the others."""
        self._connections = connections
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
        if self._running >= self._connections or not self._window.reserve(self._clock.monotonic_s()):
            return False
        self._running += 1
        return True

    def begin(self) -> None:
        """What was taken starts now; ``end`` follows."""
        self._window.begin(self._clock.monotonic_s())

    def give_back(self) -> None:
        """What was taken was not started after all."""
        self._running -= 1
        self._window.give_back()

    def end(self) -> None:
        """One that was started has ended."""
        self._running -= 1

    def wait_s(self) -> float | None:
        """Seconds until the rate allows a start; None when a connection must come free first."""
        if self._running >= self._connections:
            return None
        return self._window.wait_s(self._clock.monotonic_s())


class Gates:
    """The gates of all accounts."""

    def __init__(self, clock: Clock, members: Members) -> None:
        self._clock = clock
        self._members = members
        self._gates: dict[AccountId, Gate] = {}

    def of(self, account: Account) -> Gate:
        """This account's gate, with this process's share of its present limits."""
        per_s, since_s = account.requests_per_s, self._members.steady_since_s()
        gate = self._gates.get(account.id)
        if gate is None:
            gate = self._gates[account.id] = Gate(account.connections, per_s, self._clock)
            gate.fit(0, per_s, 0, since_s)
        slots = self._members.slots(account.id, account.connections, Window.starts(per_s))
        gate.fit(slots.connections, per_s, slots.starts, since_s)
        return gate
