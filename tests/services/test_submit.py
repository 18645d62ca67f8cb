"""One attempt: its outcome exists nowhere else, so it is stored however long the store is away."""

from typing import Any, cast

import msgspec
import pytest

from relay.domain.accounts import Account
from relay.domain.errors import StoreError, StoreUnavailable
from relay.domain.extensions import Lease
from relay.domain.ids import MessageId, SubmissionId, TeamId
from relay.domain.messages import SubmissionWork
from relay.domain.provider import Accepted, NotSent, Refused, SendOutcome, Unconfirmed
from relay.domain.teams import Team
from relay.domain.times import LATEST_MS, SECOND_MS
from relay.ports import FinishedSubmission, MaySend, Provider, Store, StoredEffects, always
from relay.services.accounts import AccountBook
from relay.services.membership import Alone, Members
from relay.services.routing import Routing
from relay.services.slots import Gates
from relay.services.submit import Submit
from tests.services.stillness import Among, FixedEntropy, StillClock, account_of, team_of

WORK = SubmissionWork(
    id=SubmissionId("sub_" + "1" * 32),
    message_id=MessageId("msg_" + "1" * 32),
    team_id=TeamId("team_" + "1" * 32),
    account_id=account_of().id,
    text="hello",
    extension=None,
    mobiles=[13800131234],
    attempt=1,
    claim=b"claim",
    lease_until_ms=LATEST_MS,
    category="notice",
    on_unconfirmed="hold",
    accepted_ms=0,
)
ACCEPTED = Accepted(task_id=None, code="00", message=None)


class Away:
    """A store that cannot be written the first ``failures`` times; it keeps how it was asked."""

    def __init__(self, accounts: list[Account], failures: int, error: Exception | None = None) -> None:
        self._accounts = accounts
        self._failures = failures
        self._error = error or StoreUnavailable("away")
        self.finished: list[dict[str, Any]] = []
        self.leases: list[Lease] = []

    async def accounts(self) -> list[Account]:
        return self._accounts

    async def callback_tokens(self) -> dict[bytes, Any]:
        return {}

    async def leases_of(self, extension: str) -> list[Lease]:
        return self.leases

    async def team(self, team_id: str) -> Team:
        return team_of()

    async def finish_submission(self, work: SubmissionWork, outcome: SendOutcome, **more: Any) -> FinishedSubmission:
        if self._failures:
            self._failures -= 1
            raise self._error
        self.finished.append({"outcome": outcome, **more})
        effects = StoredEffects(deliveries=(), recipients_by_status={}, segments_by_status={}, events_by_type={})
        return FinishedSubmission(
            fenced=False, status="submitted", message_id=work.message_id, retry_due_ms=None, effects=effects
        )


class Answers:
    """A provider that answers one thing, and counts how often it was asked."""

    def __init__(self, clock: StillClock, outcome: SendOutcome) -> None:
        self._clock = clock
        self._outcome = outcome
        self.sent = 0
        self.may_send: MaySend = always

    async def send(self, account: Account, work: SubmissionWork, may_send: MaySend = always) -> SendOutcome:
        self.sent += 1
        self.may_send = may_send
        self._clock.move(0.2)
        return self._outcome


class Attempted(msgspec.Struct, frozen=True):
    """What is there after an attempt."""

    store: Away
    provider: Answers
    clock: StillClock
    seconds: float


async def attempt(
    outcome: SendOutcome,
    *,
    failures: int = 0,
    work: SubmissionWork = WORK,
    account: Account | None = None,
    error: Exception | None = None,
    members: Members | None = None,
    others: tuple[Account, ...] = (),
    leases: tuple[Lease, ...] = (),
    broken: tuple[Account, ...] = (),
) -> Attempted:
    clock = StillClock()
    store = Away([account or account_of(), *others], failures, error)
    store.leases = list(leases)
    provider = Answers(clock, outcome)
    book = AccountBook(cast(Store, store), clock, sandbox_for_live=False)
    await book.refresh()
    members = members or Alone(FixedEntropy())
    gates = Gates(clock, members, FixedEntropy())
    for one in broken:
        gates.of(one).breaker.learn(0, Refused(code="03", message=None, reason="balance", scope="account"))
    routing = Routing(cast(Store, store), book, gates, clock)
    submit = Submit(cast(Store, store), cast(Provider, provider), book, gates, routing, members, clock, FixedEntropy())
    done = await submit.attempt(work)
    return Attempted(store, provider, clock, done.seconds)


async def test_an_outcome_is_stored_however_long_the_store_is_away_and_sent_once() -> None:
    done = await attempt(ACCEPTED, failures=8)

    assert [finish["outcome"] for finish in done.store.finished] == [ACCEPTED]
    assert done.provider.sent == 1
    assert done.clock.slept == [0.1, 0.5, 1.0, 2.0, 5.0, 5.0, 5.0, 5.0]


async def test_the_providers_part_of_the_time_is_told_apart() -> None:
    assert (await attempt(ACCEPTED, failures=3)).seconds == pytest.approx(0.2)


async def test_a_mistake_of_ours_is_not_tried_for_ever() -> None:
    with pytest.raises(StoreError):
        await attempt(ACCEPTED, failures=1, error=StoreError("no such column"))


