"""What is old goes by itself, while the gateway works."""

from datetime import timedelta

from tests.flow.clocks import MovableClock
from tests.flow.conftest import Log, OpenWorld
from tests.flow.world import until, until_shown

MOBILE = "13800131234"


async def test_events_go_first_then_numbers_and_texts_then_the_message(worlds: OpenWorld, log: Log) -> None:
    clock = MovableClock()
    async with worlds(clock=clock, retention_interval_s=0.05) as world:
        await world.add_endpoint("/hook")
        message = await world.send(MOBILE, "private words", wait=10)
        await world.events_when(2)
        await world.hooks_when("/hook", 2)
        path = f"/v1/messages/{message['id']}"

        clock.move(timedelta(days=31).total_seconds())
        await until_shown(world.events, lambda events: events == [])
        assert (await world.api.get(f"{path}/recipients")).json()["data"][0]["to"] == MOBILE
        clock.move(timedelta(days=60).total_seconds())
        shown = await until_shown(lambda: world.message(message["id"]), lambda shown: shown["erased"])
        assert (shown["text"], shown["counts"], shown["status"]) == ("", {"delivered": 1}, "delivered")
        clock.move(timedelta(days=310).total_seconds())
        await until_shown(lambda: world.api.get(path), lambda answer: answer.status_code == 404)
        await until(lambda: sum(line.get("events", 0) for line in log.of("retention.done")), lambda gone: gone == 2)
        metrics = (await world.admin.get("/metrics")).text

    assert 'relay_retention_rows_total{kind="events"} 2.0' in metrics
    assert 'relay_retention_lag_seconds{kind="messages"} 0.0' in metrics
