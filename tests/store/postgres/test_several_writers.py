"""Several processes on one database: sends, outcomes and reports. Each scenario many times, in an order that chance
makes."""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final

from relay.domain.errors import AlreadyExists, QuotaExceeded, Withheld
from relay.domain.extensions import ExtensionView
from relay.domain.ids import AccountId, RawId
from relay.domain.messages import MessageDraft, SubmissionWork
from relay.domain.provider import Accepted, BodySource, InboundRow, RawBody, ReportRow, SendOutcome
from relay.domain.teams import RecipientLimit, Team
from relay.domain.times import SECOND_MS
from relay.ports import Quota, ReceivedBody, Replay, Stored
from tests.store import builders
from tests.store.builders import ACCEPTED, LEASE_MS, NOW_MS, REFUSED, entry, mobiles, report, task_of, work_of
from tests.store.conformance.world import World
from tests.store.postgres.several import POOLED_TOO, Several

ROUNDS: Final = 6
Thing = Callable[[World], Awaitable[Any]]


def _accept(message: MessageDraft, **options: Any) -> Thing:
    return lambda world: world.try_accept(message, **options)


def _finish(work: SubmissionWork, outcome: SendOutcome = ACCEPTED, **options: Any) -> Thing:
    return lambda world: world.finish(work, outcome, **options)


def _report(rows: Sequence[ReportRow], **options: Any) -> Thing:
    return lambda world: world.report(*rows, **options)


def _sweep(now_ms: int = NOW_MS) -> Thing:
    return lambda world: world.sweep(now_ms)


# -- accepting -------------------------------------------------------------------------------------------------------


@POOLED_TOO
async def test_one_idempotency_key_at_several_is_one_message_and_one_answer(three: Several) -> None:
    world = three.worlds[0]
    for number in range(ROUNDS):
        sent = [
            _accept(
                world.draft([mobile]),
                idempotency=builders.idempotency(f"scope {number}", answer=b'{"id":"%d"}' % mobile),
            )
            for mobile in mobiles(6)
        ]
        results = await three.all_well(sent)
        replays = [result for result in results if isinstance(result, Replay)]
        assert (results.count(Stored()), len(replays), len(set(replays))) == (1, 5, 1)
    assert three.execute("SELECT count(*) FROM messages") == [(ROUNDS,)]


@POOLED_TOO
async def test_200_sends_at_once_take_exactly_the_100_units_that_there_are(three: Several) -> None:
    quota = Quota(day="2026-11-18", units=100, ends_in_s=60)
    teams = [builders.team().id for _ in range(3)]
    drafts = [three.worlds[0].draft(mobiles(1), team_id=teams[number % 3]) for number in range(600)]
    results = await three.at_once([_accept(message, quota=quota) for message in drafts])
    assert Counter(type(result) for result in results) == {Stored: 300, QuotaExceeded: 300}
    assert three.execute("SELECT units FROM quota_use") == [(100,)] * 3
    assert three.execute("SELECT count(*) FROM messages GROUP BY team") == [(100,)] * 3
    assert three.deadlocks() == 0


async def test_what_is_refused_gives_back_its_quota_while_others_take_theirs(three: Several) -> None:
    quota = Quota(day="2026-11-18", units=1000, ends_in_s=60)
    teams = [builders.team().id for _ in range(6)]
    before: list[MessageDraft] = []
    for _ in range(10):
        # A few at a time: then each commit has others of the teams.
        sent = [three.worlds[0].draft(mobiles(1), team_id=team) for team in teams for _ in "12"]
        things = [_accept(message, quota=quota) for message in sent]
        await three.all_well([*things, *(_finish(work_of(message), REFUSED) for message in before)])
        before = sent
    assert three.execute("SELECT units FROM quota_use") == [(2,)] * 6
    assert three.deadlocks() == 0


async def test_the_limit_of_a_recipient_holds_however_many_send_at_once(three: Several) -> None:
    limit = RecipientLimit(per_minute=2)
    for number in range(ROUNDS):
        drafts = [three.worlds[0].draft(mobiles(2, 2 * number)) for _ in range(9)]
        results = await three.at_once([_accept(message, limit=limit) for message in drafts])
        assert Counter(type(result) for result in results) == {Stored: 2, Withheld: 7}


async def test_of_two_teams_or_accounts_of_one_name_one_exists(three: Several) -> None:
    def team(name: str) -> Thing:
        return lambda world: world.store.create_team(builders.team(name=name), entry=entry(), idempotency=None)

    def account(name: str, token: str) -> Thing:
        return lambda world: world.store.create_account(
            builders.account(name=name), callback_token=token, entry=entry(), idempotency=None
        )

    for number in range(ROUNDS):
        name = f"name {number}"
        for things in ([team(name)] * 4, [account(name, f"{name} {token}") for token in range(4)]):
            results = await three.at_once(things)
            assert Counter(type(result) for result in results) == {Stored: 1, AlreadyExists: 3}


