"""When the next try is due. Times in milliseconds; ``jitter`` is a random number in 0..1 that the caller draws."""

from typing import Final

from relay.domain.errors import Exhausted

DELIVERY_SCHEDULE_MS: Final[tuple[int, ...]] = tuple(
    seconds * 1000 for seconds in (5, 30, 120, 600, 1800, 3600, 7200, 14400, 28800, 43200, 86400, 86400)
)
"""5 s, 30 s, 2 m, 10 m, 30 m, 1 h, 2 h, 4 h, 8 h, 12 h, 24 h, 24 h: thirteen attempts over about four days.
Source: Standard Webhooks 1.0.0, "Deliverability and reliability", stretched to outlast a weekend."""

JITTER: Final = 0.2
SUBMIT_FIRST_MS: Final = 500
SUBMIT_LONGEST_MS: Final = 60_000


def delivery_delay_ms(attempt: int, jitter: float) -> int:
    """Milliseconds from the end of failed attempt ``attempt`` (from 1) to the next one: schedule plus 0..20 % of it.

    Raises Exhausted when attempt ``attempt`` was the last.
    """
    if attempt > len(DELIVERY_SCHEDULE_MS):
        raise Exhausted(attempt)
    base = DELIVERY_SCHEDULE_MS[attempt - 1]
    return base + int(base * JITTER * jitter)


def submit_delay_ms(attempt: int, jitter: float) -> int:
    """Milliseconds until a submission that provably was not sent is tried again: 0.5 s doubled per attempt (from 1),
    at most 60 s, plus 0..20 %. There is no last attempt: the message's ``expires_at`` ends it."""
    base = min(SUBMIT_LONGEST_MS, SUBMIT_FIRST_MS << min(attempt - 1, 16))
    return base + int(base * JITTER * jitter)
