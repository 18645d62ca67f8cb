"""Inbound messages: the same shapes as reports, with texts and extensions."""

import json
from typing import Any
from urllib.parse import quote_plus, urlencode

import httpx
import pytest

from relay.domain.provider import InboundRow, Reading
from relay.provider.form_v1 import FormV1
from tests.provider.form_v1_builders import raw

ADAPTER = FormV1(httpx.AsyncClient(transport=httpx.MockTransport(lambda request: httpx.Response(500))))
TIMES = "2019-04-12 17:57:08"
PUSHED = {"mobile": "13800131234", "content": "端午节快乐", "times": TIMES, "extNo": "10"}


def row(**changes: Any) -> InboundRow:
    fields: dict[str, Any] = {
        "mobile_text": "13800131234",
        "mobile": 13800131234,
        "mask": None,
        "text": "端午节快乐",
        "extension": "10",
        "raw_time": TIMES,
        "occurred_ms": 1_555_063_028_000,
    }
    return InboundRow(**(fields | changes))


def pushed(*rows: InboundRow, unreadable: int = 0) -> Reading[InboundRow]:
    return Reading(rows=rows, unreadable=unreadable, ignored_fields=0)


DOCUMENTED_PULL = """{
  "code": "00",
  "data": {
    [{
      "mobile": "138****1234",

        "content": "端午节快乐",
        "times": "2019-04-12 17:57:08",
        "extNo": 10
    },
    {
        "mobile": "139****1234",
        "content": "端午节快乐",
        "times": "2019-04-12 17:57:08",
        "extNo": 10
    }
]
}
"message": "成功"
}"""


@pytest.mark.parametrize("charset", ["utf-8", "gb18030"])
def test_the_documents_own_broken_sample_of_a_pull_is_read_whole(charset: str) -> None:
    expected = (
        row(mobile_text="138****1234", mobile=None, mask=(138, 1234)),
        row(mobile_text="139****1234", mobile=None, mask=(139, 1234)),
    )
    reading = ADAPTER.read_inbound(raw(DOCUMENTED_PULL.encode(charset), "pull", "mo"))
    assert reading == Reading(rows=expected, unreadable=0, ignored_fields=0, code="00")


def test_the_documents_own_sample_of_a_callback_is_read() -> None:
    sample = """{
  "mobile":      "139",
  "content":     "", //上行内容
"times":  "", //yyyy-MM-dd HH:mm:ss
"extNo":   "" // 扩展号
}"""
    expected = row(mobile_text="139", mobile=None, text="", extension=None, raw_time=None, occurred_ms=None)
    assert ADAPTER.read_inbound(raw(sample, kind="mo")) == pushed(expected)


GBK_FORM = "&".join(f"{name}={quote_plus(value.encode('gb18030'))}" for name, value in PUSHED.items())


@pytest.mark.parametrize(
    "body",
    [
        PUSHED,
        [PUSHED],
        {"list": [PUSHED]},
        {"moList": json.dumps([PUSHED])},
        urlencode(PUSHED),
        GBK_FORM,
        "&".join(f"{name}={value}" for name, value in PUSHED.items()).encode("gb18030"),
        urlencode({"data": json.dumps([PUSHED], ensure_ascii=False)}),
        json.dumps(PUSHED, ensure_ascii=False).encode("gb18030"),
        json.dumps(PUSHED, ensure_ascii=False).encode("utf-8-sig"),
        json.dumps(PUSHED),
    ],
)
def test_a_callback_is_read_in_every_shape_and_charset(body: object) -> None:
    assert ADAPTER.read_inbound(raw(body, kind="mo")) == pushed(row())


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"extNo": 10}, {}),
        ({"extNo": " 10 "}, {}),
        ({"extNo": 0}, {"extension": "0"}),
        ({"extNo": "1069010"}, {"extension": "1069010"}),
        ({"extNo": ""}, {"extension": None}),
        ({"extNo": None}, {"extension": None}),
        ({"content": ""}, {"text": ""}),
        ({"content": None}, {"text": ""}),
        ({"content": 1}, {"text": "1"}),
        ({"content": " T D\r\n"}, {"text": " T D\r\n"}),
        ({"content": "[回复] TD"}, {"text": "[回复] TD"}),
        ({"content": '{"a": 1}'}, {"text": '{"a": 1}'}),
        ({"content": "😀\0"}, {"text": "😀\ufffd"}),
    ],
)
@pytest.mark.parametrize("form", [True, False])
def test_each_field_is_read_as_it_may_come(changes: dict[str, Any], expected: dict[str, Any], form: bool) -> None:
    fields = PUSHED | changes
    if form:
        body: object = urlencode({name: "" if value is None else value for name, value in fields.items()})
    else:
        body = fields
    assert ADAPTER.read_inbound(raw(body, kind="mo")) == pushed(row(**expected))


@pytest.mark.parametrize("fields", [{"mobile": "", "content": "x"}, {"mobile": "13800131234"}, {"content": "x"},
                                    {"mobile": "13800131234", "content": ["x"]}])  # fmt: skip
def test_a_message_without_a_mobile_or_a_text_is_unreadable(fields: dict[str, Any]) -> None:
    assert ADAPTER.read_inbound(raw([fields], kind="mo")) == pushed(unreadable=1)


def test_a_raw_line_break_in_a_text_costs_nothing() -> None:
    body = json.dumps(PUSHED, ensure_ascii=False).replace("端午", "端\n午")
    assert ADAPTER.read_inbound(raw(body, kind="mo")) == pushed(row(text="端\n午节快乐"))


@pytest.mark.parametrize("text", ["端午节快乐", "短信", "中", "签名😀"])
def test_a_body_cut_anywhere_stays_utf_8(text: str) -> None:
    whole = json.dumps([PUSHED | {"content": text}, PUSHED | {"content": "余" + text}], ensure_ascii=False).encode()
    first = whole.index(b"}") + 1
    for end in range(first, len(whole) - 2):
        assert ADAPTER.read_inbound(raw(whole[:end], kind="mo")) == pushed(row(text=text), unreadable=1)