async def test_an_extension_is_leased_to_one_team_on_each_account_by_whatever_way(three: Several) -> None:
    def create(extension: str, *accounts: AccountId) -> Thing:
        team = builders.team(extensions=(extension,), accounts=accounts)
        return lambda world: world.store.create_team(team, entry=entry(), idempotency=None)

    def lease(extension: str, team: Team, *accounts: AccountId) -> Thing:
        view = ExtensionView(extension=extension, team_id=team.id, account_ids=list(accounts))
        return lambda world: world.store.lease_extension(view, entry=entry(), idempotency=None)

    one, two = await three.worlds[0].add_account(), await three.worlds[0].add_account()
    teams = [builders.team() for _ in range(2)]
    for team in teams:
        await three.worlds[0].store.create_team(team, entry=entry(), idempotency=None)
    for number in range(ROUNDS):
        extension = f"77{number}"
        everywhere = [create(extension), create(extension, one, two), lease(extension, teams[0])]
        results = await three.at_once([*everywhere, lease(extension, teams[1], one, two)])
        assert Counter(type(result) for result in results) == {Stored: 1, AlreadyExists: 3}
        apart = [create(f"8{extension}", one), lease(f"8{extension}", teams[0], two)]
        assert await three.all_well(apart) == [Stored(), Stored()]


# -- reports and outcomes --------------------------------------------------------------------------------------------


async def _books(three: Several, messages: Sequence[MessageDraft], counts: dict[str, int]) -> None:
    for message in messages:
        await three.worlds[0].check_books(message)
        assert await three.worlds[0].counts(message) == counts


@POOLED_TOO
async def test_reports_of_one_message_that_come_everywhere_at_once_count_once(three: Several) -> None:
    everyone = mobiles(50)
    for _ in range(2):
        message = await three.worlds[0].accept(everyone[:30], everyone[30:])
        await three.all_well([_finish(work_of(message, index)) for index in range(2)])
        rows = [report(task_of(message, 0 if index < 30 else 1), mobile) for index, mobile in enumerate(everyone)]
        pushed = [_report([row]) for row in rows]
        pulled = [_report(rows[start : start + 10], source="pull") for start in range(0, 50, 10)]
        received = await three.all_well([*pushed, *pulled])
        assert sum((Counter(one.results) for one in received), Counter()) == {"applied": 50, "repeated": 50}
        told = [change for _, _, changes in (await three.worlds[0].told(message))[2:] for change in changes]
        assert sorted(told) == [(str(mobile), "delivered", None, "DELIVRD") for mobile in everyone]
        await _books(three, [message], {"delivered": 50})
    assert three.deadlocks() == 0


async def test_an_outcome_and_the_reports_may_come_at_the_same_instant(three: Several) -> None:
    world = three.worlds[0]
    messages = [await world.accept(mobiles(2)) for _ in range(40)]
    things = [_finish(work_of(message)) for message in messages]
    things += [_report([report(task_of(message), mobile)]) for message in messages for mobile in mobiles(2)]
    await three.all_well(things)
    await _books(three, messages, {"delivered": 2})


async def test_a_report_under_the_providers_task_id_meets_the_outcome_that_names_it(three: Several) -> None:
    world = three.worlds[0]
    messages = [await world.accept(mobiles(1)) for _ in range(60)]
    things: list[Thing] = []
    for number, message in enumerate(messages):
        things.append(_finish(work_of(message), Accepted(task_id=f"theirs {number}", code="00", message=None)))
        things.append(_report([report(f"theirs {number}", mobiles(1)[0])]))
    await three.all_well(things)
    await three.all_well([_sweep(), _sweep()])
    await _books(three, messages, {"delivered": 1})
    assert three.execute("SELECT count(*) FROM orphans WHERE resolved_ms IS NULL") == [(0,)]


async def test_a_sweep_beside_outcomes_and_reports_doubles_nothing(three: Several) -> None:
    world = three.worlds[0]
    late_ms = NOW_MS + LEASE_MS
    for on_unconfirmed in ("hold", "fail", "resend"):
        messages = [await world.accept(mobiles(2), on_unconfirmed=on_unconfirmed) for _ in range(20)]
        things: list[Thing] = [_finish(work_of(message), now_ms=late_ms) for message in messages]
        things += [_report([report(task_of(message), mobiles(1)[0])], now_ms=late_ms) for message in messages]
        things += [_sweep(late_ms)] * 4
        await three.all_well(things)
        for message in messages:
            await world.check_books(message)
            told = await world.told(message)
            # One report has come, and is told of once: what became of its number before decides how.
            assert [change[3] for _, _, changes in told for change in changes].count("DELIVRD") == 1
        assert three.execute("SELECT count(*) FROM submissions WHERE status IN ('submitting', 'queued')") == [(0,)]


