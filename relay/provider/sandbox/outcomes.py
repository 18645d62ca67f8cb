"""What becomes of a number: decided by its last four digits."""

import re
from typing import Final

import msgspec

DELIVERED: Final = "DELIVRD"
DELIVERED_ON_PULL: Final = "DELIVER"  # provider/contract.md 1: success is spelled otherwise on pull
HELD_ENDING: Final = "0005"
EARLY_ENDING: Final = "0007"

_MOBILE = re.compile(r"1[3-9][0-9]{9}")
_MOBILES = re.compile(r"1[3-9][0-9]{9}(?:,1[3-9][0-9]{9})*")


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a number ends: the status of its report, and how many times the report comes (0 = never)."""

    status: str
    reports: int


_DELIVERED = Outcome(status=DELIVERED, reports=1)
_MALFORMED = Outcome(status="REJECTD", reports=1)

OUTCOMES: Final[dict[str, Outcome]] = {
    "0001": _DELIVERED,
    "0002": Outcome(status="UNDELIV", reports=1),
    "0003": Outcome(status="EXPIRED", reports=1),
    "0004": Outcome(status=DELIVERED, reports=0),
    HELD_ENDING: _DELIVERED,  # and the answer of the send never comes
    "0006": Outcome(status="MBBLACK", reports=1),
    EARLY_ENDING: _DELIVERED,  # and the report comes before the answer of the send
    "0008": Outcome(status=DELIVERED, reports=2),
}


def outcome_of(mobile: str) -> Outcome:
    """The outcome that the last four digits name; delivered for every other number; REJECTD for what is no mobile.

    # provider/contract.md 2: a "00" covers the batch; single bad numbers come as status reports.
    """
    if _MOBILE.fullmatch(mobile) is None:
        return _MALFORMED
    return OUTCOMES.get(mobile[-4:], _DELIVERED)


def any_sendable(mobiles: str) -> bool:
    """Whether a comma separated list holds at least one 11-digit mobile number."""
    if _MOBILES.fullmatch(mobiles) is not None:
        return True
    return any(_MOBILE.fullmatch(mobile) is not None for mobile in mobiles.split(","))
