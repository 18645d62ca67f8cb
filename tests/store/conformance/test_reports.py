"""One report, one state change, one event, however often and by whichever way it comes."""

import msgspec
import pytest

from relay.domain.messages import MessageDraft, RecipientView, ReportView
from relay.domain.provider import Accepted, BodySource
from relay.domain.reports import classify
from relay.domain.states import RecipientStatus
from relay.domain.times import SECOND_MS, instant
from relay.ports import StoredEffects
from tests.store import builders
from tests.store.builders import ACCEPTED, NOW_MS, REFUSED, UNCONFIRMED, mobiles, report, task_of, work_of
from tests.store.conformance.engines import Database
from tests.store.conformance.world import NO_EFFECTS, NO_REPORT_AFTER_MS, World

NUMBERS = mobiles(2)
FIRST, SECOND = (str(mobile) for mobile in NUMBERS)
THEIRS = Accepted(task_id="their task", code="00", message="ok")
REPORTED_MS = NOW_MS + SECOND_MS


async def _submitted(world: World, outcome: Accepted = ACCEPTED) -> MessageDraft:
    message = await world.accept(NUMBERS)
    await world.finish(work_of(message), outcome)
    return message


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("DELIVRD", "delivered"),
        (" deliver ", "delivered"),
        ("EXPIRED", "expired"),
        ("UNDELIV", "undelivered"),
        ("NOROUTE", "undelivered"),
        ("something new", "undelivered"),
        ("REJECTD", "rejected"),
        ("MBBLACK", "rejected"),
        ("KEYWORD", "rejected"),
        ("SIGNERR", "rejected"),
        ("DISTURB", "rejected"),
    ],
)
async def test_a_final_report_brings_one_number_to_its_status(world: World, word: str, status: RecipientStatus) -> None:
    message = await _submitted(world)
    received = await world.report(report(task_of(message), NUMBERS[0], word))
    event_type = "message.delivered" if status == "delivered" else "message.failed"
    reason = None if status == "delivered" else classify(word)
    assert (received.results, received.quarantined) == ({"applied": 1}, False)
    assert received.effects == StoredEffects(
        deliveries=(),
        recipients_by_status={status: 1},
        segments_by_status={status: 1},
        events_by_type={event_type: 1},  # type: ignore[dict-item] # one of two names of the Literal
    )
    assert (await world.told(message))[1:] == [(event_type, 2, [(FIRST, status, reason, word)])]
    assert (await world.recipients(message))[0] == RecipientView(
        to=FIRST,
        status=status,
        final=True,
        reason=reason,
        provider_status=word,
        submitted_at=instant(NOW_MS),
        final_at=instant(REPORTED_MS),
        segments=1,
        reports=[ReportView(source="push", status=word, time=None, received_at=instant(REPORTED_MS))],
    )
    await world.check_books(message)


@pytest.mark.parametrize("word", ["ACCEPTD", "ENROUTE", "UNKNOWN"])
async def test_a_report_that_is_not_final_is_noted(world: World, word: str) -> None:
    message = await _submitted(world)
    received = await world.report(report(task_of(message), NUMBERS[0], word))
    assert (received.results, received.effects) == ({"noted": 1}, NO_EFFECTS)
    assert await world.counts(message) == {"submitted": 2}
    assert [view.status for view in (await world.recipients(message))[0].reports] == [word]


async def test_the_time_of_a_report_is_when_the_recipient_came_to_its_status(world: World) -> None:
    message = await _submitted(world)
    row = msgspec.structs.replace(report(task_of(message), NUMBERS[0]), raw_time="2611181130", occurred_ms=NOW_MS - 5)
    await world.report(row)
    recipient = (await world.recipients(message))[0]
    assert recipient.final_at == instant(NOW_MS - 5)
    assert recipient.reports == [
        ReportView(source="push", status="DELIVRD", time="2611181130", received_at=instant(REPORTED_MS))
    ]


async def test_a_report_may_come_before_the_answer(world: World) -> None:
    message = await world.accept(NUMBERS)
    await world.report(report(task_of(message), NUMBERS[0]))
    await world.finish(work_of(message), ACCEPTED)
    assert await world.told(message) == [
        ("message.delivered", 1, [(FIRST, "delivered", None, "DELIVRD")]),
        ("message.submitted", 2, [(SECOND, "submitted", None, None)]),
    ]
    await world.check_books(message)


