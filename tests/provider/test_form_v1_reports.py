"""Reports: every shape of a pull and of a callback, the document's own broken samples, and how each field is read."""

import json
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import pytest

from relay.domain.provider import Reading, ReportRow
from relay.domain.reports import meaning_of
from relay.provider.form_v1 import FormV1
from tests.provider.form_v1_builders import raw

ADAPTER = FormV1(httpx.AsyncClient(transport=httpx.MockTransport(lambda request: httpx.Response(500))))
TIMES = "2019-04-12 17:57:08"
TIMES_MS = 1_555_063_028_000  # 2019-04-12T09:57:08Z
PUSHED = {"sendId": "b681adb3-fc1a", "mobile": "13800131234", "times": TIMES, "status": "DELIVRD"}
PULLED = PUSHED | {"extNo": ""}


def row(**changes: Any) -> ReportRow:
    fields: dict[str, Any] = {
        "task_id": "b681adb3-fc1a",
        "mobile_text": "13800131234",
        "mobile": 13800131234,
        "mask": None,
        "raw_status": "DELIVRD",
        "raw_time": TIMES,
        "occurred_ms": TIMES_MS,
    }
    return ReportRow(**(fields | changes))


def pushed(*rows: ReportRow, unreadable: int = 0, ignored: int = 0) -> Reading[ReportRow]:
    return Reading(rows=rows, unreadable=unreadable, ignored_fields=ignored)


def pulled(*rows: ReportRow, unreadable: int = 0, ignored: int = 0, code: str = "00") -> Reading[ReportRow]:
    return Reading(rows=rows, unreadable=unreadable, ignored_fields=ignored, code=code)


def compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ([PULLED], pulled(row())),
        ([PULLED, PULLED], pulled(row(), row())),
        (PULLED, pulled(row())),
        ({"list": [PULLED]}, pulled(row())),
        ({"total": 1, "list": [PULLED]}, pulled(row(), ignored=1)),
        ({"a": [PULLED], "b": [PULLED]}, pulled(row(), row())),
        ({"page": {"rows": [PULLED]}}, pulled(row())),
        (compact([PULLED]), pulled(row())),
        (compact({"list": [PULLED]}), pulled(row())),
        (compact(PULLED), pulled(row())),
        ([compact(PULLED)], pulled(row())),
        (None, pulled()),
        ("", pulled()),
        (" ", pulled()),
        ("null", pulled()),
        ("[]", pulled()),
        ([], pulled()),
        ({}, pulled()),
        ({"list": []}, pulled()),
        ([PULLED, {}, PULLED], pulled(row(), row(), unreadable=1)),
        ([PULLED, 7, None, "x", [PULLED]], pulled(row(), unreadable=4)),
        ("no rows today", pulled(unreadable=1)),
        (7, pulled(unreadable=1)),
        ({"total": 0}, pulled(unreadable=1)),
        ([{"list": [PULLED]}], pulled(unreadable=1)),
    ],
)
def test_the_rows_of_a_pull_are_found_in_every_shape_of_data(data: object, expected: Reading[ReportRow]) -> None:
    body = raw({"code": "00", "data": data, "message": "成功"}, "pull")
    assert ADAPTER.read_reports(body) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"code": "00", "message": "成功"}, pulled()),
        ({"code": 0, "data": [PULLED]}, pulled(row(), code="0")),
        ({"code": "0", "data": [PULLED]}, pulled(row(), code="0")),
        ({"Code": "00", "Data": [PULLED]}, pulled(row())),
        ({"code": "00", "data": [PULLED], "trace": "x"}, pulled(row(), ignored=1)),
        ({"code": None, "data": [PULLED]}, pulled(row(), unreadable=1, code="")),
        ({"data": [PULLED]}, pulled(row(), code="")),
        ([PULLED], pulled(row(), code="")),
        ([], pulled(code="")),
        (b"", pulled(unreadable=1, code="")),
        (b"<html>502</html>", pulled(unreadable=1, code="")),
        (b"{}", pulled(unreadable=1, code="")),
        (b"null", pulled(unreadable=1, code="")),
        (b"\xef\xbb\xbf" + compact({"code": "00", "data": [PULLED]}).encode(), pulled(row())),
        (compact({"code": "00", "data": [PULLED], "message": "成功"}).encode("gb18030"), pulled(row())),
        (compact(compact({"code": "00", "data": [PULLED]})), pulled(row())),
    ],
)
def test_the_frame_of_a_pull_is_read_in_every_shape(body: object, expected: Reading[ReportRow]) -> None:
    assert ADAPTER.read_reports(raw(body, "pull")) == expected


