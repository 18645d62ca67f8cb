"""How long a balance lasts."""

import pytest

from relay.domain.balances import Sample, days_left, is_low
from relay.domain.times import DAY_MS, HOUR_MS

NOW_MS = 30 * DAY_MS


def hourly(*amounts: str) -> list[Sample]:
    """The last one now."""
    return [(NOW_MS - (len(amounts) - 1 - index) * HOUR_MS, amount) for index, amount in enumerate(amounts)]


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        # 10 in 4 hours are 60 a day.
        (hourly("100", "97.5", "95", "92.5", "90"), 1.5),
        # What was paid in is no use, and takes none away.
        (hourly("100", "95", "1095", "1090", "1090"), 18.2),
        ([(NOW_MS - 7 * DAY_MS, "800"), (NOW_MS, "100")], 1.0),
        # Older than a week counts for nothing.
        ([(NOW_MS - 8 * DAY_MS, "99999"), *hourly("100", "97.5", "95", "92.5", "90")], 1.5),
        (hourly("4", "3", "2", "0"), 0.0),
        (hourly("4", "3", "2", "-1.5"), 0.0),
        # An amount that a float could not tell from its neighbour.
        (hourly("100000000000000003", "100000000000000002", "100000000000000001", "100000000000000001"), 36500.0),
        (hourly("0.3", "0.2", "0.1", "0.1"), 0.1),
        ([], None),
        (hourly("100"), None),
        (hourly("100", "50", "25"), None),
        (hourly("100", "100", "100", "100"), None),
        (hourly("100", "200", "300", "400"), None),
    ],
)
def test_a_balance_lasts_as_long_as_it_would_at_the_rate_of_the_last_week(
    samples: list[Sample], expected: float | None
) -> None:
    assert days_left(samples) == expected


@pytest.mark.parametrize(
    ("amount", "threshold", "prepaid", "expected"),
    [
        ("99.9", 100, True, True),
        ("100.1", 100, True, False),
        ("100.00", 100, True, True),
        ("0", 0, True, True),
        ("1", 0, True, False),
        ("0", None, True, False),
        ("-5000", 100, False, False),
    ],
)
def test_only_what_is_paid_before_can_be_low(amount: str, threshold: int | None, prepaid: bool, expected: bool) -> None:
    assert is_low(amount, threshold, prepaid=prepaid) is expected
