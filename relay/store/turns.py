"""When each script may run among others, on an engine with several writers: what it locks, and where it stands.

Within a commit: first what settles messages, whose locks are taken at its beginning; last what accepts, which nobody
else can see yet, so that none of its many rows has to be written before the others may read. What claims learns only
then whose messages it changes, and waits for them: it shares its commit with nobody, so that it holds nothing by then
that others wait for.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from relay.domain.endpoints import DeliveryWork
from relay.domain.ids import AccountId, TeamId, is_task_id, raw_bytes
from relay.domain.messages import MessageDraft, SubmissionWork
from relay.domain.orphans import OrphanView
from relay.domain.provider import InboundRow, Reading, Refused, ReportRow, SendOutcome
from relay.domain.suppressions import Suppression
from relay.ports import Idempotency, Quota, ReadBody, ReadReports
from relay.store.script import Turn

_ACCEPT: Final = 1

CLAIM: Final = Turn(alone=True)
MOVE: Final = Turn(alone=True)
"""It waits for nobody, because it passes over what others hold; and what it has is free again before others work."""
ALONE: Final = Turn(alone=True)
"""It looks at rows of everybody, or others wait for the rows that it has: then for it alone, not for its neighbours."""
TEAMS: Final = Turn(locks=("teams",))
"""Names of teams and leases of extensions: what is free when it is looked at must be free when it is taken."""

ACCOUNTS: Final = Turn(locks=("accounts",))
"""Accounts and their callback tokens change one at a time: names are taken once, and two tokens at most are live. They
change seldom."""
DELETE_ACCOUNT: Final = Turn(locks=(*ACCOUNTS.locks, *TEAMS.locks))
"""No team takes the account meanwhile, nor an extension on it."""


def accept(
    draft: MessageDraft, *, limited: bool, repeats: bool, quota: Quota | None, idempotency: Idempotency | None
) -> Turn:
    """``limited``: its numbers are counted, and whoever counts must see what others have just added. ``repeats``: the
    same text is looked for. For a quota or a key others would wait without these locks, too, but two processes might
    each have the one that the other wants next."""
    locks: list[str] = []
    if quota is not None:
        locks.append(_quota(draft.team_id))
    if limited:
        locks.append(f"numbers:{draft.team_id}:{draft.category}")
    if repeats:
        locks.append(f"text:{draft.team_id}:{draft.text}")
    if idempotency is not None:
        locks.append(f"key:{idempotency.scope}:{idempotency.key}")
    return Turn(place=_ACCEPT, order=draft.team_id, locks=tuple(locks), weight=draft.to_count + 4)


def update_team(team_id: TeamId) -> Turn:
    """A quota that is set during the day counts what was accepted before."""
    return Turn(locks=(*TEAMS.locks, _quota(team_id)))


def add_suppressions(suppressions: Sequence[Suppression], idempotency: Idempotency | None) -> Turn:
    """One import at a time for a team: each looks first for what is there."""
    locks = [f"suppressions:{suppression.team_id}" for suppression in suppressions[:1]]
    if idempotency is not None:
        locks.append(f"key:{idempotency.scope}:{idempotency.key}")
    return Turn(locks=tuple(locks), weight=len(suppressions))


def keep_balance(account_id: AccountId) -> Turn:
    """One at a time for an account: whether it was low before decides who is told."""
    return Turn(locks=(f"balance:{account_id}",))


def finish_submission(work: SubmissionWork, outcome: SendOutcome) -> Turn:
    """Its message is its own. What was refused gives its quota back."""
    locks = (_quota(work.team_id),) if isinstance(outcome, Refused) else ()
    return Turn(submissions=(raw_bytes(work.id),), locks=locks)


def withhold(work: SubmissionWork) -> Turn:
    """What is not sent gives its quota back."""
    return Turn(submissions=(raw_bytes(work.id),), locks=(_quota(work.team_id),), weight=len(work.mobiles))


def change(thing_id: str, submissions: Sequence[bytes] = ()) -> Turn:
    """Whoever changes it has read it before, and both belong together; and the messages of these."""
    return Turn(submissions=tuple(submissions), locks=(f"change:{thing_id}",))


def rematch(orphan: OrphanView) -> Turn:
    """What receiving it needed, and itself."""
    locks = (f"change:{orphan.id}",)
    if orphan.kind == "mo":
        return Turn(locks=(f"inbound:{orphan.account_id}", *locks))
    if orphan.task_id is not None and is_task_id(orphan.task_id):
        return Turn(submissions=(bytes.fromhex(orphan.task_id),), locks=locks)
    return Turn(tasks=() if orphan.task_id is None else (orphan.task_id,), locks=locks)


def reprocess_body(body: ReadBody) -> Turn:
    """What receiving it needs, and itself."""
    turn = receive_in_turn([body])
    return msgspec.structs.replace(turn, locks=(*turn.locks, f"change:{body.item.id}"))


def finish_delivery(work: DeliveryWork) -> Turn:
    """It may change its endpoint."""
    return Turn(order=work.endpoint_id)


def receive_reports(reading: Reading[ReportRow]) -> Turn:
    """The messages that it names, by our own taskIds or the provider's."""
    tasks = {row.task_id for row in reading.rows if row.task_id is not None}
    own = {task for task in tasks if is_task_id(task)}
    return Turn(submissions=tuple(map(bytes.fromhex, own)), tasks=tuple(tasks - own), weight=1 + 3 * len(reading.rows))


def receive_inbound(account_id: AccountId, reading: Reading[InboundRow]) -> Turn:
    """One at a time for an account: the pushed and the pulled copy of one message must see each other."""
    return Turn(locks=(f"inbound:{account_id}",), weight=1 + 3 * len(reading.rows))


def receive_in_turn(bodies: list[ReadBody]) -> Turn:
    """What each of them needs, all at once."""
    each = [
        receive_reports(body.reading)
        if isinstance(body, ReadReports)
        else receive_inbound(body.item.account_id, body.reading)
        for body in bodies
    ]
    return Turn(
        submissions=tuple({submission for turn in each for submission in turn.submissions}),
        tasks=tuple({task for turn in each for task in turn.tasks}),
        locks=tuple({lock for turn in each for lock in turn.locks}),
        weight=sum(turn.weight for turn in each),
    )


def _quota(team_id: TeamId) -> str:
    return f"quota:{team_id}"
