"""The circuit breaker of one account: it stops what cannot work, and finds out by itself when it can again.

    closed ──account refused, or too often not sent──> open ──time is over──> half open ──probe worked──> slow start
       ^                                                ^  ^                       │                       │     │
       │                                                │  └─────probe failed──────┘                       │     │
       │                                                └──────────────failed again────────────────────────┘     │
       └───────────────1, 2, 4, 8, … at once, doubled by every success, up to the account's own width────────────┘

Opens at once     a refusal of the account: of scope ``account``, or of class auth, balance or ip, which no account has
                  for one message alone
Opens by rate     "not sent": 5 of the last 20 outcomes, none older than 30 s, and at least half of them
Counts nothing    a lost lease, or an extension that has become another team's: ours, and not the provider's

Decision: "unconfirmed" neither opens nor closes a breaker, because nobody knows whether the account works: what timed
out may have been sent, and moving traffic away on such a guess moves it at every hiccup of an answer. It is no success
either: it widens nothing, and a probe that ends so has failed.

Decision: each replica has breakers of its own, and they agree on nothing. An account that is ill is ill for all of
them, so each finds out by a few calls of its own, which cost nothing (not sent) or one message (refused); agreement
would cost a write and a wait on the hot path, and one replica with a broken network would close the account for all.
"""

from collections import deque
from decimal import Decimal
from typing import Final

from relay.domain.accounts import CodeClass
from relay.domain.breakers import BreakerState, OpenReason
from relay.domain.provider import Accepted, Balance, BalanceUnknown, NotSent, Refused, SendOutcome, Unconfirmed
from relay.domain.times import SECOND_MS
from relay.ports import Clock, Entropy

FIRST_S: Final = 5.0
"""How long it stays open the first time; doubled each time that it opens before it was closed again."""
BRIEFLY_S: Final = 1.0
"""The same when the provider is only busy: it is well, and soon free."""
LONGEST_S: Final = 300.0
JITTER: Final = 0.2
REMEMBERED: Final = 20
REMEMBERED_S: Final = 30.0
FEWEST_FAILURES: Final = 5

_OF_THE_ACCOUNT: Final[frozenset[CodeClass]] = frozenset({"auth", "balance", "ip"})
_BUSY: Final[frozenset[OpenReason]] = frozenset({"throttled", "busy"})


