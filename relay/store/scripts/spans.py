"""The spans of time by which recipients are found by their number (recipients_by_span).

Decision: the index begins with the time, in steps of 4.7 hours, and not with the number. Numbers come in no order, so
in an index of numbers alone every one of 3,000 recipients falls on a page of its own once there are millions: that cost
3.6 times as much at 5,000,000 recipients as at 50,000. In the current span they share the few pages that are being
filled anyhow. Whoever looks asks for a time, and looks once for each span of it: 16 for three days.
"""

from typing import Final

import msgspec

from relay.domain.ids import id_ms
from relay.domain.times import MINUTE_MS
from relay.store.script import Db, Script

_BITS: Final = 24
SKEW_MS: Final = MINUTE_MS
"""So far may the clock of another replica be ahead."""


def spans(since_ms: int, until_ms: int) -> str:
    """All from ``since_ms`` to ``until_ms``: a JSON list of the hex digits that the ids of each begin with, which are
    the upper 24 of the 48 bits of their time."""
    first, last = max(0, since_ms) >> _BITS, (until_ms + SKEW_MS) >> _BITS
    return msgspec.json.encode([f"{span:06x}" for span in range(first, last + 1)]).decode()


def all_spans(db: Db) -> Script[str]:
    """All in which a message was accepted."""
    ends = yield from db.row("messages.ends")
    if ends is None or ends[0] is None:
        return "[]"
    return spans(id_ms(bytes(ends[0])), id_ms(bytes(ends[1])))