async def test_a_storm_of_reports_makes_no_deadlock(three: Several) -> None:
    world = three.worlds[0]
    everyone = mobiles(24)
    chunks = [everyone[start : start + 6] for start in range(0, 24, 6)]
    messages = [await world.accept(*chunks) for _ in range(20)]
    tasks: list[tuple[str, int]] = []
    finishes: list[Thing] = []
    for number, message in enumerate(messages):
        for index, chunk in enumerate(chunks):
            theirs = f"theirs {number} {index}"
            outcome = Accepted(task_id=theirs, code="00", message=None) if index % 2 else ACCEPTED
            finishes.append(_finish(work_of(message, index), outcome))
            tasks += [(theirs if index % 2 else task_of(message, index), mobile) for mobile in chunk]
    await three.all_well(finishes)
    rows = [report(task, mobile) for task, mobile in tasks for _ in "12"]
    three.chance.shuffle(rows)
    await three.all_well([_report(rows[start : start + 7]) for start in range(0, len(rows), 7)])
    await _books(three, messages, {"delivered": 24})
    assert three.deadlocks() == 0


# -- claims ----------------------------------------------------------------------------------------------------------


@POOLED_TOO
async def test_a_submission_is_claimed_by_one(three: Several) -> None:
    world = three.worlds[0]
    messages = [await world.accept(mobiles(2), status="queued") for _ in range(60)]
    claims: list[Thing] = [
        partial(_claim, limit=three.chance.randrange(1, 9), claim=b"claim %d" % number) for number in range(30)
    ]
    works = [work for claimed in await three.all_well(claims) for work in claimed]
    works += [work for claimed in await three.all_well([partial(_claim, limit=60, claim=b"last")]) for work in claimed]
    assert sorted(work.message_id for work in works) == sorted(message.id for message in messages)
    results = await three.all_well([_finish(work) for work in works])
    assert [result.fenced for result in results] == [False] * 60
    await _books(three, messages, {"submitted": 2})


async def _claim(world: World, *, limit: int, claim: bytes) -> list[SubmissionWork]:
    return await world.claim(limit, claim=claim)


async def test_who_has_lost_his_claim_changes_nothing(three: Several) -> None:
    world = three.worlds[0]
    late_ms = NOW_MS + LEASE_MS
    messages = [await world.accept(mobiles(2), on_unconfirmed="resend") for _ in range(20)]
    await world.sweep(late_ms)
    works = await world.claim(60, now_ms=late_ms, claim=b"another")
    own = [_finish(work, now_ms=late_ms) for work in works]
    lost = [_finish(work_of(message), REFUSED, now_ms=late_ms) for message in messages]
    results = await three.all_well([*own, *lost])
    assert [result.fenced for result in results] == [False] * 20 + [True] * 20
    await _books(three, messages, {"submitted": 2})


# -- inbound ---------------------------------------------------------------------------------------------------------


@POOLED_TOO
async def test_the_pushed_and_the_pulled_copy_of_an_inbound_message_are_one(three: Several) -> None:
    (extension,) = three.worlds[0].team.extensions
    things: list[Thing] = []
    for number in range(30):
        row = builders.inbound(mobiles(1)[0], f"text {number}", extension=extension)
        things += [partial(_hear, row=row, source="push"), partial(_hear, row=row, source="pull")]
    results = await three.all_well(things)
    assert sum((Counter(result) for result in results), Counter()) == {"matched": 30, "twin": 30}
    assert three.execute("SELECT count(*), count(DISTINCT text) FROM inbound") == [(30, 30)]


async def _hear(world: World, *, row: InboundRow, source: BodySource) -> dict[str, int]:
    return await world.hear(row, source=source, now_ms=NOW_MS + SECOND_MS)


async def test_one_raw_body_that_is_taken_up_by_several_is_applied_once(three: Several) -> None:
    world = three.worlds[0]
    for number in range(8):
        raw = builders.raw_body("report", received_ms=NOW_MS + SECOND_MS)
        raw_id = builders.raw_id()
        await world.store.store_raw(world.account.id, raw, raw_id)
        # It names nothing of ours: no lock of a message makes one wait for the other.
        receive = partial(_receive, raw_id=raw_id, raw=raw, row=report(f"{number:032x}", mobiles(1)[0]))
        results = await three.all_well([receive] * 3)
        assert sorted(len(result.results) for result in results) == [0, 0, 1]
    assert three.execute("SELECT count(*) FROM orphans") == [(8,)]


async def _receive(world: World, *, raw_id: RawId, raw: RawBody, row: ReportRow) -> ReceivedBody:
    return await world.store.receive_reports(world.account.id, raw_id, raw, builders.reading([row]))