async def test_the_answer_after_all_reports_tells_nothing_new(world: World) -> None:
    message = await world.accept(NUMBERS)
    await world.report(*(report(task_of(message), mobile) for mobile in NUMBERS))
    assert not (await world.finish(work_of(message), ACCEPTED)).fenced
    assert [event_type for event_type, _, _ in await world.told(message)] == ["message.delivered"]
    assert await world.counts(message) == {"delivered": 2}


async def test_a_refusal_after_a_report_fails_only_the_others(world: World) -> None:
    message = await world.accept(NUMBERS)
    await world.report(report(task_of(message), NUMBERS[0]))
    await world.finish(work_of(message), REFUSED)
    assert await world.statuses(message) == {FIRST: "delivered", SECOND: "failed"}
    await world.check_books(message)


async def test_a_report_that_comes_again_by_push_and_pull_changes_nothing(world: World) -> None:
    message = await _submitted(world)
    row = report(task_of(message), NUMBERS[0])
    await world.report(row)
    told = await world.told(message)
    again = await world.report(row)
    pulled = await world.report(report(task_of(message), NUMBERS[0], "DELIVER"), source="pull")
    assert (again.results, again.effects) == ({"repeated": 1}, NO_EFFECTS)
    assert (pulled.results, pulled.effects) == ({"repeated": 1}, NO_EFFECTS)
    assert await world.told(message) == told
    assert [(view.source, view.status) for view in (await world.recipients(message))[0].reports] == [
        ("push", "DELIVRD"),
        ("push", "DELIVRD"),
        ("pull", "DELIVER"),
    ]


async def test_the_first_final_report_stands_and_a_contradiction_is_told_once(world: World) -> None:
    message = await _submitted(world)
    task = task_of(message)
    await world.report(report(task, NUMBERS[0], "UNDELIV"))
    ways: list[tuple[str, BodySource]] = [
        ("DELIVRD", "push"),
        ("DELIVRD", "pull"),
        ("DELIVER", "pull"),
        ("UNDELIV", "push"),
    ]
    results = [(await world.report(report(task, NUMBERS[0], word), source=source)).results for word, source in ways]
    assert results == [{"conflict": 1}, {"repeated": 1}, {"repeated": 1}, {"repeated": 1}]
    assert (await world.told(message))[1:] == [
        ("message.failed", 2, [(FIRST, "undelivered", "undeliverable", "UNDELIV")]),
        ("message.report_conflict", 3, [(FIRST, "delivered", None, "DELIVRD")]),
    ]
    assert [view.status for view in (await world.recipients(message))[0].reports] == [
        "UNDELIV",
        "DELIVRD",
        "DELIVRD",
        "DELIVER",
        "UNDELIV",
    ]
    await world.check_books(message)


async def test_a_report_of_a_refused_submission_is_a_contradiction(world: World) -> None:
    message = await world.accept(NUMBERS)
    await world.finish(work_of(message), REFUSED)
    assert (await world.report(report(task_of(message), NUMBERS[0]))).results == {"conflict": 1}
    assert await world.counts(message) == {"failed": 2}
    await world.check_books(message)


async def test_a_report_after_silence_upgrades(world: World) -> None:
    message = await _submitted(world)
    await world.sweep(NOW_MS + NO_REPORT_AFTER_MS)
    received = await world.report(report(task_of(message), NUMBERS[0]), now_ms=NOW_MS + NO_REPORT_AFTER_MS + 1)
    assert received.results == {"applied": 1}
    assert await world.statuses(message) == {FIRST: "delivered", SECOND: "no_report"}
    await world.check_books(message)


@pytest.mark.parametrize("word", ["DELIVRD", "UNDELIV"])
async def test_a_report_resolves_what_was_unconfirmed(world: World, word: str) -> None:
    message = await world.accept(NUMBERS)
    await world.finish(work_of(message), UNCONFIRMED)
    assert (await world.report(report(task_of(message), NUMBERS[0], word))).results == {"applied": 1}
    assert (await world.counts(message))["unconfirmed"] == 1
    await world.check_books(message)


