"""Callbacks as HTTP requests: the documented JSON object, and every shape that a cousin of the provider uses."""

from collections.abc import Iterator, Sequence
from typing import Final, assert_never
from urllib.parse import urlencode

import msgspec

from relay.provider.sandbox.faults import CallbackShape, Fault, FaultBook
from relay.provider.sandbox.rows import PLAIN, Inbound, Report, Row, RowKind, pushed_row

_PLAIN_FAULT: Final = Fault(call="callback")


class Callback(msgspec.Struct, frozen=True, kw_only=True):
    """One request to a customer, to be made once, ``delay_ms`` from now; the rest is for the ledger."""

    method: str
    url: str
    media_type: str
    body: bytes
    delay_ms: int
    rows_of: RowKind
    account: str
    send_ids: tuple[str, ...]
    mobiles: tuple[str, ...]
    statuses: tuple[str, ...]


def plan_callbacks(
    *, account: str, url: str, kind: RowKind, rows: Sequence[Row], task_ids: Sequence[str], faults: FaultBook
) -> Iterator[Callback]:
    """The callbacks for rows of one send, in order: one per row, unless faults lose, repeat or join rows.

    ``task_ids`` are the names of the send beside the one in the rows, for faults that ask for one.
    """
    position = 0
    while position < len(rows):
        row = rows[position]
        ids = (*task_ids, row.send_id) if isinstance(row, Report) else task_ids
        fault = faults.take_callback(kind, account, (row.mobile,), ids) or _PLAIN_FAULT
        joined = fault.rows if fault.callback in ("json_list", "wrapped_list", "form_json") else 1
        batch = rows[position : position + joined]
        position += len(batch)
        for _ in range(fault.copies):
            yield _write_callback(account, url, kind, batch, fault)


def _write_callback(account: str, url: str, kind: RowKind, rows: Sequence[Row], fault: Fault) -> Callback:
    style = PLAIN if fault is _PLAIN_FAULT else fault.style
    written = [pushed_row(row, style) for row in rows]
    method, query, media_type, body = _shape(written, fault.callback, fault.encoding)
    if query:
        url = f"{url}{'&' if '?' in url else '?'}{query}"
    return Callback(
        method=method,
        url=url,
        media_type=media_type,
        body=body,
        delay_ms=fault.delay_ms,
        rows_of=kind,
        account=account,
        send_ids=tuple(row.send_id for row in rows if isinstance(row, Report)),
        mobiles=tuple(row.mobile for row in rows),
        statuses=tuple(row.status for row in rows if not isinstance(row, Inbound)),
    )


def _shape(rows: list[dict[str, object]], shape: CallbackShape, encoding: str) -> tuple[str, str, str, bytes]:
    """Method, query, media type and body."""
    json_type, form_type = "application/json", "application/x-www-form-urlencoded"
    match shape:
        case "json":
            return "POST", "", json_type, _json(rows[0], encoding)
        case "json_list":
            return "POST", "", json_type, _json(rows, encoding)
        case "wrapped_list":
            return "POST", "", json_type, _json({"list": rows}, encoding)
        case "form":
            return "POST", "", form_type, _form(rows[0], encoding)
        case "form_json":
            return "POST", "", form_type, urlencode({"data": _json(rows, encoding)}).encode()
        case "query":
            return "GET", _form(rows[0], encoding).decode(), "", b""
        case _:
            assert_never(shape)


def _json(value: object, encoding: str) -> bytes:
    written = msgspec.json.encode(value)
    return written if encoding == "utf-8" else written.decode().encode(encoding, "replace")


def _form(row: dict[str, object], encoding: str) -> bytes:
    fields = {name: "" if value is None else str(value) for name, value in row.items()}
    return urlencode(fields, encoding=encoding, errors="replace").encode()
