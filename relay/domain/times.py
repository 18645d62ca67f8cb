"""Times: integer milliseconds since 1970 UTC inside, RFC 3339 with ``Z`` outside."""

from datetime import UTC, datetime, timedelta
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
LATEST_MS: Final = 253_402_300_799_999
"""9999-12-31T23:59:59.999Z: later instants cannot be written as RFC 3339."""

SECOND_MS: Final = 1000
MINUTE_MS: Final = 60 * SECOND_MS
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS


def instant(ms: int) -> datetime:
    """The aware UTC datetime of ``ms``."""
    return _EPOCH + ms * _MILLISECOND


def instant_or_none(ms: int | None) -> datetime | None:
    """Like ``instant``; None stays None."""
    return None if ms is None else _EPOCH + ms * _MILLISECOND


def to_ms(moment: datetime) -> int:
    """Milliseconds of an aware datetime, rounded down."""
    return (moment - _EPOCH) // _MILLISECOND


def ms_or_none(moment: datetime | None) -> int | None:
    """Like ``to_ms``; None stays None."""
    return None if moment is None else to_ms(moment)