async def test_a_masked_report_finds_its_number(world: World) -> None:
    message = await _submitted(world)
    masked = report(task_of(message), NUMBERS[1], masked=True)
    assert (await world.report(masked, source="pull")).results == {"applied": 1}
    assert await world.statuses(message) == {FIRST: "submitted", SECOND: "delivered"}


async def test_a_mask_of_another_prefix_finds_nobody(world: World) -> None:
    message = await _submitted(world)
    row = report(task_of(message), 13_900_130_001, masked=True)
    assert (await world.report(row, source="pull")).results == {"orphaned": 1}


async def test_a_report_under_the_providers_own_task_id_is_found(world: World) -> None:
    message = await _submitted(world, THEIRS)
    assert (await world.report(report("their task", NUMBERS[0]))).results == {"applied": 1}
    assert (await world.report(report(task_of(message), NUMBERS[1]))).results == {"applied": 1}
    assert await world.counts(message) == {"delivered": 2}


async def test_one_body_may_name_a_submission_by_both_task_ids(world: World) -> None:
    message = await _submitted(world, THEIRS)
    received = await world.report(
        report("their task", NUMBERS[0]), report(task_of(message), NUMBERS[0]), report(task_of(message), NUMBERS[1])
    )
    assert received.results == {"applied": 2, "repeated": 1}
    assert (await world.told(message))[1:] == [
        ("message.delivered", 2, [(FIRST, "delivered", None, "DELIVRD"), (SECOND, "delivered", None, "DELIVRD")])
    ]
    await world.check_books(message)


# -- nobody's reports ------------------------------------------------------------------------------------------------


async def test_a_report_that_names_nothing_of_ours_is_kept_as_an_orphan(world: World, database: Database) -> None:
    message = await _submitted(world)
    unreadable = msgspec.structs.replace(report(task_of(message), NUMBERS[0]), mobile=None, mobile_text="?")
    received = await world.report(
        report("f" * 32, NUMBERS[0]),
        report("not a task of ours", NUMBERS[0]),
        report(None, NUMBERS[0]),
        report(task_of(message), 13800139999),
        unreadable,
    )
    assert (received.results, received.effects) == ({"orphaned": 5}, NO_EFFECTS)
    assert await world.counts(message) == {"submitted": 2}
    assert database.execute("SELECT task_id, mobile_text, content, source FROM orphans ORDER BY id") == [
        ("f" * 32, FIRST, "DELIVRD", "push"),
        ("not a task of ours", FIRST, "DELIVRD", "push"),
        (None, FIRST, "DELIVRD", "push"),
        (task_of(message), "13800139999", "DELIVRD", "push"),
        (task_of(message), "?", "DELIVRD", "push"),
    ]


async def test_an_account_cannot_report_on_the_submissions_of_another(world: World) -> None:
    message = await _submitted(world, THEIRS)
    other = builders.account().id
    rows = [report(task, NUMBERS[0]) for task in (task_of(message), "their task")]
    assert (await world.report(*rows, account_id=other)).results == {"orphaned": 2}
    assert await world.counts(message) == {"submitted": 2}


async def test_orphans_are_adopted_when_the_answer_tells_their_task_id(world: World) -> None:
    message = await world.accept(NUMBERS)
    await world.report(
        report("their task", NUMBERS[0]), report("their task", NUMBERS[1], "UNDELIV", masked=True), source="pull"
    )
    await world.report(report("their task", NUMBERS[0]), report("their task", 13800139999))
    finished = await world.finish(work_of(message), THEIRS)
    assert finished.effects.recipients_by_status == {"submitted": 2, "delivered": 1, "undelivered": 1}
    assert await world.told(message) == [
        ("message.submitted", 1, [(FIRST, "submitted", None, None), (SECOND, "submitted", None, None)]),
        ("message.delivered", 2, [(FIRST, "delivered", None, "DELIVRD")]),
        ("message.failed", 3, [(SECOND, "undelivered", "undeliverable", "UNDELIV")]),
    ]
    reports = [[(view.source, view.status) for view in found.reports] for found in await world.recipients(message)]
    assert reports == [[("pull", "DELIVRD"), ("push", "DELIVRD")], [("pull", "UNDELIV")]]
    await world.check_books(message)


