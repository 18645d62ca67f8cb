"""Answers as bytes: the documented form, and the shapes that undocumented providers of this kind use."""

from typing import assert_never

import msgspec

from relay.provider.sandbox.codes import MESSAGES, Code
from relay.provider.sandbox.faults import DataShape, Fault

_encode = msgspec.json.Encoder().encode

HTML_PAGE = b"<html><head><title>502 Bad Gateway</title></head><body><center>nginx</center></body></html>"


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a call answers before it is written: ``data`` is an object, a list of rows, or null after a refusal."""

    code: Code
    data: object
    message: str


def success(data: object) -> Answer:
    """Code 00."""
    return Answer(code=Code.SUCCESS, data=data, message=MESSAGES[Code.SUCCESS])


def refusal(code: Code) -> Answer:
    """A definite answer that is not success."""
    return Answer(code=code, data=None, message=MESSAGES[code])


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """An HTTP answer; ``headers`` come beside content-type and content-length."""

    status: int
    media_type: str
    headers: dict[str, str]
    body: bytes


def write_reply(answer: Answer | None, fault: Fault | None) -> Reply:
    """The answer as HTTP, bent by the fault; ``answer`` is None if the fault kept the call from being carried out."""
    if fault is None:
        return Reply(status=200, media_type="application/json", headers={}, body=_encode(answer))
    if fault.status is not None and fault.status != 200 and fault.body is None and fault.refuse is None:
        return Reply(status=fault.status, media_type="text/html", headers=fault.headers, body=HTML_PAGE)
    media_type = "text/html" if fault.body == "html" else "application/json"
    return Reply(
        status=fault.status or 200, media_type=media_type, headers=fault.headers, body=_write_body(answer, fault)
    )


def _write_body(answer: Answer | None, fault: Fault) -> bytes:
    match fault.body:
        case "empty":
            return b""
        case "html":
            return HTML_PAGE
        case "broken_json":
            return b'{"code":"00","data":{[{"sendId":'  # as broken as the provider's own samples
        case None:
            pass
        case _:
            assert_never(fault.body)
    if fault.refuse is not None:
        return _encode({"code": fault.refuse.code, "data": None, "message": fault.refuse.message})
    if answer is None:
        answer = success(None)
    written: dict[str, object] = {"code": answer.code, "data": answer.data, "message": answer.message}
    if answer.code is Code.SUCCESS:
        if fault.code is not None:
            written["code"] = fault.code
        if fault.data == "missing":
            del written["data"]
        elif fault.data is not None:
            written["data"] = _shape(answer.data, fault.data)
    return _encode(written)


def rows_in(shape: DataShape | None, most: int) -> int:
    """How many rows an answer of this shape can carry: the pull drains no more than that."""
    match shape:
        case None | "list" | "wrapped_list" | "json_text":
            return most
        case "object":
            return 1
        case "null" | "empty_text" | "missing":
            return 0
        case _:
            assert_never(shape)


def _shape(data: object, shape: DataShape) -> object:
    rows = data if isinstance(data, list) else [data]
    match shape:
        case "list":
            return rows
        case "object":
            return rows[0] if rows else {}
        case "wrapped_list":
            return {"list": rows}
        case "json_text":
            return _encode(rows).decode()
        case "null" | "missing":
            return None
        case "empty_text":
            return ""
        case _:
            assert_never(shape)
