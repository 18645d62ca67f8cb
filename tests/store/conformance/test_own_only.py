"""A team sees only its own: every method of the port that names a team, asked by another one."""

import inspect
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from relay.domain.extensions import ExtensionView
from relay.domain.ids import TeamId
from relay.domain.quotas import QuotaDay
from relay.domain.times import DAY_MS
from relay.ports import MessageFilter, Page, Store
from tests.store import builders
from tests.store.builders import ACCEPTED, NOW_MS, attempt_record, entry, inbound, mobiles, work_of
from tests.store.conformance.world import World

TODAY = QuotaDay(name="2026-11-18", starts_ms=NOW_MS, ends_ms=NOW_MS + DAY_MS)


class Things(msgspec.Struct, kw_only=True):
    """One of each, all of one team."""

    message: str
    inbound: str
    event: str
    endpoint: str
    delivery: str
    finished_delivery: str
    key: str
    extension: str


Ask = Callable[[Store, TeamId, Things], Awaitable[object]]
ASKED: dict[str, Ask] = {
    "message": lambda store, team, own: store.message(team, own.message),
    "messages": lambda store, team, own: store.messages(team, MessageFilter(), position=None, limit=10),
    "recipients": lambda store, team, own: store.recipients(team, own.message, position=None, limit=10),
    "inbound": lambda store, team, own: store.inbound(team, own.inbound),
    "inbound_list": lambda store, team, own: store.inbound_list(team, position=None, limit=10),
    "event": lambda store, team, own: store.event(team, own.event),
    "events": lambda store, team, own: store.events(team, position=None, limit=10, event_types=()),
    "delivery": lambda store, team, own: store.delivery(team, own.delivery),
    "deliveries": lambda store, team, own: store.deliveries(
        team, endpoint_id=own.endpoint, event_id=None, status=None, position=None, limit=10
    ),
    "endpoint_view": lambda store, team, own: store.endpoint_view(team, own.endpoint),
    "endpoint_views": lambda store, team, own: store.endpoint_views(team, position=None, limit=10),
    "keys": lambda store, team, own: store.keys(team_id=team, position=None, limit=10),
    "suppressed": lambda store, team, own: store.suppressed(team, mobiles(1)),
    "suppression_of": lambda store, team, own: store.suppression_of(team, mobiles(1)[0]),
    "suppressions": lambda store, team, own: store.suppressions(team_id=team, mobile=None, position=None, limit=10),
    "delete_endpoint": lambda store, team, own: store.delete_endpoint(team, own.endpoint, NOW_MS),
    "extensions": lambda store, team, own: store.extensions(
        team_id=team, account_id=None, extension=None, position=None, limit=10
    ),
    "release_extension": lambda store, team, own: store.release_extension(team, own.extension, None, entry=entry()),
    "units_used": lambda store, team, own: store.units_used(team, TODAY, counted=False),
    # The team itself, asked for by the platform: there is nothing of another team to be seen.
    "team": lambda store, team, own: store.team(team),
}


async def _things(world: World) -> Things:
    endpoint = await world.endpoint()
    key = builders.key(world.team.id, "secret")
    await world.store.create_key(key, entry=entry(), idempotency=None)
    leased = ExtensionView(extension="88", team_id=world.team.id, account_ids=[])
    await world.store.lease_extension(leased, entry=entry(), idempotency=None)
    message = await world.accept(mobiles(1))
    await world.finish(work_of(message), ACCEPTED)
    await world.hear(inbound(mobiles(1)[0], opt_out="TD"))
    (heard,) = (await world.store.inbound_list(world.team.id, position=None, limit=1)).data
    delivery, finished = await world.lease((endpoint, 2))
    await world.store.finish_delivery(finished, attempt_record(finished, 200))
    return Things(
        message=message.id,
        inbound=heard.id,
        event=delivery.event_id,
        endpoint=endpoint.view.id,
        delivery=delivery.id,
        finished_delivery=finished.id,
        key=key.view.id,
        extension="88",
    )


def test_every_method_that_names_a_team_is_asked() -> None:
    scoped = {
        name
        for name, method in inspect.getmembers(Store, inspect.isfunction)
        if "team_id" in inspect.signature(method).parameters
    }
    assert scoped == set(ASKED)


@pytest.mark.parametrize("name", ASKED)
async def test_another_team_sees_nothing(world: World, name: str) -> None:
    own = await _things(world)
    answer = await ASKED[name](world.store, TeamId(builders.new_id("team_")), own)
    assert _is_empty(answer)
    assert not _is_empty(await ASKED[name](world.store, world.team.id, own))


async def test_a_finished_delivery_of_another_team_does_not_exist(world: World) -> None:
    own = await _things(world)
    other = TeamId(builders.new_id("team_"))
    assert await world.store.delivery(world.team.id, own.finished_delivery) is not None
    assert await world.store.delivery(other, own.finished_delivery) is None
    assert await world.store.delete_endpoint(world.team.id, own.endpoint, NOW_MS)
    assert await world.store.delivery(other, own.delivery) is None


def _is_empty(answer: object) -> bool:
    return not (answer.data if isinstance(answer, Page) else answer)
