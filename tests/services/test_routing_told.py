"""What routing tells of what waits, and of accounts."""

from relay.domain.accounts import Account
from relay.domain.ids import SubmissionId
from relay.domain.messages import MessageView, SubmissionView
from relay.domain.states import RecipientStatus
from relay.domain.times import instant
from tests.services.routed import FIRST, MESSAGE, OFF, SECOND, THIRD, Routed, routed
from tests.services.stillness import account_of


def view_of(world: Routed, *submissions: tuple[Account, RecipientStatus], send_in_ms: int | None = None) -> MessageView:
    now_ms = world.clock.now_ms()
    return MessageView(
        id=MESSAGE,
        status="queued",
        text="hello",
        erased=False,
        to_count=1,
        segments=1,
        units=1,
        refused=[],
        counts={},
        reference=None,
        metadata={},
        extension=None,
        category="notice",
        on_unconfirmed="hold",
        created_at=instant(now_ms),
        send_at=None if send_in_ms is None else instant(now_ms + send_in_ms),
        expires_at=instant(now_ms + 60_000),
        submissions=[
            SubmissionView(
                id=SubmissionId(f"sub_{index:032x}"),
                task_id=f"{index:032x}",
                account_id=account.id,
                status=status,
                code=None,
                provider_message=None,
                waiting_for=None,
            )
            for index, (account, status) in enumerate(submissions)
        ],
    )


async def test_it_shows_what_waits_for_an_account_and_nothing_else() -> None:
    world = await routed(FIRST, SECOND, OFF)
    world.break_(FIRST)
    gone = account_of(8)
    view = view_of(
        world, (FIRST, "queued"), (SECOND, "queued"), (OFF, "queued"), (gone, "queued"), (FIRST, "submitted")
    )

    explained = world.routing.explain(view)

    assert [one.waiting_for for one in explained.submissions] == ["account", None, "account", "account", None]
    done = view_of(world, (FIRST, "submitted"))
    assert world.routing.explain(done) is done


async def test_what_is_scheduled_waits_for_an_account_once_its_time_has_come() -> None:
    world = await routed(OFF)

    early = world.routing.explain(view_of(world, (OFF, "scheduled"), send_in_ms=1))
    due = world.routing.explain(view_of(world, (OFF, "scheduled"), send_in_ms=0))

    assert [early.submissions[0].waiting_for, due.submissions[0].waiting_for] == [None, "account"]


async def test_the_health_of_an_account_is_that_of_its_breaker() -> None:
    world = await routed(FIRST, SECOND)
    world.break_(FIRST)

    ill, well = await world.routing.health(FIRST.id), await world.routing.health(SECOND.id)

    assert ill is not None
    assert (ill.state, ill.reason, ill.waiting, ill.disabled) == ("open", "balance", 7, False)
    assert (ill.since, ill.next_probe_at) == (
        instant(world.clock.now_ms()),
        instant(world.clock.now_ms() + 5500),
    )
    assert well is not None
    assert (well.state, well.reason, well.next_probe_at) == ("closed", None, None)
    assert await world.routing.health(THIRD.id) is None
