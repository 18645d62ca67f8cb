"""What is old, kind by kind."""

from typing import get_args

from relay.domain.retention import RETENTION_KINDS, Keeping, RetentionKind, before_ms
from relay.domain.times import DAY_MS

NOW_MS = 1_795_000_000_000
KEEPING = Keeping(content_days=90, messages_days=400, events_days=30, deliveries_days=20, raw_days=14)


def test_every_kind_is_taken_up_once() -> None:
    assert sorted(RETENTION_KINDS) == sorted(get_args(RetentionKind))


def test_every_kind_has_its_time() -> None:
    assert {kind: (NOW_MS - before_ms(kind, KEEPING, NOW_MS)) / DAY_MS for kind in RETENTION_KINDS} == {
        "pending": 29,
        "events": 30,
        "deliveries": 20,
        "attempts": 20,
        "raw": 14,
        "quarantine": 90,
        "content": 90,
        "inbound_content": 90,
        "orphan_content": 90,
        "messages": 400,
        "inbound": 400,
        "orphans": 400,
        "pairs": 7,
        "quota": 400,
    }


def test_deliveries_end_before_their_events_go() -> None:
    assert RETENTION_KINDS.index("pending") < RETENTION_KINDS.index("events")
