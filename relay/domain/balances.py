"""How long a balance lasts at the recent rate."""

from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Final

from relay.domain.times import DAY_MS, HOUR_MS, MINUTE_MS

SAMPLE_EVERY_MS: Final = 10 * MINUTE_MS
"""One balance is kept in so much time."""
RATE_OVER_MS: Final = 7 * DAY_MS
"""The recent rate is that of a week: it has every kind of day in it."""
KEEP_SAMPLES_MS: Final = RATE_OVER_MS + DAY_MS
SHORTEST_MS: Final = 3 * HOUR_MS
"""What was used in less time says nothing about a day."""
_TENTH: Final = Decimal("0.1")
_MOST_DAYS: Final = Decimal(36_500)

Sample = tuple[int, str]
"""When, in milliseconds, and the amount, a decimal number as text."""


def days_left(samples: Sequence[Sample]) -> float | None:
    """Days, in tenths, until nothing is left of the last sample's amount, at the rate of the week before it.

    The rate is the sum of all decreases by the time from the first sample to the last; increases are payments, and
    count for nothing. ``samples``: oldest first. None when they span less than ``SHORTEST_MS``, or nothing was used.
    At most a hundred years.
    """
    recent = [sample for sample in samples if sample[0] >= samples[-1][0] - RATE_OVER_MS]
    span_ms = recent[-1][0] - recent[0][0] if recent else 0
    if span_ms < SHORTEST_MS:
        return None
    amounts = [Decimal(amount) for _, amount in recent]
    used = sum(before - after for before, after in pairwise(amounts) if before > after)
    if not used:
        return None
    left = max(Decimal(0), amounts[-1])
    return float(min(left * span_ms / (used * DAY_MS), _MOST_DAYS).quantize(_TENTH))


def is_low(amount: str, threshold: int | None, *, prepaid: bool) -> bool:
    """Whether people must be told: at the threshold already, so that 0 says when all is used up. What is paid
    afterwards is never low."""
    return prepaid and threshold is not None and Decimal(amount) <= threshold