@pytest.mark.parametrize("code", ["99", 99, -1, "000", "ERR"])
def test_a_pull_with_a_refusal_code_has_no_rows(code: object) -> None:
    reading = ADAPTER.read_reports(raw({"code": code, "data": [PULLED], "message": "no"}, "pull"))
    assert reading == Reading(rows=(), unreadable=0, ignored_fields=0, code=str(code), refused=True)


DOCUMENTED_PULL = """{
  "code": "00",
"data": {
  [{
    "sendId": "b681adb3-fc1a-422d-80dd-b95cec7be769", //同 taskId
    "status": "DELIVER", // DELIVER 为成功,其他值 为失败
    "times": "2019-04-12 17:57:08",
    "mobile": "135****9831",
    "extNo":""
  }, {
    "sendId": "feebfa40-0680-49a4-8074-2c401432ab25",
    "status": "MBBLACK",
    "times": "2019-04-12 17:57:08",
    "mobile": "136****0014",
    "extNo":""
  }]
}
"message": "成功"
}"""
DOCUMENTED_ROWS = (
    row(
        task_id="b681adb3-fc1a-422d-80dd-b95cec7be769",
        raw_status="DELIVER",
        mobile_text="135****9831",
        mobile=None,
        mask=(135, 9831),
    ),
    row(
        task_id="feebfa40-0680-49a4-8074-2c401432ab25",
        raw_status="MBBLACK",
        mobile_text="136****0014",
        mobile=None,
        mask=(136, 14),
    ),
)


@pytest.mark.parametrize("charset", ["utf-8", "utf-8-sig", "gb18030"])
def test_the_documents_own_broken_sample_of_a_pull_is_read_whole(charset: str) -> None:
    assert ADAPTER.read_reports(raw(DOCUMENTED_PULL.encode(charset), "pull")) == pulled(*DOCUMENTED_ROWS)


def test_the_documents_own_sample_of_a_callback_has_no_values_and_is_unreadable() -> None:
    sample = """{
  "sendId":      "", // 同发送短信 返回的taskId
  "mobile":      "",
  "times":       "", //yyyy-MM-dd HH:mm:ss
  "status":      ""  //  DELIVRD 为成功,其他值 为失败
}"""
    assert ADAPTER.read_reports(raw(sample)) == pushed(unreadable=1)
    filled = sample.replace('"mobile":      ""', '"mobile": "13800131234"').replace('""  //', '"DELIVRD" //')
    assert ADAPTER.read_reports(raw(filled)) == pushed(row(task_id=None, raw_time=None, occurred_ms=None))


@pytest.mark.parametrize(
    ("body", "rows"),
    [
        (DOCUMENTED_PULL[: DOCUMENTED_PULL.index('"MBBLACK"')], DOCUMENTED_ROWS[:1]),
        (DOCUMENTED_PULL[:-2], DOCUMENTED_ROWS),
        (compact({"code": "00", "data": [PULLED, PULLED]})[:-20], (row(),)),
        (compact([PULLED]).replace("]", ",]"), (row(),)),
        (compact(PULLED) + "\n" + compact(PULLED), (row(), row())),
        (compact([PULLED]).replace('"times"', "times"), ()),
        (compact([PULLED, PULLED]).replace('"extNo": ""}, ', '"extNo": ""} '), (row(), row())),
    ],
)
@pytest.mark.parametrize("source", ["push", "pull"])
def test_what_is_broken_beyond_that_keeps_its_whole_rows_and_is_counted(
    body: str, rows: tuple[ReportRow, ...], source: Any
) -> None:
    reading = ADAPTER.read_reports(raw(body, source))
    assert (reading.rows, reading.unreadable > 0, reading.refused) == (rows, True, False)


def test_a_missing_comma_between_two_fields_is_put_back() -> None:
    body = compact(PUSHED).replace('", "status"', '" "status"')
    assert ADAPTER.read_reports(raw(body)) == pushed(row())


def test_marks_of_broken_json_inside_texts_stay_as_they_are() -> None:
    status = '{[ // /* "x": } ]'
    body = compact([PUSHED | {"status": status}]).replace("[{", "{[{").replace("}]", "}]}")
    with pytest.raises(json.JSONDecodeError):
        json.loads(body)
    assert [found.raw_status for found in ADAPTER.read_reports(raw(f'{{"data": {body}}}')).rows] == [status]


FORM = urlencode(PUSHED)