class Breaker:
    """``begin`` when a submission starts, ``learn`` what came of it; ``width`` says how many may be under way."""

    def __init__(self, clock: Clock, entropy: Entropy) -> None:
        self._clock = clock
        self._entropy = entropy
        self._full = 1
        self._outcomes: deque[tuple[float, bool]] = deque(maxlen=REMEMBERED)
        self._since_ms = clock.now_ms()
        self._until_s: float | None = None
        self._width: int | None = None
        self._in_a_row = 0
        self._by_balance = False
        self.reason: OpenReason | None = None
        """Why it opened; None while it is closed."""
        self.openings = 0
        """How often it has opened. What began before the last time says nothing about now."""

    def fit(self, full: int) -> None:
        """The account's full width: how many this process may have under way."""
        self._full = full

    # -- asking ------------------------------------------------------------------------------------------------------

    def width(self) -> int | None:
        """How many may be under way; None: as many as the account allows. A half-open one lets one real submission
        through as its probe, unless that could cost it its life: then the balance is the probe."""
        if self._until_s is None:
            return self._width
        return 0 if self._by_balance or self._clock.monotonic_s() < self._until_s else 1

    def state(self) -> BreakerState:
        """What it is now."""
        if self._until_s is None:
            return "closed" if self._width is None else "slow_start"
        return "open" if self._clock.monotonic_s() < self._until_s else "half_open"

    def wants_balance(self) -> bool:
        """Half open, and to be probed by asking for the balance: ``learn_balance`` follows."""
        return self._by_balance and self.state() == "half_open"

    def since_ms(self) -> int:
        """Since when it is in this state."""
        probe_at_ms = self._probe_at_ms()
        return self._since_ms if probe_at_ms is None or self.state() == "open" else probe_at_ms

    def next_probe_ms(self) -> int | None:
        """When it is tried again; None unless it is open."""
        return self._probe_at_ms() if self.state() == "open" else None

    def _probe_at_ms(self) -> int | None:
        if self._until_s is None:
            return None
        return self._clock.now_ms() + int((self._until_s - self._clock.monotonic_s()) * SECOND_MS)

    # -- learning ----------------------------------------------------------------------------------------------------

    def begin(self) -> int:
        """A submission starts: hand this to ``learn``."""
        return self.openings

    def learn(self, begun: int, outcome: SendOutcome) -> None:
        """What became of a submission that began when ``begin`` gave this."""
        if begun != self.openings:
            # It began before the breaker opened: late news.
            return
        match outcome:
            case Accepted():
                self._worked()
            case Refused(reason=reason, scope=scope):
                if scope == "account" or reason in _OF_THE_ACCOUNT:
                    # The next message would be lost to the same refusal.
                    self._open(reason, by_balance=True)
                else:
                    self._worked()
            case NotSent(why="lease" | "extension"):
                pass
            case NotSent(reason=reason, scope=scope):
                if scope == "account" or reason in _OF_THE_ACCOUNT:
                    by_balance = reason in _OF_THE_ACCOUNT
                    self._open(reason or "other", by_balance=by_balance, at_least_s=outcome.retry_after_s)
                else:
                    self._was_not_sent(outcome.retry_after_s)
            case Unconfirmed():
                if self._until_s is not None:
                    self._open(self.reason or "not_sent", by_balance=self._by_balance)
                else:
                    self._remember(failed=False)

    def learn_balance(self, answer: Balance | BalanceUnknown) -> None:
        """What the probe of a half-open breaker brought.

        Decision: "unreadable" or a 4xx means that the provider is there and has no such call for us. Then one real
        submission is the probe after all: an account that could never prove itself would be lost for ever.
        """
        if not self.wants_balance():
            return
        match answer:
            case Balance(amount=amount, prepaid=prepaid):
                if prepaid and Decimal(amount) <= 0:
                    self._open("balance", by_balance=True)
                else:
                    self._start_slowly()
            case BalanceUnknown(why=why):
                if why == "unreadable" or why.startswith("http_4"):
                    self._by_balance = False
                else:
                    self._open(self.reason or "other", by_balance=True)

    def try_now(self) -> None:
        """The account was changed, by somebody who perhaps mended it: its probe is due."""
        if self._until_s is not None:
            self._until_s = min(self._until_s, self._clock.monotonic_s())

    def _worked(self) -> None:
        if self._until_s is not None:
            self._start_slowly()
        elif self._width is not None:
            self._width *= 2
            if self._width >= self._full:
                self._close()
        else:
            self._remember(failed=False)

    def _was_not_sent(self, retry_after_s: float | None) -> None:
        if self._until_s is not None or self._width is not None:
            # It has just been ill: no second chance.
            self._open(self.reason or "not_sent", by_balance=False, at_least_s=retry_after_s)
            return
        self._remember(failed=True)
        oldest_s = self._clock.monotonic_s() - REMEMBERED_S
        recent = [failed for at_s, failed in self._outcomes if at_s >= oldest_s]
        failures = sum(recent)
        if failures >= FEWEST_FAILURES and failures * 2 >= len(recent):
            self._open("not_sent", by_balance=False, at_least_s=retry_after_s)

    def _remember(self, *, failed: bool) -> None:
        self._outcomes.append((self._clock.monotonic_s(), failed))

    def _open(self, reason: OpenReason, *, by_balance: bool, at_least_s: float | None = None) -> None:
        first_s = BRIEFLY_S if reason in _BUSY else FIRST_S
        wait_s = min(LONGEST_S, max(first_s * 2 ** min(self._in_a_row, 16), at_least_s or 0.0))
        self._until_s = self._clock.monotonic_s() + wait_s * (1 + JITTER * self._entropy.jitter())
        self._in_a_row += 1
        self._by_balance = by_balance
        self.reason = reason
        self.openings += 1
        self._width = None
        self._outcomes.clear()
        self._since_ms = self._clock.now_ms()

    def _start_slowly(self) -> None:
        self._until_s, self._width = None, 1
        self._by_balance = False
        self._since_ms = self._clock.now_ms()

    def _close(self) -> None:
        self._width, self.reason = None, None
        self._in_a_row = 0
        self._since_ms = self._clock.now_ms()