@pytest.mark.parametrize(
    ("attempts", "retry_after_s", "delay_ms"),
    [(1, None, 550), (2, None, 1100), (3, None, 2200), (20, None, 66_000), (1, 30.0, 30_000), (20, 30.0, 66_000)],
)
async def test_what_was_not_sent_is_due_again_after_the_back_off_or_what_the_provider_asked(
    attempts: int, retry_after_s: float | None, delay_ms: int
) -> None:
    outcome = NotSent(why="http_429", retry_after_s=retry_after_s)

    done = await attempt(outcome, work=msgspec.structs.replace(WORK, attempt=attempts))

    (finish,) = done.store.finished
    assert finish["retry_due_ms"] - finish["now_ms"] == delay_ms


@pytest.mark.parametrize(
    ("on_unconfirmed", "task_id_dedup", "resend"),
    [("hold", False, False), ("fail", False, False), ("resend", False, True), ("hold", True, True)],
)
async def test_only_the_caller_or_the_account_allows_to_send_again(
    on_unconfirmed: str, task_id_dedup: bool, resend: bool
) -> None:
    work = msgspec.structs.replace(WORK, on_unconfirmed=on_unconfirmed)

    done = await attempt(Unconfirmed(why="read_timeout"), work=work, account=account_of(task_id_dedup=task_id_dedup))

    assert [finish["resend"] for finish in done.store.finished] == [resend]


async def test_an_account_that_is_gone_is_an_error_and_nothing_is_sent() -> None:
    with pytest.raises(LookupError):
        await attempt(ACCEPTED, account=account_of(2))


async def test_what_is_not_ours_any_more_is_not_sent_and_its_claim_decides_what_becomes_of_it() -> None:
    among = Among()
    among.owning = False

    done = await attempt(ACCEPTED, members=among)

    assert [finish["outcome"] for finish in done.store.finished] == [NotSent(why="lease")]
    assert done.provider.sent == 0


async def test_what_comes_after_its_lease_is_not_sent() -> None:
    now_ms = StillClock().now_ms()

    done = await attempt(ACCEPTED, work=msgspec.structs.replace(WORK, lease_until_ms=now_ms))
    assert (done.provider.sent, done.store.finished[0]["outcome"]) == (0, NotSent(why="lease"))

    done = await attempt(ACCEPTED, work=msgspec.structs.replace(WORK, lease_until_ms=now_ms + 1))
    assert done.provider.sent == 1


async def test_the_provider_is_given_the_same_question_for_the_first_byte() -> None:
    among = Among()
    done = await attempt(ACCEPTED, members=among)

    assert done.provider.may_send()
    among.owning = False
    assert not done.provider.may_send()
    among.owning = True
    done.clock.ms = LATEST_MS
    assert not done.provider.may_send()


@pytest.mark.parametrize(
    ("outcome", "attempts", "number", "delay_ms"),
    [
        (NotSent(why="connect"), 1, 2, 0),
        (NotSent(why="http_429", retry_after_s=60.0), 1, 2, 0),
        (NotSent(why="code", code="08", reason="throttled"), 1, 2, 0),
        # Both had their turn.
        (NotSent(why="connect"), 2, 2, 550),
        (NotSent(why="connect"), 4, 2, 1100),
        (NotSent(why="lease"), 1, None, 550),
        (Unconfirmed(why="read_timeout"), 1, None, 550),
    ],
    ids=str,
)
async def test_only_what_was_not_sent_goes_to_the_next_account_and_at_once_if_that_has_not_had_its_turn(
    outcome: SendOutcome, attempts: int, number: int | None, delay_ms: int
) -> None:
    work = msgspec.structs.replace(WORK, attempt=attempts, on_unconfirmed="resend")
    members = Among()
    members.owning = outcome != NotSent(why="lease")

    done = await attempt(outcome, work=work, members=members, others=(account_of(2),))

    (finish,) = done.store.finished
    assert finish["move_to"] == (None if number is None else account_of(number).id)
    assert finish["retry_due_ms"] - finish["now_ms"] == delay_ms


@pytest.mark.parametrize(
    ("other", "wait_s"),
    [([], 3600), ([account_of(2, disabled=True)], 3600), ([account_of(2)], 60)],
)
async def test_what_is_to_wait_long_is_looked_at_earlier_when_other_accounts_may_take_it(
    other: list[Account], wait_s: int
) -> None:
    outcome = NotSent(why="http_429", reason="throttled", retry_after_s=3600.0)

    done = await attempt(outcome, others=tuple(other), broken=tuple(other))

    (finish,) = done.store.finished
    assert finish["move_to"] is None
    assert finish["retry_due_ms"] - finish["now_ms"] == wait_s * SECOND_MS


@pytest.mark.parametrize("other", [[], [account_of(2)]])
async def test_nothing_is_sent_whose_answers_would_be_another_teams_by_now(other: list[Account]) -> None:
    """The extension was leased to somebody else on its account while the message waited."""
    theirs = Lease(extension="88", account_id=account_of().id, team_id=TeamId("team_" + "2" * 32))
    work = msgspec.structs.replace(WORK, extension="88")

    done = await attempt(ACCEPTED, work=work, leases=(theirs,), others=tuple(other))

    assert done.provider.sent == 0
    (finish,) = done.store.finished
    assert finish["outcome"] == NotSent(why="extension")
    assert finish["move_to"] == (other[0].id if other else None)
