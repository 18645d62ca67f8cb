"""What is told to other replicas, and what is done with what they tell."""

from typing import Any, cast, get_args

import pytest

from relay.domain.ids import MessageId
from relay.ports import HintTopic, StoredEffects
from relay.services.poll import Poll
from relay.services.wait import Wait
from relay.telemetry.metrics import Metrics
from relay.workers.aftermath import Aftermath
from relay.workers.deliver import DeliverWorker
from relay.workers.hints import Hearing
from relay.workers.submit import SubmitWorker
from tests.services.stillness import account_of
from tests.workers.test_loops import workshop_of


class Told:
    """Hints that were told."""

    def __init__(self) -> None:
        self.topics: list[HintTopic] = []

    def tell(self, topic: HintTopic) -> None:
        self.topics.append(topic)


class Worker:
    """Every worker in one: which of its methods were called."""

    def __init__(self, *, leaves_work: bool = False) -> None:
        self.called: list[str] = []
        self.leaves_work = leaves_work

    def __getattr__(self, name: str) -> Any:
        return lambda *_arguments: self.called.append(name)


def _effects(**events: int) -> StoredEffects:
    return StoredEffects(
        deliveries=(),
        recipients_by_status={},
        segments_by_status={},
        events_by_type=cast(Any, {name.replace("_", "."): number for name, number in events.items()}),
    )


@pytest.mark.parametrize(
    ("events", "leaves_work", "topics"),
    [
        ({}, False, []),
        ({"message_delivered": 1}, False, ["events"]),
        ({"message_delivered": 1}, True, ["events", "deliveries"]),
    ],
)
def test_a_commit_tells_of_its_events_and_of_deliveries_that_it_left(
    events: dict[str, int], leaves_work: bool, topics: list[HintTopic]
) -> None:
    told, worker = Told(), Worker(leaves_work=leaves_work)
    aftermath = Aftermath(cast(DeliverWorker, worker), cast(Poll, worker), cast(Wait, worker), told, Metrics())

    aftermath(_effects(**events))

    assert told.topics == topics


def test_an_outcome_is_told_because_another_replica_may_hold_the_answer_to_its_sender() -> None:
    told, worker = Told(), Worker()
    aftermath = Aftermath(cast(DeliverWorker, worker), cast(Poll, worker), cast(Wait, worker), told, Metrics())

    aftermath.settled(MessageId("msg_1"))

    assert (told.topics, worker.called) == (["settled"], ["settled_one"])


async def test_a_message_that_waits_in_the_store_is_told_to_those_who_may_have_a_slot() -> None:
    told = Told()
    shop = await workshop_of(0, told)

    shop.worker.wake(account_of(1).id)

    assert told.topics == ["submissions"]


@pytest.mark.parametrize("topic", get_args(HintTopic))
def test_each_topic_makes_exactly_one_part_look_again_and_is_not_passed_on(topic: HintTopic) -> None:
    parts = {name: Worker() for name in ("submissions", "deliveries", "events", "settled")}
    hearing = Hearing(
        cast(SubmitWorker, parts["submissions"]),
        cast(DeliverWorker, parts["deliveries"]),
        cast(Poll, parts["events"]),
        cast(Wait, parts["settled"]),
    )

    hearing(topic)

    calls = {"submissions": "look", "deliveries": "look", "events": "events_stored", "settled": "settled_elsewhere"}
    assert {name: part.called for name, part in parts.items() if part.called} == {topic: [calls[topic]]}
