"""What follows from a webhook attempt."""

from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.domain.delivery import LONGEST_RETRY_AFTER_S, Verdict, header_fault, judge, read_retry_after
from relay.domain.retry import DELIVERY_SCHEDULE_MS
from relay.domain.times import to_ms

NOW_MS = to_ms(datetime(2026, 11, 23, tzinfo=UTC))
LAST = len(DELIVERY_SCHEDULE_MS) + 1


def verdict(status: int | None, retry_after_s: float | None = None, attempt: int = 1, jitter: float = 0.0) -> Verdict:
    return judge(status, retry_after_s, attempt=attempt, now_ms=NOW_MS, jitter=jitter)


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_any_2xx_is_delivered(status: int | None) -> None:
    assert verdict(status, 60) == Verdict(outcome="delivered", next_due_ms=None, pause_until_ms=None)


@pytest.mark.parametrize("attempt", [1, LAST])
def test_410_is_gone_at_any_attempt(attempt: int) -> None:
    assert verdict(410, 60, attempt) == Verdict(outcome="gone", next_due_ms=None, pause_until_ms=None)


@pytest.mark.parametrize("status", [None, 100, 199, 300, 302, 308, 400, 401, 404, 409, 500, 502, 599, 999])
def test_everything_else_is_retried_on_the_schedule(status: int | None) -> None:
    assert verdict(status) == Verdict(outcome="retry", next_due_ms=NOW_MS + 5_000, pause_until_ms=None)


@pytest.mark.parametrize(("attempt", "delay_ms"), list(enumerate(DELIVERY_SCHEDULE_MS, 1)))
def test_each_attempt_has_its_own_delay_plus_up_to_a_fifth(attempt: int, delay_ms: int) -> None:
    assert verdict(500, None, attempt).next_due_ms == NOW_MS + delay_ms
    assert verdict(500, None, attempt, 1.0).next_due_ms == NOW_MS + delay_ms * 6 // 5


def test_after_the_last_attempt_it_is_exhausted() -> None:
    assert verdict(500, None, LAST) == Verdict(outcome="exhausted", next_due_ms=None, pause_until_ms=None)


@pytest.mark.parametrize("status", [429, 503])
def test_a_receiver_that_names_a_time_pauses_its_endpoint_and_gets_nothing_before(status: int | None) -> None:
    assert verdict(status, 90.5) == Verdict(
        outcome="retry", next_due_ms=NOW_MS + 90_500, pause_until_ms=NOW_MS + 90_500
    )


def test_a_pause_shorter_than_the_schedule_does_not_hasten_the_retry() -> None:
    assert verdict(503, 1) == Verdict(outcome="retry", next_due_ms=NOW_MS + 5_000, pause_until_ms=NOW_MS + 1_000)


def test_a_pause_outlives_the_delivery_that_brought_it() -> None:
    assert verdict(429, 30, LAST) == Verdict(outcome="exhausted", next_due_ms=None, pause_until_ms=NOW_MS + 30_000)


def test_a_pause_is_at_most_a_day() -> None:
    assert verdict(503, 1e300).pause_until_ms == NOW_MS + 86_400_000


@pytest.mark.parametrize("retry_after_s", [None, 0, 0.0])
def test_no_time_or_no_wait_is_no_pause(retry_after_s: float | None) -> None:
    assert verdict(429, retry_after_s) == verdict(500)


@pytest.mark.parametrize("status", [None, 301, 404, 500])
def test_other_answers_cannot_pause_the_endpoint(status: int | None) -> None:
    assert verdict(status, 600) == verdict(status)


