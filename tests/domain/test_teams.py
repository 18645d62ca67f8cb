from relay.domain.teams import RecipientLimit
from relay.domain.times import DAY_MS, HOUR_MS, MINUTE_MS
from tests.store.builders import team

USUAL = RecipientLimit(per_minute=1, per_hour=5, per_day=10)


def test_codes_are_limited_per_number_unless_the_team_says_otherwise() -> None:
    own, none = RecipientLimit(per_day=3), RecipientLimit()

    assert team(recipient_limits={}).limits == {"otp": USUAL}
    assert team(recipient_limits={"marketing": own}).limits == {"otp": USUAL, "marketing": own}
    assert team(recipient_limits={"otp": own}).limits == {"otp": own}
    assert team(recipient_limits={"otp": none}).limits == {"otp": none}
    assert (USUAL.spans_ms, none.spans_ms) == ([(1, MINUTE_MS), (5, HOUR_MS), (10, DAY_MS)], [])
