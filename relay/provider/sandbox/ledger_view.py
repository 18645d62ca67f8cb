"""The ledger as JSON, cut to what was asked for."""

from collections.abc import Sequence
from itertools import islice
from typing import Annotated, TypeVar

import msgspec

from relay.provider.sandbox.ledger import Ledger

_MOST_REPEATS = 100

Entry = TypeVar("Entry")


class LedgerQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``mobile``: only what concerns this number. ``limit`` per list, the newest; 0 leaves the counts alone."""

    mobile: str | None = None
    limit: Annotated[int, msgspec.Meta(ge=0, le=100_000)] = 1000


def view_ledger(ledger: Ledger, query: LedgerQuery, *, pending: int) -> dict[str, object]:
    """Counts of everything, and the newest entries of each list, oldest first. ``pending`` is the courier's."""
    counts: dict[str, object] = {**ledger.counts, "pending": pending, "recipients_held": ledger.recipients_held}
    codes: dict[str, dict[str, int]] = {}
    for (call, code), count in ledger.codes.items():
        codes.setdefault(call, {})[code] = count
    view: dict[str, object] = {"counts": counts, "codes": codes}
    if query.mobile is None:
        view["sends"] = _newest(ledger.sends, query.limit)
        view["callbacks"] = _newest(ledger.callbacks, query.limit)
        view["pulled"] = _newest(ledger.pulled, query.limit)
        view["repeats"] = list(islice(ledger.repeats(), min(query.limit, _MOST_REPEATS)))
    else:
        view["sends"] = _newest(ledger.sends_to(query.mobile), query.limit)
        view["callbacks"] = _newest(ledger.callbacks_to(query.mobile), query.limit)
        view["pulled"] = _newest(ledger.pulled_of(query.mobile), query.limit)
        view["repeats"] = [repeat for repeat in ledger.repeats() if repeat.mobile == query.mobile]
    view["duplicates"] = _newest(ledger.duplicates, query.limit)
    return view


def _newest(entries: Sequence[Entry], limit: int) -> list[Entry]:
    return list(islice(entries, max(0, len(entries) - limit), None))
