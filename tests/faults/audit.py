"""The audit after the load: what was answered, against what the provider's ledger, the API and the receiver say."""

from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from typing import Final

from tests.faults.load import Load, Sent
from tests.faults.polling import until
from tests.faults.world import Json, World

STATUS_OF: Final = {"DELIVRD": "delivered", "UNDELIV": "undelivered", "EXPIRED": "expired", "MBBLACK": "rejected"}
WAITING: Final = frozenset({"submitted", "unconfirmed"})
"""A report may still come; it will not when its one push met a gateway that was down."""
UNSETTLED: Final = frozenset({"scheduled", "queued", "submitting"})
SETTLE_S: Final = 60.0
SETTINGS: Final = {"sweep_interval_s": "0.5", "unconfirmed_event_after_s": "1"}
"""Of gateways that are audited: what is in doubt has its event soon."""


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What an audit that found nothing wrong has seen."""

    messages: int
    recipients: int
    waiting: int
    unconfirmed: int
    retried: int
    reports_answered: int
    reports_lost: int
    inbound: int
    events: int
    deliveries: int

    @property
    def duplicate_share(self) -> float:
        """Webhooks that a receiver got again, of all that it got."""
        return (self.deliveries - self.events) / max(1, self.deliveries)

    def __str__(self) -> str:
        return (
            f"{self.messages} messages, {self.recipients} recipients ({self.waiting} wait for a report that was lost, "
            f"{self.unconfirmed} of them unconfirmed), {self.retried} sends retried with their key, "
            f"{self.reports_answered} reports answered 200 and {self.reports_lost} lost, {self.inbound} inbound, "
            f"{self.events} events in {self.deliveries} webhooks: {self.duplicate_share:.1%} duplicates"
        )


async def audit(world: World, load: Load) -> Findings:
    """Wait until nothing moves any more, then hold all of it against each other. Fails on the first contradiction."""
    # Every gateway lives: one of them tells, on connections that stay.
    world = replace(world, api=world.apis[-1])
    by_message = await _come_to_rest(world, load.accepted)
    events = await _told_of_doubts(world, by_message)
    await load.read_on()
    _check_provider(world)
    _check_keys(world, load)
    _check_recipients(world, by_message)
    _check_polling(load, events)
    _check_sequences(events)
    _check_report_events(world, by_message, events)
    await _check_inbound(world, load, events)
    await _check_webhooks(world, events)
    _check_log(world)
    recipients = [found for rows in by_message.values() for found in rows]
    reports = [record for record in world.sandbox.ledger.callbacks if record.rows_of == "report"]
    return Findings(
        messages=len(by_message),
        recipients=len(recipients),
        waiting=sum(found["status"] in WAITING for found in recipients),
        unconfirmed=sum(found["status"] == "unconfirmed" for found in recipients),
        retried=sum(sent.tries > 1 and sent.key is not None for sent in load.sent),
        reports_answered=sum(record.http_status == 200 for record in reports),
        reports_lost=sum(record.http_status != 200 for record in reports),
        inbound=sum(status == 200 for status in load.inbound.values()),
        events=len(events),
        deliveries=world.receiver.times.total(),
    )


async def _come_to_rest(world: World, accepted: list[Sent]) -> dict[str, list[Json]]:
    """The recipients of every message, by its id; nothing is still to be sent, to be reported or to be applied."""

    async def settled() -> bool:
        return not any([message["status"] in UNSETTLED async for message in world.pages("/v1/messages")])

    await until(settled, SETTLE_S, "every message is out of `queued` and `submitting`", world.told)
    await until(lambda: world.provider.courier.pending == 0, SETTLE_S, "the provider has made all its callbacks")
    await until(lambda: not _spooled(world), SETTLE_S, "every spool is applied", world.told)
    return {sent.message_id: await _recipients(world, sent.message_id, sent) for sent in accepted if sent.message_id}


async def _recipients(world: World, message_id: str, sent: Sent) -> list[Json]:
    rows = await world.recipients(message_id)
    assert sorted(row["to"] for row in rows) == sorted(sent.numbers), message_id
    return rows


def _spooled(world: World) -> list[str]:
    """Files of callbacks that wait, or that were found damaged."""
    spools = (gateway.directory / "spool" for gateway in world.gateways)
    return [file.name for spool in spools for file in spool.iterdir() if file.name != "lock"]


async def _told_of_doubts(world: World, by_message: dict[str, list[Json]]) -> list[Json]:
    """All events, once each number that is in doubt has the one that says so."""
    untold: set[tuple[str, str]] = set()
    events: list[Json] = []

    async def told() -> bool:
        events[:] = await world.events()
        untold.clear()
        untold.update(
            (message_id, row["to"])
            for message_id, rows in by_message.items()
            for row in rows
            if row["status"] == "unconfirmed"
        )
        untold.difference_update(
            (event["data"]["message_id"], recipient["to"])
            for event in events
            if event["type"] == "message.unconfirmed"
            for recipient in event["data"]["recipients"]
        )
        return not untold

    await until(told, SETTLE_S, "what is unconfirmed has its event", lambda: f"{untold}\n{world.told()}")
    return events


def _check_provider(world: World) -> None:
    ledger = world.sandbox.ledger
    assert list(ledger.repeats()) == [], "a number was sent the same text twice"
    assert list(ledger.duplicates) == [], "a taskId was used twice"


def _check_keys(world: World, load: Load) -> None:
    ids = [sent.message_id for sent in load.accepted]
    assert len(set(ids)) == len(ids), "two requests were answered with one message"
    without_answer = [sent for sent in load.sent if sent.key is not None and sent.message_id is None]
    assert without_answer == [], "a request with a key never got its answer"
    # Numbers are never used twice: a number in two messages is a request that was carried out twice.
    booked = Counter(mobile for record in world.sandbox.ledger.sends for mobile in record.mobiles)
    assert [mobile for mobile, times in booked.items() if times > 1] == []


def _check_recipients(world: World, by_message: dict[str, list[Json]]) -> None:
    booked = {mobile: record for record in world.sandbox.ledger.sends for mobile in record.mobiles}
    answered, pushed = _reports(world)
    reported = {row["to"] for rows in by_message.values() for row in rows if row["reports"]}
    for message_id, rows in by_message.items():
        for row in rows:
            to, status = row["to"], row["status"]
            told = f"{message_id} …{to[-4:]}: {row}, booked: {to in booked}, reports: {pushed[to]}"
            expected = {STATUS_OF[raw] for raw in pushed[to]}
            if answered[to]:
                # A report that was answered 200 led to its state, and is shown.
                assert status in expected, told
            elif status not in WAITING:
                # Its callback was cut off before the answer, but after the commit.
                assert status in expected, told
            if to not in booked:
                assert status == "unconfirmed", told
            elif status == "submitted":
                # By the provider's answer, or because a report of another number proves that all of them arrived.
                assert booked[to].answered or reported & set(booked[to].mobiles), told
            assert answered[to] <= len(row["reports"]) <= len(pushed[to]), told
            assert row["final"] == (status not in WAITING), told


def _reports(world: World) -> tuple[Counter[str], dict[str, list[str]]]:
    """By number: how many reports were answered 200, and the statuses of all that were pushed."""
    answered: Counter[str] = Counter()
    pushed: dict[str, list[str]] = defaultdict(list)
    for record in world.sandbox.ledger.callbacks:
        if record.rows_of == "report":
            for mobile, raw_status in zip(record.mobiles, record.statuses, strict=True):
                pushed[mobile].append(raw_status)
                answered[mobile] += record.http_status == 200
    return answered, pushed


def _check_polling(load: Load, events: list[Json]) -> None:
    ids = [event["id"] for event in events]
    assert len(set(ids)) == len(ids), "an event is there twice"
    # Who polled through all of it saw the same events, each once, none skipped, in the same order.
    assert [event["id"] for event in load.events] == ids, "an event was skipped, came twice or in another order"


def _check_sequences(events: list[Json]) -> None:
    sequences: dict[str, list[int]] = defaultdict(list)
    for event in events:
        if event["type"].startswith("message."):
            sequences[event["data"]["message_id"]].append(event["data"]["sequence"])
    for message_id, sequence in sequences.items():
        assert sequence == list(range(1, len(sequence) + 1)), f"{message_id}: {sequence}"


def _check_report_events(world: World, by_message: dict[str, list[Json]], events: list[Json]) -> None:
    finals: Counter[tuple[str, str, str]] = Counter()
    passing: Counter[tuple[str, str, str]] = Counter()
    for event in events:
        if event["type"].startswith("message."):
            for recipient in event["data"]["recipients"]:
                told = finals if recipient["final"] else passing
                told[event["data"]["message_id"], recipient["to"], recipient["status"]] += 1
    states = {(message_id, row["to"], row["status"]) for message_id, rows in by_message.items() for row in rows}
    expected = {state for state in states if state[2] not in WAITING}
    # What was not answered 2xx may exist all the same: then its events do, too, and none of them twice.
    assert expected <= finals.keys(), "a final state has no event"
    assert {final for final in finals if final[0] in by_message} == expected, "an event has no final state"
    assert states - expected <= passing.keys(), "a state that waits for a report has no event"
    assert [state for state, times in (finals + passing).items() if times > 1] == [], "a state is told once"
    assert len({to for _, to, _ in finals}) == len(finals), "one number, two messages or two final states"
    answered, _ = _reports(world)
    told_of = {to for _, to, _ in finals}
    assert {to for to, times in answered.items() if times} <= told_of, "a report that was answered 200 has no event"


async def _check_inbound(world: World, load: Load, events: list[Json]) -> None:
    stored = Counter([entry["text"] async for entry in world.pages("/v1/inbound")])
    told = Counter(event["data"]["text"] for event in events if event["type"] == "inbound.received")
    assert stored == told, "each inbound message has one event"
    assert [text for text, times in stored.items() if times > 1] == []
    assert {text for text, status in load.inbound.items() if status == 200} <= stored.keys() <= load.inbound.keys()


async def _check_webhooks(world: World, events: list[Json]) -> None:
    ids = {event["id"] for event in events}
    times = world.receiver.times
    await until(lambda: ids <= times.keys(), SETTLE_S, "every event has reached the receiver", world.told)
    assert world.receiver.wrong == []
    assert times.keys() <= ids, "a webhook told of an event that is not there"
    assert {event["id"]: event for event in events} == {event_id: world.receiver.events[event_id] for event_id in ids}


def _check_log(world: World) -> None:
    lines = [line for gateway in world.gateways for line in gateway.log()]
    loud = [line for line in lines if line.get("level") in ("error", "critical")]
    assert loud == [], "\n".join(str(line) for line in loud)