@pytest.mark.parametrize(
    ("body", "query", "expected"),
    [
        (PUSHED, b"", pushed(row())),
        ([PUSHED, PUSHED], b"", pushed(row(), row())),
        ([], b"", pushed()),
        ({"data": [PUSHED]}, b"", pushed(row())),
        ({"reports": [PUSHED], "account": "demo"}, b"", pushed(row(), ignored=1)),
        ({"data": PUSHED}, b"", pushed(row())),
        ({"data": compact([PUSHED])}, b"", pushed(row())),
        (compact(compact(PUSHED)), b"", pushed(row())),
        (FORM, b"", pushed(row())),
        (FORM + "&sign=x", b"", pushed(row(), ignored=1)),
        (FORM + "&status=DELIVRD", b"", pushed(row())),
        (FORM + "&status=REJECTD", b"", pushed(unreadable=1)),
        (urlencode({"data": compact([PUSHED])}), b"", pushed(row())),
        (urlencode({"param": compact(PUSHED), "sign": "x"}), b"", pushed(row(), ignored=1)),
        (quote(compact(PUSHED)), b"", pushed(row())),
        (b"", FORM.encode(), pushed(row())),
        (b" \r\n", FORM.encode(), pushed(row())),
        (b"", urlencode({"data": compact([PUSHED])}).encode(), pushed(row())),
        (b"{}", FORM.encode(), pushed(row(), unreadable=1)),
        (b"", b"", pushed(unreadable=1)),
        (b"", b"ping=1", pushed(unreadable=1)),
        ({}, b"", pushed(unreadable=1)),
        ({"data": None}, b"", pushed(unreadable=1)),
        (b"7", b"", pushed(unreadable=1)),
        (b"hello", b"", pushed(unreadable=1)),
        (b"<xml><mobile>13800131234</mobile></xml>", b"", pushed(unreadable=1)),
        ([PUSHED, {"mobile": "13800131234"}], b"", pushed(row(), unreadable=1)),
    ],
)
def test_the_rows_of_a_callback_are_found_in_every_shape(
    body: object, query: bytes, expected: Reading[ReportRow]
) -> None:
    assert ADAPTER.read_reports(raw(body, query=query)) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        # taskId is opaque
        ({"sendId": "00123"}, {"task_id": "00123"}),
        ({"sendId": "AbC"}, {"task_id": "AbC"}),
        ({"sendId": " a "}, {"task_id": " a "}),
        ({"sendId": 123}, {"task_id": "123"}),
        ({"sendId": 10**40}, {"task_id": "1" + "0" * 40}),
        ({"sendId": 1e30}, {"task_id": "1e+30"}),
        ({"sendId": 1.5}, {"task_id": "1.5"}),
        ({"sendId": ""}, {"task_id": None}),
        ({"sendId": None}, {"task_id": None}),
        ({"sendId": ["x"]}, {"task_id": None}),
        # mobiles
        ({"mobile": 13800131234}, {}),
        ({"mobile": "+8613800131234"}, {"mobile_text": "+8613800131234"}),
        ({"mobile": "8613800131234"}, {"mobile_text": "8613800131234"}),
        ({"mobile": 8613800131234}, {"mobile_text": "8613800131234"}),
        ({"mobile": "008613800131234"}, {"mobile_text": "008613800131234"}),
        ({"mobile": "138****1234"}, {"mobile_text": "138****1234", "mobile": None, "mask": (138, 1234)}),
        ({"mobile": "138****0004"}, {"mobile_text": "138****0004", "mobile": None, "mask": (138, 4)}),
        ({"mobile": "+86138****1234"}, {"mobile_text": "+86138****1234", "mobile": None, "mask": (138, 1234)}),
        ({"mobile": "10086"}, {"mobile_text": "10086", "mobile": None}),
        ({"mobile": "138001312345"}, {"mobile_text": "138001312345", "mobile": None}),
        # times
        ({"times": ""}, {"raw_time": None, "occurred_ms": None}),
        ({"times": None}, {"raw_time": None, "occurred_ms": None}),
        ({"times": 1555063028}, {"raw_time": "1555063028", "occurred_ms": None}),
        ({"times": "2019-04-31 00:00:00"}, {"raw_time": "2019-04-31 00:00:00", "occurred_ms": None}),
        ({"times": "2019-13-01 00:00:00"}, {"raw_time": "2019-13-01 00:00:00", "occurred_ms": None}),
        ({"times": "2019-04-12 24:00:00"}, {"raw_time": "2019-04-12 24:00:00", "occurred_ms": None}),
        ({"times": "0000-00-00 00:00:00"}, {"raw_time": "0000-00-00 00:00:00", "occurred_ms": None}),
        ({"times": "0001-01-01 00:00:00"}, {"raw_time": "0001-01-01 00:00:00", "occurred_ms": None}),
        ({"times": "1970-01-01 08:00:00"}, {"raw_time": "1970-01-01 08:00:00", "occurred_ms": 0}),
        ({"times": "9999-12-31 23:59:59"}, {"raw_time": "9999-12-31 23:59:59", "occurred_ms": 253_402_271_999_000}),
        ({"times": "２０１９-04-12 17:57:08"}, {"raw_time": "２０１９-04-12 17:57:08", "occurred_ms": None}),
        # statuses
        ({"status": 0}, {"raw_status": "0"}),
        ({"status": "DELIVER"}, {"raw_status": "DELIVER"}),
        ({"status": "什么"}, {"raw_status": "什么"}),
        ({"status": "A\0B"}, {"raw_status": "A\ufffdB"}),
    ],
)
def test_each_field_is_read_as_it_may_come(changes: dict[str, Any], expected: dict[str, Any]) -> None:
    assert ADAPTER.read_reports(raw([PULLED | changes])) == pushed(row(**expected))


