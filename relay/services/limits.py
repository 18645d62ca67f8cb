"""Rates: how many in any window of one period."""

from collections import deque
from typing import Final

import msgspec

from relay.domain.errors import RateExceeded
from relay.domain.ids import TeamId
from relay.domain.teams import Team
from relay.ports import Clock
from relay.services.membership import Members

MOST_REMEMBERED: Final = 10_000


class RateState(msgspec.Struct, frozen=True, kw_only=True):
    """``limit`` requests in ``period_s``, ``remaining`` of them, all of them again in ``reset_s``."""

    limit: int
    period_s: float
    remaining: int
    reset_s: float


class Window:
    """At most ``per_s`` starts in any second (or one start in 1 / ``per_s`` seconds when that is less than one).

    Decision: the times of the last starts, not a token bucket: a bucket that holds one second's worth lets twice the
    rate through in the first second, and a provider that counts refuses the rest.
    """

    def __init__(self, per_s: float, margin_s: float = 0.0) -> None:
        """``margin_s`` makes the second longer, for a rate that somebody else counts when calls arrive."""
        self._margin_s = margin_s
        self._starts: deque[float] = deque()
        self._reserved = 0
        self.change(per_s)

    @staticmethod
    def starts(per_s: float) -> int:
        """Starts in one period of this rate."""
        return min(MOST_REMEMBERED, max(1, int(per_s)))

    def change(self, per_s: float) -> None:
        """Another rate from now on; the starts so far count."""
        self.most = self.starts(per_s)
        self.period_s = self.most / per_s + self._margin_s
        self._starts = deque(self._starts, maxlen=self.most)

    def allot(self, most: int, since_s: float) -> None:
        """Since ``since_s`` only ``most`` starts of the rate's are ours. What is more than before counts as used then:
        somebody else may have started as many in that very moment."""
        if most > self.most:
            known = sorted([*self._starts, *[since_s] * (most - self.most)])
            self._starts = deque(known, maxlen=self._starts.maxlen)
        self.most = most

    def wait_s(self, now_s: float) -> float:
        """Seconds until one more may start; 0 when it may now."""
        room = self.most - self._reserved
        if room <= 0:
            return self.period_s
        if len(self._starts) < room:
            return 0.0
        return max(0.0, self._starts[-room] + self.period_s - now_s)

    def take(self, now_s: float) -> bool:
        """Count a start, if it may be now."""
        if self.wait_s(now_s) > 0:
            return False
        self._starts.append(now_s)
        return True

    def reserve(self, now_s: float) -> bool:
        """Keep a place, if there is one now, for a start that comes a little later: ``begin`` or ``give_back``."""
        if self.wait_s(now_s) > 0:
            return False
        self._reserved += 1
        return True

    def begin(self, now_s: float) -> None:
        """What a place was kept for starts now, and counts from now."""
        self._reserved -= 1
        self._starts.append(now_s)

    def give_back(self) -> None:
        """What a place was kept for does not start."""
        self._reserved -= 1

    def used(self, now_s: float) -> int:
        """Starts within the last period."""
        while self._starts and self._starts[0] + self.period_s <= now_s:
            self._starts.popleft()
        return len(self._starts)

    def reset_s(self, now_s: float) -> float:
        """Seconds until the whole rate is free again."""
        return max(0.0, self._starts[-1] + self.period_s - now_s) if self._starts else 0.0


class TeamRates:
    """Requests per second of each team, in this process: its part of what all replicas allow together.

    Decision: of a rate that gives every replica a start in its period, each has its exact share, so that together they
    never exceed it. Of a lower rate each has one start in a longer period, which keeps to it on the average: a share of
    none would shut out whoever is connected to that replica. So would one that has no share yet, or none any more while
    the store is slow: it counts itself among the replicas that it knows, for the seconds that this takes.
    """

    def __init__(self, clock: Clock, members: Members) -> None:
        self._clock = clock
        self._members = members
        self._windows: dict[TeamId, tuple[float, Window]] = {}

    def take(self, team: Team) -> RateState | None:
        """Count a request; None when the team has no limit. Raises RateExceeded."""
        per_s = team.requests_per_s
        if per_s is None:
            return None
        now_s = self._clock.monotonic_s()
        window = self._window(team.id, per_s)
        if not window.take(now_s):
            raise RateExceeded(
                f"The team may make {per_s:g} requests per second, on all replicas together.",
                retry_after_s=window.wait_s(now_s),
            )
        return _state(window, now_s)

    def state(self, team: Team) -> RateState | None:
        """The same without counting a request."""
        per_s = team.requests_per_s
        return None if per_s is None else _state(self._window(team.id, per_s), self._clock.monotonic_s())

    def _window(self, team_id: TeamId, per_s: float) -> Window:
        replicas = max(1, self._members.replicas)
        whole = Window.starts(per_s)
        own = per_s if whole >= replicas else per_s / replicas
        known = self._windows.get(team_id)
        if known is None or known[0] != own:
            known = (own, Window(own))
            self._windows[team_id] = known
        window = known[1]
        if whole >= replicas:
            most = self._members.share(team_id, whole) or whole // replicas
            if most != window.most:
                window.allot(most, self._members.steady_since_s())
        return window


def _state(window: Window, now_s: float) -> RateState:
    return RateState(
        limit=window.most,
        period_s=window.period_s,
        remaining=max(0, window.most - window.used(now_s)),
        reset_s=window.reset_s(now_s),
    )
