from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from relay.domain.ids import TeamId
from relay.domain.quotas import QuotaDay, quota_day, usage_of
from relay.domain.times import HOUR_MS, instant, to_ms


@pytest.mark.parametrize(
    ("zone", "now", "starts", "hours"),
    [
        ("Asia/Shanghai", "2026-11-18T15:59:59Z", "2026-11-17T16:00:00Z", 24),
        ("Asia/Shanghai", "2026-11-18T16:00:00Z", "2026-11-18T16:00:00Z", 24),
        ("Europe/Berlin", "2026-10-25T12:00:00Z", "2026-10-24T22:00:00Z", 25),
        ("Europe/Berlin", "2026-03-29T12:00:00Z", "2026-03-28T23:00:00Z", 23),
    ],
)
def test_a_quota_is_for_a_calendar_day_of_its_zone(zone: str, now: str, starts: str, hours: int) -> None:
    day = quota_day(to_ms(datetime.fromisoformat(now)), ZoneInfo(zone))

    starts_ms = to_ms(datetime.fromisoformat(starts))
    name = instant(starts_ms).astimezone(ZoneInfo(zone)).date().isoformat()
    assert day == QuotaDay(name=name, starts_ms=starts_ms, ends_ms=starts_ms + hours * HOUR_MS)


def test_a_lowered_quota_may_be_overrun_and_then_nothing_is_left() -> None:
    day = QuotaDay(name="2026-11-18", starts_ms=0, ends_ms=0)

    left = [usage_of(TeamId("team_1"), day, 10, quota).units_left for quota in (None, 12, 10, 8)]

    assert left == [None, 2, 0, 0]
