"""The states of a recipient and of a message, and what follows what."""

from typing import Final, Literal

RecipientStatus = Literal[
    "scheduled",
    "queued",
    "submitting",
    "submitted",
    "unconfirmed",
    "delivered",
    "undelivered",
    "expired",
    "rejected",
    "no_report",
    "canceled",
    "failed",
]
MessageStatus = Literal[RecipientStatus, "completed"]
Category = Literal["otp", "notice", "marketing"]
OnUnconfirmed = Literal["hold", "resend", "fail"]
ReportSource = Literal["push", "pull", "sweep"]

STATUSES: Final[tuple[RecipientStatus, ...]] = (
    "scheduled",
    "queued",
    "submitting",
    "submitted",
    "unconfirmed",
    "delivered",
    "undelivered",
    "expired",
    "rejected",
    "no_report",
    "canceled",
    "failed",
)
"""Every status, in a fixed order: the store counts them in columns of these names."""

FINAL: Final[frozenset[RecipientStatus]] = frozenset(
    {"delivered", "undelivered", "expired", "rejected", "no_report", "canceled", "failed"}
)
WAITING: Final[frozenset[RecipientStatus]] = frozenset({"scheduled", "queued"})
UPGRADABLE: Final[frozenset[RecipientStatus]] = frozenset(
    {"queued", "submitting", "submitted", "unconfirmed", "no_report"}
)
"""States that a report may still change. ``queued`` is one of them: a submission that was tried and is to be tried
again may, against all evidence, have reached the provider, and the report is the proof."""

PRIORITY: Final[dict[Category, int]] = {"otp": 0, "notice": 1, "marketing": 2}
"""Lower goes first."""

_UNFINISHED_ORDER: Final[tuple[RecipientStatus, ...]] = (
    "scheduled",
    "queued",
    "submitting",
    "unconfirmed",
    "submitted",
)


def message_status(counts: dict[RecipientStatus, int]) -> MessageStatus:
    """The one word for a message: its least advanced recipient while one is not final, then the status that all share,
    or ``completed`` when finals differ. ``counts`` holds recipients per status; zero counts may be left out."""
    for status in _UNFINISHED_ORDER:
        if counts.get(status, 0):
            return status
    finals = [status for status in STATUSES if counts.get(status, 0)]
    return finals[0] if len(finals) == 1 else "completed"
