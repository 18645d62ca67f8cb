"""What a raw delivery status means. The provider's statuses are an open set: never an enum."""

from typing import Final, Literal

import msgspec

from relay.domain.states import RecipientStatus

ReportClass = Literal[
    "delivered",
    "expired",
    "undeliverable",
    "rejected",
    "blacklist",
    "content",
    "signature",
    "frequency",
    "routing",
    "pending",
    "other",
]


class Meaning(msgspec.Struct, frozen=True, kw_only=True):
    """``status``: what the recipient becomes, None when the report is not final. ``reason``: None for delivered."""

    status: RecipientStatus | None
    reason: ReportClass | None


_STATUS_OF: Final[dict[ReportClass, RecipientStatus | None]] = {
    "delivered": "delivered",
    "expired": "expired",
    "undeliverable": "undelivered",
    "routing": "undelivered",
    "other": "undelivered",
    "rejected": "rejected",
    "blacklist": "rejected",
    "content": "rejected",
    "signature": "rejected",
    "frequency": "rejected",
    "pending": None,
}

# Documented: DELIVRD (push) and DELIVER (pull) are success, anything else is failure.
# Assumed (provider contract, section 2, "statuses"): the finer classes.
_CLASSES: Final[dict[ReportClass, str]] = {
    "delivered": "DELIVRD DELIVER DELIVERED SUCCESS 0",
    "expired": "EXPIRED TIMEOUT",
    "undeliverable": "UNDELIV DELETED",
    "rejected": "REJECTD REJECT REJECTE",
    "blacklist": "MBBLACK DTBLACK BLACK DB:0141 HD:0001 MA:0001",
    "content": "KEYWORD CJ:0007 CJ:0008 WHITESMS EMSERR",
    "signature": "SIGNERR SIGFAIL NOSEND",
    "frequency": "DISTURB BEYONDM BEYONDH BEYONDD",
    "routing": "NOROUTE ROUTEERR",
    "pending": "ACCEPTD ENROUTE UNKNOWN",
}
_CLASS_OF: Final[dict[str, ReportClass]] = {code: name for name, codes in _CLASSES.items() for code in codes.split()}
_PREFIXES: Final[tuple[tuple[str, ReportClass], ...]] = (
    ("MK:", "undeliverable"),
    ("MN:", "undeliverable"),
    ("MI:", "undeliverable"),
)


def classify(raw_status: str) -> ReportClass:
    """The class of a raw status, without regard to case and surrounding blanks; ``other`` for what is not listed."""
    code = raw_status.strip().upper()
    found = _CLASS_OF.get(code)
    if found is not None:
        return found
    for prefix, name in _PREFIXES:
        if code.startswith(prefix):
            return name
    return "other"


def meaning_of(raw_status: str) -> Meaning:
    """What a raw status does to the recipient that it names."""
    name = classify(raw_status)
    status = _STATUS_OF[name]
    return Meaning(status=status, reason=None if name == "delivered" else name)
