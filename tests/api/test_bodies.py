"""Bodies: what cannot be read is 400, what breaks the schema is 422 with every pointer, and nothing is ever 5xx."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from litestar.types import HTTPReceiveMessage

from relay.api.bodies import check_json_type, read_body, read_json
from relay.api.inputs import MessageInput
from relay.api.routes.extensions import LeaseInput
from relay.api.schema_errors import errors_of
from relay.api.team_inputs import TeamInput
from relay.domain.errors import BodyInvalid, BodyTooLarge, BodyUnreadable, MediaTypeUnsupported, Refusal

GOOD = {"to": "13800130001", "text": "hello"}


def pointers(body: object) -> dict[str, str]:
    """Pointer -> detail of every error."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(BodyInvalid) as caught:
        read_json(raw, MessageInput)
    return {error.pointer: error.detail for error in caught.value.errors}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"  ",
        b"{",
        b'{"to":"13800130001","text":"x"}x',
        b"\xff\xfe",
        b'{"to":"13800130001","text":"\xff"}',
        b'{"to":"13800130001","text":"\\ud800"}',
        b'{"to":"13800130001","text":"\\udc00 and more"}',
        b'{"to":"13800130001","text":NaN}',
        b'{"to":"13800130001","text":1e999}',
        b'{"to":"13800130001","text":' + b"1" * 5000 + b"}",
        b'{"to":"13800130001","text":"x","text":"y"}',
        b'{"to":"13800130001","text":"x","metadata":{"a":"1","a":"2"}}',
        b"[" * 100_000,
        b'{"to":"13800130001","text":"x","deep":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
        b'{"to":"13800130001","text":"line\nbreak"}',
        b'\xef\xbb\xbf{"to":"13800130001","text":"x"}',
    ],
)
def test_what_is_not_json_is_unreadable(body: bytes) -> None:
    with pytest.raises(BodyUnreadable):
        read_json(body, MessageInput)


def test_every_error_has_its_pointer_and_unknown_fields_are_named_with_the_nearest_known_one() -> None:
    body = {
        "too": "13800130001",
        "text": 5,
        "metadata": {"a/b": 1, "c~d": "fine", "e~f": None},
        "category": "sms",
        "send_at": "2026-01-01T00:00:00",
        "extension": "0101",
        "zzz": 1,
    }

    assert pointers(body) == {
        "/too": "This field is unknown. Did you mean 'to'?",
        "/text": "Expected str, got int.",
        "/metadata/a~1b": "Expected str, got int.",
        "/metadata/e~0f": "Expected str, got null.",
        "/category": "Expected one of otp, notice, marketing.",
        "/send_at": "Expected datetime with a timezone component.",
        "/extension": "Expected 1 to 20 digits, no leading zero.",
        "/zzz": "This field is unknown. Known are to, text, extension, reference, metadata, send_at, expires_at, "
        "category, on_unconfirmed.",
        "/to": "This field is required.",
    }


def test_list_items_are_pointed_at_one_by_one() -> None:
    assert pointers(GOOD | {"to": ["13800130001", 13800130002, None]}) == {
        "/to/1": "Expected str, got int.",
        "/to/2": "Expected str, got null.",
    }


@pytest.mark.parametrize(
    ("field", "value", "pointer"),
    [
        ("to", [], "/to"),
        ("to", ["13800130001"] * 10_001, "/to"),
        ("to", 13800130001, "/to"),
        ("to", {"number": "13800130001"}, "/to"),
        ("text", "", "/text"),
        ("text", "x" * 1001, "/text"),
        ("text", None, "/text"),
        ("extension", "1" * 21, "/extension"),
        ("extension", "12\n", "/extension"),
        ("extension", 12, "/extension"),
        ("reference", "x" * 129, "/reference"),
        ("metadata", {str(number): "" for number in range(21)}, "/metadata"),
        ("metadata", {"k" * 65: "v"}, "/metadata/" + "k" * 65),
        ("metadata", {"k": "v" * 513}, "/metadata/k"),
        ("metadata", ["a"], "/metadata"),
        ("send_at", 1_700_000_000, "/send_at"),
        ("send_at", "tomorrow", "/send_at"),
        ("on_unconfirmed", "retry", "/on_unconfirmed"),
    ],
)
def test_a_value_out_of_range_is_pointed_at(field: str, value: object, pointer: str) -> None:
    assert list(pointers(GOOD | {field: value})) == [pointer]