@given(
    st.none() | st.integers(100, 999),
    st.none() | st.floats(0, 1e9),
    st.integers(1, 20),
    st.integers(0, 2**45),
    st.floats(0, 1),
)
def test_a_verdict_is_always_consistent(
    status: int | None, retry_after_s: float | None, attempt: int, now_ms: int, jitter: float
) -> None:
    found = judge(status, retry_after_s, attempt=attempt, now_ms=now_ms, jitter=jitter)
    assert (found.next_due_ms is not None) == (found.outcome == "retry")
    if found.next_due_ms is not None:
        assert found.next_due_ms >= now_ms + 5_000
        assert found.next_due_ms >= (found.pause_until_ms or 0)
    if found.pause_until_ms is not None:
        assert now_ms <= found.pause_until_ms <= now_ms + 86_400_000


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        (" 7\t", 7),
        ("86400", 86_400),
        ("86401", LONGEST_RETRY_AFTER_S),
        ("9" * 5000, LONGEST_RETRY_AFTER_S),
        ("Mon, 23 Nov 2026 00:01:30 GMT", 90),
        ("Monday, 23-Nov-26 00:01:30 GMT", 90),
        ("Mon Nov 23 00:01:30 2026", 90),
        ("Mon, 23 Nov 2026 00:00:00 GMT", 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST_RETRY_AFTER_S),
    ],
)
def test_both_forms_of_retry_after_are_read(value: str, seconds: float) -> None:
    assert read_retry_after(value, NOW_MS) == seconds


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "-5",
        "+5",
        "1.5",
        "1e3",
        "٣",
        "5, 10",
        "soon",
        "Sun, 22 Nov 2026 23:59:59 GMT",
        "Sat, 31 Feb 2026 00:00:00 GMT",
        "Mon, 23 Nov 2026 00:01:30",
        "Mon, 23 Nov 2026 00:01:30 +0800",
        "Mon, 23 Nov 2026 00:01:30 GMT" + "x" * 100,
        "2026-11-22T00:01:30Z",
    ],
)
def test_a_retry_after_that_is_past_or_garbage_is_none(value: str | None) -> None:
    assert read_retry_after(value, NOW_MS) is None


@given(st.text(max_size=60) | st.from_regex(r"[A-Z][a-z]{2},? [0-9 A-Za-z:-]{1,40}(GMT)?"), st.integers(0, 2**45))
def test_reading_a_retry_after_never_raises(value: str, now_ms: int) -> None:
    seconds = read_retry_after(value, now_ms)
    assert seconds is None or 0 <= seconds <= LONGEST_RETRY_AFTER_S


@given(st.integers(0, 200_000))
def test_a_date_means_its_distance_from_now(seconds: float) -> None:
    moment = datetime.fromtimestamp(NOW_MS / 1000 + seconds, UTC)
    assert read_retry_after(format_datetime(moment, usegmt=True), NOW_MS) == min(seconds, LONGEST_RETRY_AFTER_S)


@pytest.mark.parametrize(
    ("name", "value"), [("X-Team", "billing"), ("Authorization", "Bearer abc def"), ("Cookie", "a=b"), ("x", "")]
)
def test_a_team_may_add_ordinary_headers(name: str, value: str) -> None:
    assert header_fault(name, value) is None


OURS = """
    Webhook-Id webhook-signature WEBHOOK-TIMESTAMP webhook-x Content-Type content-length Content-Encoding Host Accept
    user-agent Accept-Encoding Transfer-Encoding Connection Upgrade TE Trailer Expect Keep-Alive Proxy-Connection
"""


@pytest.mark.parametrize("name", OURS.split())
def test_a_team_cannot_set_ours_or_the_connection_s_headers(name: str) -> None:
    assert header_fault(name, "x") == "is set by the gateway"


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a\r\nb", "ä", "a" * 129, "(x)"])
def test_a_header_name_is_a_token(name: str) -> None:
    assert header_fault(name, "x") == "is not a header name"


@pytest.mark.parametrize("value", ["a\r\nb: c", "a\nb", "a\0", " a", "a ", "ü", "中", "x" * 4097, "\t"])
def test_a_header_value_cannot_smuggle_anything(value: str) -> None:
    assert header_fault("x-team", value) is not None
