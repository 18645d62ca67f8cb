"""The day that a quota is for."""

from datetime import datetime, time, timedelta, tzinfo

import msgspec

from relay.domain.ids import TeamId
from relay.domain.times import instant, to_ms


class QuotaDay(msgspec.Struct, frozen=True, kw_only=True):
    """A calendar day of the quotas' time zone. ``name``: its ISO date; ``ends_ms`` is the first moment of the next."""

    name: str
    starts_ms: int
    ends_ms: int


class TeamUsage(msgspec.Struct, frozen=True, kw_only=True):
    """What a team has used of its quota today: units (segments x numbers) of what was accepted, without what is known
    never to be sent. `quota_units_per_day` and `units_left` null: no limit."""

    team_id: TeamId
    day: str
    units_used: int
    quota_units_per_day: int | None
    units_left: int | None
    resets_at: datetime


def quota_day(now_ms: int, zone: tzinfo) -> QuotaDay:
    """The day of ``now_ms``. A day that the clocks are changed on is shorter or longer."""
    today = instant(now_ms).astimezone(zone).date()
    starts, ends = (to_ms(datetime.combine(day, time(), zone)) for day in (today, today + timedelta(days=1)))
    return QuotaDay(name=today.isoformat(), starts_ms=starts, ends_ms=ends)


def usage_of(team_id: TeamId, day: QuotaDay, used: int, quota: int | None) -> TeamUsage:
    """A quota that was lowered during the day may be overrun; then nothing is left."""
    return TeamUsage(
        team_id=team_id,
        day=day.name,
        units_used=used,
        quota_units_per_day=quota,
        units_left=None if quota is None else max(0, quota - used),
        resets_at=instant(day.ends_ms),
    )