@pytest.mark.parametrize("body", [[], "text", 1, None, True])
def test_a_body_that_is_no_object_is_wrong_as_a_whole(body: object) -> None:
    assert list(pointers(body)) == [""]


def test_nul_characters_are_refused_wherever_they_are() -> None:
    body = b'{"to":["13800130001","\\u0000"],"text":"a\\u0000b","metadata":{"k":"\\u0000"}}'

    assert set(pointers(body)) == {"/to/1", "/text", "/metadata/k"}


def test_a_backslash_before_u0000_is_an_honest_text() -> None:
    assert read_json(b'{"to":"13800130001","text":"\\\\u0000"}', MessageInput).text == "\\u0000"


def test_no_more_than_a_hundred_errors_are_listed() -> None:
    with pytest.raises(BodyInvalid) as caught:
        read_json(json.dumps(GOOD | {"to": [1] * 9000}).encode(), MessageInput)

    assert len(caught.value.errors) == 100
    assert caught.value.detail == "The body breaks its schema 9000 times; the first 100 are listed."


def test_the_longest_list_of_numbers_is_read() -> None:
    numbers = [f"1380013{number:04}" for number in range(10_000)]

    assert read_json(json.dumps(GOOD | {"to": numbers}).encode(), MessageInput).to == numbers


@given(st.binary())
def test_any_bytes_are_a_message_or_a_refusal(body: bytes) -> None:
    with contextlib.suppress(Refusal):
        read_json(body, MessageInput)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["to", "text", "metadata", "send_at", "x"]), inner),
)


@given(JSON_VALUES)
def test_any_json_is_a_message_or_a_refusal_with_a_pointer(value: object) -> None:
    refusal: Refusal | None = None
    try:
        read_json(json.dumps(value).encode(), MessageInput)
    except (BodyInvalid, BodyUnreadable) as error:
        refusal = error

    assert not isinstance(refusal, BodyInvalid) or refusal.errors


@pytest.mark.parametrize(
    "header", [None, "application/json", "Application/JSON; Charset=UTF-8", 'application/json;charset="utf-8"']
)
def test_json_in_utf_8_is_read(header: str | None) -> None:
    check_json_type(header)


@pytest.mark.parametrize(
    "header",
    ["text/plain", "application/json; charset=gbk", "application/xml", "", "application/x-www-form-urlencoded"],
)
def test_another_media_type_is_refused(header: str) -> None:
    with pytest.raises(MediaTypeUnsupported):
        check_json_type(header)


async def read_parts(parts: list[bytes], content_length: str | None, limit: int) -> bytes:
    """Read a body that comes in these parts; "gone" at the end when the client leaves."""
    queue = list(parts)

    async def receive() -> HTTPReceiveMessage:
        if not queue:
            return {"type": "http.disconnect"}
        part = queue.pop(0)
        return {"type": "http.request", "body": part, "more_body": part != b""}

    return await read_body(receive, content_length, limit)


async def test_a_body_in_parts_is_put_together() -> None:
    assert await read_parts([b"ab", b"cd", b""], None, 4) == b"abcd"


@pytest.mark.parametrize(
    ("parts", "content_length"), [([b"abc", b"de", b""], None), ([], "5"), ([b"abcde", b""], "1"), ([], "9" * 30)]
)
async def test_a_body_over_the_limit_is_too_large_announced_or_not(
    parts: list[bytes], content_length: str | None
) -> None:
    with pytest.raises(BodyTooLarge):
        await read_parts(parts, content_length, 4)


async def test_a_body_that_breaks_off_is_unreadable() -> None:
    with pytest.raises(BodyUnreadable):
        await read_parts([b"ab"], None, 4)


@pytest.mark.parametrize(
    ("value", "kind", "detail"),
    [
        ("甲", TeamInput, "Expected 1 to 30 characters in full-width brackets, like 【示例】."),
        ("acct_1", LeaseInput, "Expected text that matches ^acct_[0-9a-f]{32}$."),
    ],
)
def test_a_pattern_is_told_in_words_or_as_it_is_written(value: str, kind: type[object], detail: str) -> None:
    field = "signature" if kind is TeamInput else "account_id"

    assert detail in [error.detail for error in errors_of({field: value}, kind)]
