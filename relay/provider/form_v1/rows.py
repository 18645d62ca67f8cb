"""From fields to rows: which fields make a report or an inbound message, and how each is read."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Final, Generic, TypeVar

import msgspec

from relay.domain.numbers import read_mask, read_mobile
from relay.domain.provider import InboundRow, ReportRow
from relay.domain.times import to_ms

Row = TypeVar("Row", ReportRow, InboundRow)
Fields = dict[str, object]

# Assumption of provider/contract.md 2, "times": Asia/Shanghai without daylight saving.
_PROVIDER_ZONE: Final = timezone(timedelta(hours=8))
# provider/contract.md 1: "times" is yyyy-MM-dd HH:mm:ss.
_TIMES: Final = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2}) ([0-9]{2}):([0-9]{2}):([0-9]{2})")


class Kind(msgspec.Struct, Generic[Row], frozen=True, kw_only=True):
    """``documented`` names are exact. ``spellings`` are an assumption: the same names in any case, kept here alone."""

    documented: frozenset[str]
    spellings: dict[str, str]
    required: frozenset[str]
    build: Callable[[Fields], Row | None]


def named(item: Fields, documented: frozenset[str], spellings: dict[str, str]) -> tuple[Fields, int]:
    """The known fields under their documented names, and how many others there are. The exact name goes first."""
    fields: Fields = {}
    ignored = 0
    for key, value in item.items():
        if key in documented:
            fields[key] = value
        elif (name := spellings.get(key.lower())) is not None:
            fields.setdefault(name, value)
        else:
            ignored += 1
    return fields, ignored


def text_of(value: object) -> str | None:
    """A scalar as text, numbers as they were written; None for null, true, false, lists and objects.

    NUL and halves of surrogate pairs become U+FFFD: neither can be stored, and a row is not lost for a sign.
    """
    if isinstance(value, str):
        if value.isascii():
            return value.replace("\0", "\ufffd")
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").replace("\0", "\ufffd")
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return None


def read_times(text: str | None) -> int | None:
    """Milliseconds of the provider's time stamp; None when it cannot be read or lies before 1970."""
    found = _TIMES.fullmatch(text.strip()) if text is not None else None
    if found is None:
        return None
    year, month, day, hour, minute, second = map(int, found.groups())
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=_PROVIDER_ZONE)
    except ValueError:
        return None
    ms = to_ms(moment)
    return ms if ms >= 0 else None


def _build_report(fields: Fields) -> ReportRow | None:
    mobile_text, status = text_of(fields["mobile"]), text_of(fields["status"])
    if mobile_text is None or status is None or not mobile_text.strip() or not status.strip():
        return None
    mobile = read_mobile(mobile_text)
    times = text_of(fields.get("times")) or None
    return ReportRow(
        # Opaque: provider/contract.md 2, "taskId alphabet".
        task_id=text_of(fields.get("sendId")) or None,
        mobile_text=mobile_text,
        mobile=mobile,
        mask=read_mask(mobile_text) if mobile is None else None,
        raw_status=status,
        raw_time=times,
        occurred_ms=read_times(times),
    )


def _build_inbound(fields: Fields) -> InboundRow | None:
    mobile_text, content = text_of(fields["mobile"]), fields["content"]
    text = "" if content is None else text_of(content)
    if mobile_text is None or text is None or not mobile_text.strip():
        return None
    mobile = read_mobile(mobile_text)
    times = text_of(fields.get("times")) or None
    return InboundRow(
        mobile_text=mobile_text,
        mobile=mobile,
        mask=read_mask(mobile_text) if mobile is None else None,
        text=text,
        # provider/contract.md 1: extNo is a string, a number or empty.
        extension=(text_of(fields.get("extNo")) or "").strip() or None,
        raw_time=times,
        occurred_ms=read_times(times),
    )


# provider/contract.md 1; the push lacks extNo. Assumption: "taskId" is the other name of "sendId" (seed.zh.txt calls
# them the same), and no name depends on its case.
_REPORT_FIELDS: Final = frozenset({"sendId", "mobile", "times", "status", "extNo"})
_INBOUND_FIELDS: Final = frozenset({"mobile", "content", "times", "extNo"})

REPORTS: Final = Kind(
    documented=_REPORT_FIELDS,
    spellings={name.lower(): name for name in _REPORT_FIELDS} | {"taskid": "sendId"},
    required=frozenset({"mobile", "status"}),
    build=_build_report,
)
INBOUND: Final = Kind(
    documented=_INBOUND_FIELDS,
    spellings={name.lower(): name for name in _INBOUND_FIELDS},
    required=frozenset({"mobile", "content"}),
    build=_build_inbound,
)
