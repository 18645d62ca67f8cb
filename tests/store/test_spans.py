"""The spans of time by which numbers are found."""

import msgspec

from relay.domain.ids import first_id
from relay.domain.times import HOUR_MS
from relay.store.scripts.spans import SKEW_MS, spans
from tests.store.builders import NOW_MS

SPAN_MS = 2**24


def _spans(since_ms: int, until_ms: int) -> list[str]:
    return msgspec.json.decode(spans(since_ms, until_ms), type=list[str])


def test_a_span_is_what_the_ids_of_its_time_begin_with() -> None:
    assert _spans(NOW_MS, NOW_MS) == [first_id(NOW_MS)[:3].hex()]


def test_no_span_is_left_out_and_none_is_named_twice() -> None:
    found = _spans(NOW_MS - 72 * HOUR_MS, NOW_MS)
    assert found == sorted({first_id(ms)[:3].hex() for ms in range(NOW_MS - 72 * HOUR_MS, NOW_MS + 1, HOUR_MS)})
    assert len(found) == 17


def test_the_clock_of_another_replica_may_be_ahead() -> None:
    last_ms = NOW_MS - NOW_MS % SPAN_MS + SPAN_MS - 1
    assert _spans(last_ms, last_ms) == [first_id(last_ms)[:3].hex(), first_id(last_ms + SKEW_MS)[:3].hex()]


def test_a_time_before_1970_is_1970() -> None:
    assert _spans(-HOUR_MS, 0) == ["000000"]
