"""Wait and Poll: who waits is woken by what it waits for, and by nothing else before its time."""

import asyncio
from typing import Any, cast

import pytest

from relay.domain.errors import NotFound
from relay.domain.ids import AccountId, MessageId, SubmissionId, TeamId
from relay.domain.messages import MessageView, SubmissionView
from relay.domain.states import RecipientStatus
from relay.domain.times import instant
from relay.ports import Page, Store
from relay.services.poll import Poll
from relay.services.wait import Wait
from tests.services.stillness import StillClock

TEAM = TeamId("team_" + "1" * 32)
MESSAGE = MessageId("msg_" + "1" * 32)


def view_of(*statuses: RecipientStatus) -> MessageView:
    """A message with a submission of each status."""
    return MessageView(
        id=MESSAGE,
        status=statuses[0],
        text="hello",
        erased=False,
        to_count=len(statuses),
        segments=1,
        units=len(statuses),
        refused=[],
        counts=dict.fromkeys(statuses, 1),
        reference=None,
        metadata={},
        extension=None,
        category="notice",
        on_unconfirmed="hold",
        created_at=instant(0),
        send_at=None,
        expires_at=instant(0),
        submissions=[
            SubmissionView(
                id=SubmissionId(f"sub_{index:032x}"),
                task_id=f"{index:032x}",
                account_id=AccountId("acct_" + "1" * 32),
                status=status,
                code=None,
                provider_message=None,
                waiting_for=None,
            )
            for index, status in enumerate(statuses)
        ],
    )


class Shown:
    """The part of a store that shows messages and events; tells when it was asked."""

    def __init__(self, message: MessageView | None = None) -> None:
        self.shown = message
        self.pages: list[Page[bytes]] = []
        self.asked = asyncio.Semaphore(0)
        self.positions: list[str | None] = []

    async def message(self, team_id: TeamId, message_id: str) -> MessageView | None:
        self.asked.release()
        return self.shown

    async def events(self, team_id: TeamId, *, position: str | None, **rest: Any) -> Page[bytes]:
        self.asked.release()
        self.positions.append(position)
        return self.pages.pop(0) if self.pages else Page(data=[], next_position=position or "0")


def waited(store: Shown, clock: StillClock | None = None) -> Wait:
    return Wait(cast(Store, store), clock or StillClock())


@pytest.mark.parametrize(
    "status", ["submitted", "unconfirmed", "failed", "delivered", "undelivered", "canceled", "no_report"]
)
async def test_an_outcome_of_every_submission_is_answered_at_once(status: RecipientStatus) -> None:
    store = Shown(view_of(status, "submitted"))

    assert await waited(store).settled(TEAM, MESSAGE, 30) == store.shown


@pytest.mark.parametrize("status", ["scheduled", "queued", "submitting"])
async def test_while_one_submission_is_undecided_the_caller_waits_until_it_is_told(status: RecipientStatus) -> None:
    store = Shown(view_of("submitted", status))
    wait = waited(store)
    waiting = asyncio.create_task(wait.settled(TEAM, MESSAGE, 30))
    await store.asked.acquire()
    wait.settled_one(MessageId("msg_" + "2" * 32))
    await asyncio.sleep(0)
    assert not waiting.done()

    store.shown = view_of("submitted", "submitted")
    wait.settled_one(MESSAGE)

    assert await asyncio.wait_for(waiting, 0.5) == store.shown


async def test_after_its_seconds_the_caller_gets_what_is_known() -> None:
    clock, store = StillClock(), Shown(view_of("submitting"))
    wait = waited(store, clock)
    waiting = asyncio.create_task(wait.settled(TEAM, MESSAGE, 30))
    await store.asked.acquire()

    clock.move(30)
    wait.settled_one(MESSAGE)

    assert await asyncio.wait_for(waiting, 0.5) == store.shown


async def test_a_message_that_is_not_there_is_not_waited_for() -> None:
    with pytest.raises(NotFound):
        await waited(Shown(None)).settled(TEAM, MESSAGE, 30)


async def test_a_caller_that_goes_away_is_forgotten() -> None:
    store = Shown(view_of("submitting"))
    wait = waited(store)
    waiting = asyncio.create_task(wait.settled(TEAM, MESSAGE, 30))
    await store.asked.acquire()

    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    wait.settled_one(MESSAGE)

    assert store.asked.locked()


async def polled(store: Shown, poll: Poll, wait_s: float) -> Page[bytes]:
    return await poll.events(TEAM, position="7", limit=10, event_types=(), wait_s=wait_s)


async def test_events_that_are_there_are_answered_at_once() -> None:
    store = Shown()
    store.pages = [Page(data=[b"{}"], next_position="8")]

    assert await polled(store, Poll(cast(Store, store), StillClock()), 30) == Page(data=[b"{}"], next_position="8")


async def test_a_poller_is_woken_by_a_new_event_and_goes_on_where_it_was() -> None:
    store = Shown()
    store.pages = [Page(data=[], next_position="9"), Page(data=[b"{}"], next_position="10")]
    poll = Poll(cast(Store, store), StillClock())
    waiting = asyncio.create_task(polled(store, poll, 30))
    await store.asked.acquire()
    await asyncio.sleep(0)
    assert not waiting.done()

    poll.events_stored()

    assert await asyncio.wait_for(waiting, 0.5) == Page(data=[b"{}"], next_position="10")
    assert store.positions == ["7", "9"]


async def test_a_poller_is_answered_after_its_seconds_with_where_to_go_on() -> None:
    clock, store = StillClock(), Shown()
    poll = Poll(cast(Store, store), clock)
    waiting = asyncio.create_task(polled(store, poll, 30))
    await store.asked.acquire()

    clock.move(30)
    poll.events_stored()

    assert await asyncio.wait_for(waiting, 0.5) == Page(data=[], next_position="7")


async def test_a_poller_that_does_not_wait_is_answered_at_once() -> None:
    store = Shown()

    assert await polled(store, Poll(cast(Store, store), StillClock()), 0) == Page(data=[], next_position="7")
