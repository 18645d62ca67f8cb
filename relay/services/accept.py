"""Accepting a message: checked, split into submissions, stored, and started where there is a free slot."""

import asyncio
from collections.abc import Callable
from datetime import tzinfo
from typing import Final, Protocol

import msgspec

from relay.domain.accounts import Account
from relay.domain.chunks import pack
from relay.domain.errors import BodyInvalid, FieldError, QuotaExceeded, QuotaTooSmall, Withheld
from relay.domain.ids import AccountId, MessageId, SubmissionId
from relay.domain.messages import MessageDraft, MessageView, SubmissionDraft, SubmissionWork
from relay.domain.quotas import quota_day
from relay.domain.segments import count_segments
from relay.domain.signatures import SecondSignature, sign
from relay.domain.states import RecipientStatus
from relay.domain.teams import Principal, RecipientLimit, Team
from relay.domain.times import DAY_MS, SECOND_MS
from relay.ports import Clock, Entropy, Quota, Replay, Store
from relay.services.drafts import view_of, work_of
from relay.services.idempotency import KeyUse
from relay.services.membership import Members
from relay.services.recipients import joined, nobody_left, read_numbers
from relay.services.requests import SendRequest
from relay.services.routing import Routing
from relay.services.slots import Gate, Gates

_ACCEPTED_STATUS: Final = 202
LONGEST_AHEAD_MS: Final = 366 * DAY_MS
"""How far ahead a message may be scheduled."""


class AcceptedMessage(msgspec.Struct, frozen=True, kw_only=True):
    """It is stored; ``answer`` is what the caller is told, and what a replay of its key gets."""

    view: MessageView
    answer: bytes


class Submitter(Protocol):
    """The submit worker of this process."""

    def start(self, work: SubmissionWork) -> None:
        """Send it now; its slot is taken."""

    def wake(self, account_id: AccountId) -> None:
        """Something of this account waits in the store."""


