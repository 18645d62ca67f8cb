import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
import structlog

from relay.telemetry import logs


class Envelope(msgspec.Struct, frozen=True):
    password_md5: str
    mobiles: list[int]


@pytest.fixture
def written() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """What was logged so far, decoded: each line must be one JSON object. Afterwards logging is as it was."""
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    levels = {name: logging.getLogger(name).level for name in ("httpx", "httpcore", "uvicorn.access", "asyncio")}
    stream = io.BytesIO()
    logs.configure("debug", "json", stream=stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    structlog.reset_defaults()
    logging.captureWarnings(False)
    root.handlers[:], root.level = before[0], before[1]
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def test_a_line_is_one_json_object_with_time_level_and_event(written: Callable[[], list[dict[str, Any]]]) -> None:
    structlog.get_logger().info("delivery.attempted", attempt=3, outcome="retry", status=503, detail="two\nlines")

    (line,) = written()
    assert str(line.pop("time")).endswith("Z")
    assert line == {
        "event": "delivery.attempted",
        "level": "info",
        "attempt": 3,
        "outcome": "retry",
        "status": 503,
        "detail": "two\nlines",
    }


@pytest.mark.parametrize(
    "name",
    [
        "pwd",
        "password",
        "authorization",
        "secret",
        "token",
        "key",
        "text",
        "content",
        "mobile",
        "to",
        "body",
        "api_key",
    ],
)
def test_a_value_under_a_telling_name_is_struck_out(name: str, written: Callable[[], list[dict[str, Any]]]) -> None:
    structlog.get_logger().info("x", **{name: "hunter2"}, nested={"deep": [{name: "hunter2"}]})

    (line,) = written()
    assert "hunter2" not in json.dumps(line)
    assert line[name] == "[redacted]"
    assert line["nested"] == {"deep": [{name: "[redacted]"}]}


def test_an_object_is_named_by_its_type_and_not_shown(written: Callable[[], list[dict[str, Any]]]) -> None:
    envelope = Envelope(password_md5="hunter2", mobiles=[13800130001])

    structlog.get_logger().info("x", envelope=envelope, several=[envelope], error=ValueError("13800130001"))

    (line,) = written()
    assert (line["envelope"], line["several"], line["error"]) == ("<Envelope>", ["<Envelope>"], "<ValueError>")


def fail_with_secrets(password: str) -> None:
    mobile = 13800130001
    assert mobile
    assert password
    raise RuntimeError("no luck with 13800130001 and rk_live_abc")


def test_an_exception_has_frames_and_causes_but_no_local_variables(written: Callable[[], list[dict[str, Any]]]) -> None:
    try:
        try:
            fail_with_secrets("hunter2")
        except RuntimeError as exc:
            raise LookupError("outer") from exc
    except LookupError:
        structlog.get_logger().exception("x")

    (line,) = written()
    outer, inner = line["exception"]
    assert (outer["type"], outer["message"]) == ("builtins.LookupError", "outer")
    assert (inner["type"], inner["message"]) == ("builtins.RuntimeError", "no luck with [redacted] and [redacted]")
    assert [frame["function"] for frame in inner["frames"]][-1] == "fail_with_secrets"
    assert set(inner["frames"][-1]) == {"file", "line", "function"}
    assert "hunter2" not in json.dumps(line)
    assert "13800130001" not in json.dumps(line)


def test_the_members_of_an_exception_group_are_told(written: Callable[[], list[dict[str, Any]]]) -> None:
    structlog.get_logger().error("x", exc_info=ExceptionGroup("both", [ValueError("a"), KeyError("b")]))

    (line,) = written()
    (told,) = line["exception"]
    assert [member[0]["message"] for member in told["group"]] == ["a", "'b'"]


def test_an_exception_that_cannot_be_written_does_not_break_the_line(
    written: Callable[[], list[dict[str, Any]]],
) -> None:
    class Broken(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    structlog.get_logger().error("x", exc_info=Broken())

    (line,) = written()
    assert line["exception"][0]["type"].endswith("Broken")


def test_loggers_of_the_standard_library_come_out_the_same_way(written: Callable[[], list[dict[str, Any]]]) -> None:
    logging.getLogger("uvicorn.error").warning("Invalid request %s", "GET /callbacks/s3cr3t/report?mobile=13800130001")

    (line,) = written()
    assert line["event"] == "Invalid request GET /callbacks/[redacted]/report?mobile=[redacted]"
    assert (line["level"], line["logger"]) == ("warning", "uvicorn.error")


def test_a_wrong_log_call_of_other_code_is_still_one_line(written: Callable[[], list[dict[str, Any]]]) -> None:
    ours = logging.getLogger().handlers[0]  # pytest's own handlers, which stand behind it, would raise
    ours.emit(logging.LogRecord("other", logging.ERROR, __file__, 1, "%d of %d", ("x",), None))

    assert [line["event"] for line in written()] == ["%d of %d"]


def test_libraries_that_log_every_call_are_quiet(written: Callable[[], list[dict[str, Any]]]) -> None:
    logging.getLogger("httpx").info("HTTP Request: POST http://127.0.0.1/hook")
    logging.getLogger("uvicorn.access").info("GET /v1/messages?to=13800130001")

    assert written() == []


def test_a_warning_is_a_line(written: Callable[[], list[dict[str, Any]]]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("old thing", stacklevel=1)

    assert "old thing" in str(written()[0]["event"])


def test_text_that_utf_8_cannot_hold_and_values_that_json_cannot_hold_do_not_lose_the_line(
    written: Callable[[], list[dict[str, Any]]],
) -> None:
    structlog.get_logger().info("x", reference="\ud800", ratio=float("nan"), blob=b"\x00\xff")

    (line,) = written()
    assert (line["reference"], line["blob"]) == ("\ud800", "<bytes>")


def test_lines_below_the_level_are_not_written() -> None:
    stream = io.BytesIO()
    logs.configure("warning", "json", stream=stream)

    structlog.get_logger().info("quiet")
    structlog.get_logger().warning("loud")

    structlog.reset_defaults()
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["loud"]


def test_the_console_format_is_for_people_and_hides_the_same(written: Callable[[], list[dict[str, Any]]]) -> None:
    stream = io.BytesIO()
    logs.configure("info", "console", stream=stream)
    try:
        fail_with_secrets("hunter2")
    except RuntimeError:
        structlog.get_logger().exception("relay.failed", token="hunter2", port=8080)

    text = stream.getvalue().decode()
    assert "relay.failed" in text
    assert "port=8080" in text
    assert "fail_with_secrets" in text
    assert "hunter2" not in text
    assert "13800130001" not in text
