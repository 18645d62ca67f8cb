"""Small request and response headers: Accept, Prefer, RateLimit, Retry-After, entity tags."""

import math
import re
from typing import Final

from relay.api.exchange import Exchange, Headers

LONGEST_WAIT_S: Final = 30
_DIGITS = re.compile(r"[0-9]{1,9}\Z")


def accepts(header: str | None, media_type: str) -> bool:
    """Whether an answer of ``media_type`` may be sent (RFC 9110, section 12.5.1); no header accepts everything."""
    if header is None or ("*/*" in header and "q=" not in header):
        return True
    kind = media_type.partition("/")[0] + "/*"
    for part in header.lower().split(","):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        refused = any(re.match(r"q=0(\.0*)?\Z", parameter) for parameter in parameters)
        if name in (media_type, kind, "*/*") and not refused:
            return True
    return not header.strip()


def read_wait(header: str | None) -> int | None:
    """Seconds of ``Prefer: wait=N`` (RFC 7240), at most 30; None when there is none that can be read.

    The first ``wait`` counts, quoted or not; everything else in the header is ignored.
    """
    for preference in (header or "").split(","):
        name, _, value = preference.partition(";")[0].partition("=")
        if name.strip().lower() == "wait":
            digits = value.strip().strip('"')
            return min(int(digits), LONGEST_WAIT_S) if _DIGITS.match(digits) else None
    return None


def rate_headers(exchange: Exchange) -> Headers:
    """RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers-10): ``q`` requests per ``w`` seconds, ``r``
    left, ``t`` seconds until there are more. They are those of this replica, which has its part of the team's rate."""
    rate = exchange.rate
    if rate is None:
        return []
    window_s = max(1, math.ceil(rate.period_s))
    return [
        (b"ratelimit-policy", b'"requests";q=%d;w=%d' % (rate.limit, window_s)),
        (b"ratelimit", b'"requests";r=%d;t=%d' % (rate.remaining, math.ceil(rate.reset_s))),
    ]


def matches_tag(header: str | None, tag: str) -> bool:
    """Whether If-None-Match names this entity tag (weak comparison, RFC 9110, section 13.1.2)."""
    if header is None:
        return False
    names = [name.strip().removeprefix("W/") for name in header.split(",")]
    return tag in names or "*" in names
