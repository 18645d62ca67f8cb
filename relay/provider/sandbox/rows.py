"""The rows of reports and inbound messages, and every odd way in which a provider may write them."""

from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import Final, Literal, assert_never

import msgspec

from relay.provider.sandbox.outcomes import DELIVERED, DELIVERED_ON_PULL

SHANGHAI: Final = timezone(timedelta(hours=8))  # provider/contract.md 2: `times` is fixed +08:00

_EXACT_DIGITS: Final = 15

RowKind = Literal["report", "mo"]
NumberPrefix = Literal["+86", "86", "0086"]
TimesFormat = Literal["iso", "slashes", "compact", "epoch_s", "epoch_ms", "empty", "null", "garbage", "missing"]


class RowStyle(msgspec.Struct, frozen=True, kw_only=True):
    """How a row departs from the document; the defaults do not."""

    mask: bool = False
    prefix: NumberPrefix | None = None
    times: TimesFormat | None = None


class Report(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One status report. ``times`` is what is written instead of the formatted ``at_s`` (epoch seconds), if given."""

    send_id: str
    mobile: str
    status: str
    ext_no: str
    at_s: float
    times: str | None


class Inbound(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One message from a mobile. ``ext_no`` is the port that it was sent to, the account's base port included."""

    mobile: str
    content: str
    ext_no: str
    at_s: float
    times: str | None


Row = Report | Inbound

PLAIN: Final = RowStyle()


def pushed_row(row: Row, style: RowStyle) -> dict[str, object]:
    """The row as a callback carries it: a report without `extNo`, an inbound message with `extNo` as a string."""
    match row:
        case Report():
            written: dict[str, object] = {"sendId": row.send_id, "mobile": row.mobile, "status": row.status}
        case Inbound():
            written = {"mobile": row.mobile, "content": row.content, "extNo": row.ext_no}
        case _:
            assert_never(row)
    return _styled(written, row, style)


def pulled_row(row: Row, style: RowStyle) -> dict[str, object]:
    """The row as /report and /mo answer it: success spelled DELIVER, `extNo` of an inbound message as a number."""
    match row:
        case Report():
            status = DELIVERED_ON_PULL if row.status == DELIVERED else row.status
            written: dict[str, object] = {
                "sendId": row.send_id,
                "status": status,
                "mobile": row.mobile,
                "extNo": row.ext_no,
            }
        case Inbound():
            written = {"mobile": row.mobile, "content": row.content, "extNo": _as_number(row.ext_no)}
        case _:
            assert_never(row)
    return _styled(written, row, style)


def _styled(written: dict[str, object], row: Row, style: RowStyle) -> dict[str, object]:
    mobile = f"{row.mobile[:3]}****{row.mobile[-4:]}" if style.mask else row.mobile
    written["mobile"] = f"{style.prefix}{mobile}" if style.prefix else mobile
    if style.times != "missing":
        written["times"] = row.times if row.times is not None else _times(row.at_s, style.times)
    return written


def _as_number(ext_no: str) -> object:
    # The document's sample has a number (10). Past 15 digits a JSON number is not exact everywhere, and a leading zero
    # cannot be written: then a string, as the push sample has it.
    if ext_no.isdecimal() and not ext_no.startswith("0") and len(ext_no) <= _EXACT_DIGITS:
        return int(ext_no)
    return ext_no


def _times(at_s: float, style: TimesFormat | None) -> object:
    match style:
        case None:
            return format_times(int(at_s))
        case "iso":
            return datetime.fromtimestamp(int(at_s), SHANGHAI).isoformat()
        case "slashes":
            return datetime.fromtimestamp(int(at_s), SHANGHAI).strftime("%Y/%m/%d %H:%M:%S")
        case "compact":
            return datetime.fromtimestamp(int(at_s), SHANGHAI).strftime("%Y%m%d%H%M%S")
        case "epoch_s":
            return int(at_s)
        case "epoch_ms":
            return int(at_s * 1000)
        case "empty":
            return ""
        case "null" | "missing":
            return None
        case "garbage":
            return "昨天下午"
        case _:
            assert_never(style)


@lru_cache(maxsize=64)
def format_times(at_s: int) -> str:
    """`yyyy-MM-dd HH:mm:ss` in +08:00.  # provider/contract.md 1"""
    return datetime.fromtimestamp(at_s, SHANGHAI).strftime("%Y-%m-%d %H:%M:%S")
