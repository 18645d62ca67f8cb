"""A circuit breaker by itself, and what it hears, for tests of it."""

from relay.domain.provider import (
    Accepted,
    Balance,
    NotSent,
    Refused,
    SendOutcome,
    Unconfirmed,
)
from relay.services.breaker import Breaker
from tests.services.stillness import FixedEntropy, StillClock

ACCEPTED = Accepted(task_id=None, code="00", message=None)
NOT_SENT = NotSent(why="connect")
TIMED_OUT = Unconfirmed(why="read_timeout")
NO_MONEY = Refused(code="03", message=None, reason="balance", scope="task")
MONEY = Balance(amount="200", prepaid=True)
FIRST_S = 5.5
"""5 s and half of the fifth that jitter adds."""


def refused(reason: str = "other", scope: str = "account") -> Refused:
    return Refused(code="77", message=None, reason=reason, scope=scope)  # type: ignore[arg-type] # words of the test


class Account:
    """A breaker of an account that is eight wide, and the clock it goes by."""

    def __init__(self, full: int = 8) -> None:
        self.clock = StillClock()
        self.breaker = Breaker(self.clock, FixedEntropy())
        self.breaker.fit(full)

    def hear(self, *outcomes: SendOutcome) -> None:
        """Submissions, one after the other, each begun and ended."""
        for outcome in outcomes:
            self.breaker.learn(self.breaker.begin(), outcome)

    def seen(self) -> tuple[str, int | None]:
        return self.breaker.state(), self.breaker.width()
