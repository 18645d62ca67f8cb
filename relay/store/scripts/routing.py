"""Submissions that change their account before they were sent."""

from collections.abc import Sequence
from typing import Final

from relay.domain.ids import AccountId, MessageId, SubmissionId, TeamId, raw_bytes
from relay.domain.states import PRIORITY, Category
from relay.ports import Stranded
from relay.store.script import Db, Script

MOST_COUNTED: Final = 10_000


def stranded(
    db: Db, account_id: AccountId, category: Category, now_ms: int, skip: int, limit: int
) -> Script[list[Stranded]]:
    """See ``relay.ports.routing.RoutingStore.stranded``."""
    found = yield from db.rows(
        "submissions.stranded",
        account=raw_bytes(account_id),
        priority=PRIORITY[category],
        now_ms=now_ms,
        skip=skip,
        most=limit,
    )
    messages = [{"message": message} for message in dict.fromkeys(bytes(row[1]) for row in found)]
    senders = {bytes(sender[0]): sender[1:] for sender in (yield from db.each("messages.sender", messages))}
    return [
        Stranded(
            id=SubmissionId("sub_" + bytes(submission).hex()),
            message_id=MessageId("msg_" + bytes(message).hex()),
            team_id=TeamId("team_" + bytes(senders[bytes(message)][0]).hex()),
            numbers=numbers,
            extension=senders[bytes(message)][1],
        )
        for submission, message, numbers in found
    ]


def move(
    db: Db, account_id: AccountId, moves: Sequence[tuple[SubmissionId, AccountId]]
) -> Script[list[tuple[SubmissionId, AccountId]]]:
    """See ``relay.ports.routing.RoutingStore.move_submissions``."""
    account = raw_bytes(account_id)
    moved = yield from db.each(
        "submissions.change_account",
        [{"id": raw_bytes(submission), "account": account, "to_account": raw_bytes(to)} for submission, to in moves],
    )
    return [
        (SubmissionId("sub_" + bytes(submission).hex()), AccountId("acct_" + bytes(to).hex()))
        for submission, to in moved
    ]


def waiting_on(db: Db, account_id: AccountId, now_ms: int) -> Script[int]:
    """See ``relay.ports.routing.RoutingStore.waiting_on``."""
    number = 0
    for priority in PRIORITY.values():
        row = yield from db.row(
            "submissions.due_number",
            account=raw_bytes(account_id),
            priority=priority,
            now_ms=now_ms,
            most=MOST_COUNTED - number,
        )
        number += 0 if row is None else row[0]
    return number