async def test_orphans_are_adopted_once_and_by_their_own_account(world: World) -> None:
    other = builders.account().id
    await world.report(report("their task", NUMBERS[0]), account_id=other)
    first = await _submitted(world, THEIRS)
    assert await world.counts(first) == {"submitted": 2}
    await world.report(report("another task", NUMBERS[0]))
    another = Accepted(task_id="another task", code="00", message=None)
    second, third = await _submitted(world, another), await _submitted(world, another)
    assert await world.counts(second) == {"submitted": 1, "delivered": 1}
    assert await world.counts(third) == {"submitted": 2}


# -- bodies of many rows ---------------------------------------------------------------------------------------------


async def test_one_body_brings_many_messages_forward_each_with_its_own_events(world: World) -> None:
    first, second = await _submitted(world), await _submitted(world)
    received = await world.report(
        report(task_of(first), NUMBERS[0]),
        report(task_of(second), NUMBERS[0]),
        report(task_of(first), NUMBERS[1]),
        report(task_of(second), NUMBERS[1], "UNDELIV"),
        report(task_of(first), NUMBERS[0]),
        report(task_of(second), NUMBERS[0], "EXPIRED"),
        report(task_of(second), NUMBERS[0], "EXPIRED"),
        report("f" * 32, NUMBERS[0]),
    )
    assert received.results == {"applied": 4, "repeated": 2, "conflict": 1, "orphaned": 1}
    assert (await world.told(first))[1:] == [
        ("message.delivered", 2, [(FIRST, "delivered", None, "DELIVRD"), (SECOND, "delivered", None, "DELIVRD")])
    ]
    assert (await world.told(second))[1:] == [
        ("message.delivered", 2, [(FIRST, "delivered", None, "DELIVRD")]),
        ("message.failed", 3, [(SECOND, "undelivered", "undeliverable", "UNDELIV")]),
        ("message.report_conflict", 4, [(FIRST, "expired", "expired", "EXPIRED")]),
    ]
    await world.check_books(first)
    await world.check_books(second)


async def test_an_event_tells_of_500_recipients_at_most(world: World) -> None:
    everyone = mobiles(1200)
    message = await world.accept(everyone[:700], everyone[700:])
    for index in range(2):
        await world.finish(work_of(message, index), ACCEPTED)
    rows = [report(task_of(message, 0 if index < 700 else 1), mobile) for index, mobile in enumerate(everyone)]
    received = await world.report(*rows)
    assert received.effects.events_by_type == {"message.delivered": 3}
    told = await world.told(message)
    assert [(event_type, sequence, len(changes)) for event_type, sequence, changes in told] == [
        ("message.submitted", 1, 500),
        ("message.submitted", 2, 200),
        ("message.submitted", 3, 500),
        ("message.delivered", 4, 500),
        ("message.delivered", 5, 500),
        ("message.delivered", 6, 200),
    ]
    assert [change[0] for _, _, changes in told[3:] for change in changes] == [str(mobile) for mobile in everyone]
    assert await world.counts(message) == {"delivered": 1200}


async def test_an_event_of_a_report_is_complete(world: World) -> None:
    message = await _submitted(world)
    row = msgspec.structs.replace(report(task_of(message), NUMBERS[0]), occurred_ms=NOW_MS - 5)
    await world.report(row)
    event = (await world.events())[-1]
    assert event == {
        "id": event["id"],
        "type": "message.delivered",
        "timestamp": "2026-11-18T11:06:41Z",
        "data": {
            "message_id": message.id,
            "reference": "order 7",
            "metadata": {"shop": "3"},
            "sequence": 2,
            "occurred_at": "2026-11-18T11:06:39.995000Z",
            "received_at": "2026-11-18T11:06:41Z",
            "recipients": [
                {
                    "to": FIRST,
                    "status": "delivered",
                    "reason": None,
                    "provider_status": "DELIVRD",
                    "final": True,
                    "occurred_at": "2026-11-18T11:06:39.995000Z",
                }
            ],
        },
    }


async def test_a_body_of_6000_rows_with_as_many_tasks_and_masks_is_applied_whole(world: World) -> None:
    everyone = mobiles(3000)
    message = await world.accept(everyone)
    rows = [report(task_of(message), mobile, masked=True) for mobile in everyone]
    rows += [report(f"{index:032x}", NUMBERS[0]) for index in range(3000)]
    assert (await world.report(*rows, source="pull")).results == {"applied": 3000, "orphaned": 3000}
