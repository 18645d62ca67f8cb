"""The rules of one webhook attempt: what follows from its answer, and which headers a team may add to it."""

import re
from datetime import UTC, datetime
from typing import Final

import msgspec

from relay.domain.endpoints import AttemptOutcome
from relay.domain.errors import Exhausted
from relay.domain.retry import delivery_delay_ms
from relay.domain.times import DAY_MS, SECOND_MS, to_ms

LONGEST_RETRY_AFTER_S: Final = DAY_MS / SECOND_MS
"""A receiver that asks for more gets this: 24 h, the longest step of the schedule."""

_PAUSING: Final = frozenset({429, 503})


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What one attempt did to its delivery. ``next_due_ms`` only with outcome ``retry``; ``pause_until_ms`` pauses the
    whole endpoint, also when this delivery is exhausted."""

    outcome: AttemptOutcome
    next_due_ms: int | None
    pause_until_ms: int | None


def judge(status: int | None, retry_after_s: float | None, *, attempt: int, now_ms: int, jitter: float) -> Verdict:
    """What follows from attempt ``attempt`` (from 1) that ended at ``now_ms`` with ``status`` (None: no answer came).

    2xx is delivered; 410 is gone; everything else, redirects too, is tried again on the schedule until it is exhausted.
    429 and 503 with ``retry_after_s`` also pause the endpoint, and the retry is not due before the pause ends.
    Source: Standard Webhooks 1.0.0, "Deliverability and reliability".
    """
    if status is not None and 200 <= status <= 299:
        return Verdict(outcome="delivered", next_due_ms=None, pause_until_ms=None)
    if status == 410:
        return Verdict(outcome="gone", next_due_ms=None, pause_until_ms=None)
    pause_until_ms = None
    if status in _PAUSING and retry_after_s is not None and retry_after_s > 0:
        pause_until_ms = now_ms + int(min(retry_after_s, LONGEST_RETRY_AFTER_S) * SECOND_MS)
    try:
        due_ms = now_ms + delivery_delay_ms(attempt, jitter)
    except Exhausted:
        return Verdict(outcome="exhausted", next_due_ms=None, pause_until_ms=pause_until_ms)
    return Verdict(outcome="retry", next_due_ms=max(due_ms, pause_until_ms or 0), pause_until_ms=pause_until_ms)


# RFC 9110 5.6.7: IMF-fixdate, and the two obsolete forms that a recipient has to accept.
_DATE_FORMS: Final = ("%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y")
_DIGITS: Final = re.compile(r"[0-9]+\Z")
_LONGEST_DIGITS: Final = 9
_LONGEST_DATE: Final = 40


def read_retry_after(value: str | None, now_ms: int) -> float | None:
    """Seconds from ``now_ms`` that a Retry-After header asks for, either form, at most 24 h.

    None when it is absent, cannot be read, or names a time that has passed. Source: RFC 9110 10.2.3.
    """
    text = "" if value is None else value.strip(" \t")
    if _DIGITS.match(text):
        # int() refuses more than 4300 digits with an error of its own.
        return LONGEST_RETRY_AFTER_S if len(text) > _LONGEST_DIGITS else min(float(text), LONGEST_RETRY_AFTER_S)
    moment = _read_date(text)
    if moment is None:
        return None
    seconds = (to_ms(moment) - now_ms) / SECOND_MS
    return min(seconds, LONGEST_RETRY_AFTER_S) if seconds >= 0 else None


def _read_date(text: str) -> datetime | None:
    if not text.isascii() or len(text) > _LONGEST_DATE:
        return None
    for form in _DATE_FORMS:
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
    return None


LONGEST_HEADER: Final = 4096
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}\Z")
_VISIBLE: Final = re.compile(r"[!-~](?:[ \t!-~]*[!-~])?\Z|\Z")
_OURS: Final = frozenset(
    {"accept", "accept-encoding", "content-encoding", "content-length", "content-type", "host", "user-agent"}
)
# RFC 9110 7.6.1 and RFC 9112: they say where a message ends or who keeps the connection, which is the transport's.
_FRAMING: Final = frozenset(
    {"connection", "expect", "keep-alive", "proxy-authorization", "proxy-connection", "te", "trailer"}
    | {"transfer-encoding", "upgrade"}
)


def header_fault(name: str, value: str) -> str | None:
    """Why a team may not add this header to its webhooks; None when it may.

    Ours (``webhook-*``, content-type, user-agent …) and those of the connection cannot be set, and a value is visible
    ASCII of at most 4096 characters: no line break can smuggle a second header in.
    """
    lower = name.lower()
    if not _TOKEN.match(name):
        return "is not a header name"
    if lower in _OURS or lower in _FRAMING or lower.startswith("webhook-"):
        return "is set by the gateway"
    if len(value) > LONGEST_HEADER or not _VISIBLE.match(value):
        return f"must be at most {LONGEST_HEADER} visible ASCII characters, without blanks around them"
    return None
