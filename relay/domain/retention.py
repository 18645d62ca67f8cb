"""How long what is stored is kept: the kinds of rows, and before when each kind goes."""

from typing import Final, Literal, assert_never

import msgspec

from relay.domain.times import DAY_MS

RetentionKind = Literal[
    "pending",
    "events",
    "deliveries",
    "attempts",
    "raw",
    "quarantine",
    "content",
    "inbound_content",
    "orphan_content",
    "messages",
    "inbound",
    "orphans",
    "pairs",
    "quota",
]
"""``pending``: deliveries that nobody took, which end as ``expired``. ``*content``: numbers and texts, whose rows stay.
``pairs``: what tells the pushed from the pulled copy of an inbound message. ``quota``: units used per day."""

RETENTION_KINDS: Final[tuple[RetentionKind, ...]] = (
    "pending",
    "events",
    "deliveries",
    "attempts",
    "raw",
    "quarantine",
    "content",
    "inbound_content",
    "orphan_content",
    "messages",
    "inbound",
    "orphans",
    "pairs",
    "quota",
)
"""In the order in which they are taken up: deliveries end before their events go."""

ERASED: Final = "erased"
"""Stands where a number was."""

PENDING_AHEAD_DAYS: Final = 1
"""Decision: a delivery that is still pending ends this long before its event goes, because its history shows what the
event was: so long its team can see that it expired."""
PAIRS_DAYS: Final = 7
"""A pull may bring what was pushed before after days of silence; not after a week."""
QUOTA_DAYS: Final = 400
"""A year's bill can be checked, and the month after."""


class Keeping(msgspec.Struct, frozen=True, kw_only=True):
    """For how many days each is kept; see ``retention_*`` in defaults.toml."""

    content_days: int
    messages_days: int
    events_days: int
    deliveries_days: int
    raw_days: int


def before_ms(kind: RetentionKind, keeping: Keeping, now_ms: int) -> int:
    """What is older than this goes."""
    return now_ms - _days(kind, keeping) * DAY_MS


def _days(kind: RetentionKind, keeping: Keeping) -> int:
    match kind:
        case "pending":
            return keeping.events_days - PENDING_AHEAD_DAYS
        case "events":
            return keeping.events_days
        case "deliveries" | "attempts":
            return keeping.deliveries_days
        case "raw":
            return keeping.raw_days
        case "quarantine" | "content" | "inbound_content" | "orphan_content":
            return keeping.content_days
        case "messages" | "inbound" | "orphans":
            return keeping.messages_days
        case "pairs":
            return PAIRS_DAYS
        case "quota":
            return QUOTA_DAYS
        case _:
            assert_never(kind)