class Accept:
    """The use case behind POST /v1/messages."""

    def __init__(
        self,
        store: Store,
        routing: Routing,
        gates: Gates,
        members: Members,
        submitter: Submitter,
        clock: Clock,
        entropy: Entropy,
        *,
        lease_s: float,
        ttl_s: float,
        quota_zone: tzinfo,
    ) -> None:
        self._store = store
        self._routing = routing
        self._gates = gates
        self._members = members
        self._submitter = submitter
        self._clock = clock
        self._entropy = entropy
        self._lease_ms = int(lease_s * SECOND_MS)
        self._ttl_ms = int(ttl_s * SECOND_MS)
        self._quota_zone = quota_zone

    async def send(
        self,
        principal: Principal,
        request: SendRequest,
        use: KeyUse | None,
        render: Callable[[MessageView], bytes],
    ) -> AcceptedMessage | Replay:
        """Store the message and start it. Raises NoRecipientLeft, NoAccount, BodyInvalid, QuotaExceeded,
        QuotaTooSmall, RecipientLimitExceeded, IdempotencyKeyReused, StoreUnavailable; then nothing is stored."""
        team = principal.team
        if team is None:
            raise TypeError("a message belongs to a team")
        if use is not None:
            # A replay answers as the first time, also when the request would be refused by now.
            replay = await self._store.find_replay(use.scope, use.key, use.fingerprint)
            if replay is not None:
                return replay
        now_ms = self._clock.now_ms()
        message_id = MessageId(self._entropy.new_id("msg_"))
        account = await self._routing.choose(principal, message_id, request.extension)
        gate = self._gates.of(account)
        withheld = Withheld({})
        while True:
            draft = self._draft(message_id, principal, team, request, account, now_ms, withheld)
            taken = self._take_slots(draft, gate)
            view = self._routing.explain(view_of(draft))
            answer = render(view)
            try:
                # Shielded: once it is committed it must be started, whatever becomes of the caller.
                replayed = await asyncio.shield(self._store_and_start(team, draft, account, gate, taken, use, answer))
            except Withheld as more:
                # This ends: each time at least one number less is tried.
                withheld = joined(withheld, more)
            else:
                return replayed or AcceptedMessage(view=view, answer=answer)

    def _draft(
        self,
        message_id: MessageId,
        principal: Principal,
        team: Team,
        request: SendRequest,
        account: Account,
        now_ms: int,
        withheld: Withheld,
    ) -> MessageDraft:
        mobiles, refused = read_numbers(request.to, withheld.numbers)
        if not mobiles:
            raise nobody_left(refused, withheld)
        text = _signed(request.text, team.signature)
        if request.send_at_ms is not None and request.send_at_ms > now_ms + LONGEST_AHEAD_MS:
            raise BodyInvalid(
                "The message would be sent too late.",
                errors=(FieldError(pointer="/send_at", detail="must lie within the next 366 days"),),
            )
        later = request.send_at_ms is not None and request.send_at_ms > now_ms
        due_ms = request.send_at_ms if later and request.send_at_ms is not None else now_ms
        expires_ms = request.expires_ms if request.expires_ms is not None else due_ms + self._ttl_ms
        if expires_ms <= due_ms:
            raise BodyInvalid(
                "The message would expire before it is sent.",
                errors=(FieldError(pointer="/expires_at", detail="must be later than send_at and than now"),),
            )
        status: RecipientStatus = "scheduled" if later else "queued"
        return MessageDraft(
            id=message_id,
            team_id=team.id,
            key_id=principal.key_id,
            mode=principal.mode,
            text=text,
            extension=request.extension,
            reference=request.reference,
            metadata=request.metadata,
            category=request.category,
            on_unconfirmed=request.on_unconfirmed,
            created_ms=now_ms,
            send_at_ms=request.send_at_ms,
            expires_ms=expires_ms,
            segments=count_segments(text),
            refused=refused,
            submissions=[
                SubmissionDraft(
                    id=SubmissionId(self._entropy.new_id("sub_")),
                    account_id=account.id,
                    mobiles=chunk,
                    status=status,
                    due_ms=due_ms,
                )
                for chunk in pack(mobiles, account.max_mobiles)
            ],
        )

    def _take_slots(self, draft: MessageDraft, gate: Gate) -> int:
        """Mark as many submissions as there are free slots ``submitting``; how many."""
        taken = 0
        for index, submission in enumerate(draft.submissions):
            if submission.status != "queued" or gate.backlog or not gate.take():
                break
            draft.submissions[index] = msgspec.structs.replace(submission, status="submitting")
            taken += 1
        return taken

    async def _store_and_start(
        self,
        team: Team,
        draft: MessageDraft,
        account: Account,
        gate: Gate,
        taken: int,
        use: KeyUse | None,
        answer: bytes,
    ) -> Replay | None:
        quota = self._quota(team, draft)
        claim = self._members.claim()
        lease_until_ms = draft.created_ms + self._lease_ms + int(account.timeout_s * SECOND_MS)
        stored = False
        try:
            outcome = await self._store.accept(
                draft,
                claim=claim,
                lease_until_ms=lease_until_ms,
                quota=quota,
                limit=_limit(team, draft),
                repeat_window_ms=team.dedupe_window_s * SECOND_MS,
                idempotency=None if use is None else use.answered(_ACCEPTED_STATUS, answer, draft.created_ms),
            )
            stored = not isinstance(outcome, Replay)
        except QuotaExceeded as error:
            # Not before: without the numbers that the store withholds it may fit.
            if quota is not None and draft.units > quota.units:
                raise QuotaTooSmall(
                    f"The team's quota is {quota.units} units a day; this message needs {draft.units}."
                ) from error
            raise
        finally:
            if not stored:
                for _ in range(taken):
                    gate.give_back()
        if isinstance(outcome, Replay):
            return outcome
        for submission in draft.submissions[:taken]:
            self._submitter.start(work_of(draft, submission, claim, lease_until_ms))
        if taken < len(draft.submissions):
            if draft.submissions[taken].status == "queued":
                gate.backlog = True
            self._submitter.wake(account.id)
        return None

    def _quota(self, team: Team, draft: MessageDraft) -> Quota | None:
        most = team.quota_units_per_day
        if most is None:
            return None
        day = quota_day(draft.created_ms, self._quota_zone)
        return Quota(day=day.name, units=most, ends_in_s=(day.ends_ms - draft.created_ms) / SECOND_MS)


def _limit(team: Team, draft: MessageDraft) -> RecipientLimit | None:
    limit = team.limits.get(draft.category)
    return limit if limit is not None and limit.spans_ms else None


def _signed(text: str, signature: str | None) -> str:
    try:
        return sign(text, signature)
    except SecondSignature as exc:
        raise BodyInvalid(
            "The text carries a signature beside the team's.",
            errors=(FieldError(pointer="/text", detail=str(exc)),),
        ) from exc