@pytest.mark.parametrize("missing", ["mobile", "status"])
@pytest.mark.parametrize("value", [None, "", " ", True, [], {}, ["x"], "absent"])
def test_a_row_without_a_mobile_or_a_status_is_unreadable(missing: str, value: object) -> None:
    fields: dict[str, Any] = PULLED | {missing: value}
    if value == "absent":
        del fields[missing]
    assert ADAPTER.read_reports(raw([fields])) == pushed(unreadable=1)


def test_field_names_may_come_in_any_case_and_the_exact_one_goes_first() -> None:
    shouted = {name.upper(): value for name, value in PUSHED.items()}
    assert ADAPTER.read_reports(raw(shouted)) == pushed(row())
    assert ADAPTER.read_reports(raw(PUSHED | {"SENDID": "x", "taskId": "y"})) == pushed(row())
    assert ADAPTER.read_reports(raw({"SENDID": "x"} | PUSHED)) == pushed(row())


def test_half_of_a_surrogate_pair_costs_a_sign_and_not_the_row() -> None:
    body = compact([PUSHED]).replace("DELIVRD", "X\\ud83d")
    assert ADAPTER.read_reports(raw(body)) == pushed(row(raw_status="X\ufffd"))


def test_a_whole_pair_of_escapes_is_one_sign() -> None:
    body = compact([PUSHED]).replace("DELIVRD", "\\ud83d\\ude00")
    assert ADAPTER.read_reports(raw(body)) == pushed(row(raw_status="😀"))


# provider/contract.md 2, "statuses": raw status, what the recipient becomes, why.
STATUSES = [
    *((code, "delivered", None) for code in ["DELIVRD", "DELIVER", "DELIVERED", "SUCCESS", "0"]),
    *((code, "expired", "expired") for code in ["EXPIRED", "TIMEOUT"]),
    *((code, "undelivered", "undeliverable") for code in ["UNDELIV", "DELETED", "MK:0001", "MN:0013", "MI:0055"]),
    *((code, "rejected", "rejected") for code in ["REJECTD", "REJECT", "REJECTE"]),
    *((code, "rejected", "blacklist") for code in ["MBBLACK", "DTBLACK", "BLACK", "DB:0141", "HD:0001", "MA:0001"]),
    *((code, "rejected", "content") for code in ["KEYWORD", "CJ:0007", "CJ:0008", "WHITESMS", "EMSERR"]),
    *((code, "rejected", "signature") for code in ["SIGNERR", "SIGFAIL", "NOSEND"]),
    *((code, "rejected", "frequency") for code in ["DISTURB", "BEYONDM", "BEYONDH", "BEYONDD"]),
    *((code, "undelivered", "routing") for code in ["NOROUTE", "ROUTEERR"]),
    *((code, None, "pending") for code in ["ACCEPTD", "ENROUTE", "UNKNOWN"]),
    *((code, "undelivered", "other") for code in ["CB:0001", "DB:0142", "MA:0002", "1", "00", "什么"]),
]


@pytest.mark.parametrize(("code", "status", "reason"), STATUSES)
def test_every_row_of_the_table_of_statuses_comes_through_a_callback(
    code: str, status: str | None, reason: str | None
) -> None:
    (found,) = ADAPTER.read_reports(raw(PUSHED | {"status": code})).rows
    meaning = meaning_of(found.raw_status)
    assert (found.raw_status, meaning.status, meaning.reason) == (code, status, reason)
