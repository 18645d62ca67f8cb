"""Builders for what goes into a store: every value has a default, a test names what matters to it."""

import itertools
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from relay.domain.accounts import Account, CallbackToken, CodeRule
from relay.domain.audit import COMMAND, AuditEntry
from relay.domain.delivery import judge
from relay.domain.endpoints import DeliveryWork, EndpointView
from relay.domain.ids import AccountId, AuditId, EndpointId, KeyId, MessageId, RawId, SubmissionId, TeamId, task_id
from relay.domain.keys import KeyView
from relay.domain.messages import MessageDraft, RefusedNumber, SubmissionDraft, SubmissionWork
from relay.domain.numbers import mask_of
from relay.domain.provider import (
    Accepted,
    BodyKind,
    BodySource,
    InboundRow,
    NotSent,
    RawBody,
    Reading,
    Refused,
    ReportRow,
    Unconfirmed,
)
from relay.domain.states import RecipientStatus
from relay.domain.teams import TEAM_SCOPES, RecipientLimit, Team, hash_secret
from relay.domain.times import DAY_MS, SECOND_MS, instant, instant_or_none
from relay.ports import AttemptRecord, Idempotency, NewEndpoint, NewKey

NOW_MS: Final = 1_795_000_000_000
CLAIM: Final = b"claim of the test"
OTHER_CLAIM: Final = b"claim of another process"
LEASE_MS: Final = 60 * SECOND_MS
PASSWORD_MD5: Final = "5f4dcc3b5aa765d61d8327deb882cf99"

ACCEPTED: Final = Accepted(task_id=None, code="00", message="ok")
REFUSED: Final = Refused(code="21", message="keyword", reason="content", scope="task")
NOT_SENT: Final = NotSent(why="connect")
UNCONFIRMED: Final = Unconfirmed(why="read_timeout")

_numbers = itertools.count(1)


class CountedEntropy:
    """Ids that count up, all of one millisecond unless told; randomness that is none."""

    def new_id(self, prefix: str, at_ms: int = NOW_MS) -> str:
        """A UUIDv7 by its form: 48 bits of time, then the count."""
        return f"{prefix}{at_ms:012x}7000{0x8000_0000_0000_0000 + next(_numbers):016x}"

    def token(self, size_bytes: int) -> bytes:
        return bytes(size_bytes)

    def jitter(self) -> float:
        return 0.0


ENTROPY: Final = CountedEntropy()
new_id: Final = ENTROPY.new_id


def mobiles(count: int, first: int = 0) -> list[int]:
    """``count`` numbers in a row from 13800130000 + ``first``; no two have the same mask."""
    return [13_800_130_000 + first + index for index in range(count)]


def entry() -> AuditEntry:
    """What the audit says of something that a test does not look at."""
    return AuditEntry(
        id=AuditId(new_id("aud_")), at_ms=NOW_MS, actor=COMMAND, action="team.created", target="a test", detail={}
    )


def account(**changes: Any) -> Account:
    """A live account."""
    account_id = AccountId(new_id("acct_"))
    made = Account(
        id=account_id,
        name=f"account {account_id}",
        base_url="http://sms.example",
        account="demo",
        password_md5=PASSWORD_MD5,
        pwd_case="lower",
        max_mobiles=3000,
        requests_per_s=10.0,
        connections=20,
        timeout_s=5.0,
        pull_reports=True,
        pull_inbound=True,
        pull_interval_s=10.0,
        callback_allow=("192.0.2.0/24",),
        callback_proxies=1,
        weight=1,
        task_id_dedup=False,
        codes={"11": CodeRule(code_class="throttled", retryable=True)},
        sandbox=False,
        disabled=False,
        created_ms=NOW_MS,
    )
    return msgspec.structs.replace(made, **changes)


def callback_token(account_id: AccountId, created_ms: int = NOW_MS, expires_ms: int | None = None) -> CallbackToken:
    """A callback token of this account."""
    return CallbackToken(account_id=account_id, created_ms=created_ms, expires_ms=expires_ms)


def team(**changes: Any) -> Team:
    """A team without limits."""
    team_id = TeamId(new_id("team_"))
    made = Team(
        id=team_id,
        name=f"team {team_id}",
        signature="【示例】",
        accounts=(),
        extensions=(),
        quota_units_per_day=None,
        requests_per_s=None,
        recipient_limits={"otp": RecipientLimit(per_minute=1)},
        created_ms=NOW_MS,
    )
    return msgspec.structs.replace(made, **changes)


def key(team_id: TeamId | None, secret: str, *, expires_ms: int | None = None) -> NewKey:
    """A key of this team, or of the platform."""
    view = KeyView(
        id=KeyId(new_id("key_")),
        team_id=team_id,
        name="for tests",
        hint="rk_live_abc",
        scopes=["admin"] if team_id is None else list(TEAM_SCOPES),
        mode="live",
        created_at=instant(NOW_MS),
        expires_at=instant_or_none(expires_ms),
        last_used_at=None,
        revoked_at=None,
    )
    return NewKey(view=view, hash=hash_secret(secret))


def endpoint(team_id: TeamId, **changes: Any) -> NewEndpoint:
    """An endpoint that wants everything."""
    view = EndpointView(
        id=EndpointId(new_id("ep_")),
        url="https://subscriber.example/hook",
        event_types=[],
        extensions=[],
        description=None,
        headers={},
        max_in_flight=8,
        status="enabled",
        disabled_reason=None,
        paused_until=None,
        created_at=instant(NOW_MS),
    )
    return NewEndpoint(team_id=team_id, view=msgspec.structs.replace(view, **changes), secret="whsec_c2VjcmV0")


def submission(
    numbers: Sequence[int],
    account_id: AccountId,
    *,
    status: RecipientStatus = "submitting",
    due_ms: int = NOW_MS,
    at_ms: int = NOW_MS,
) -> SubmissionDraft:
    """One chunk; its id carries ``at_ms``."""
    return SubmissionDraft(
        id=SubmissionId(new_id("sub_", at_ms)),
        account_id=account_id,
        mobiles=list(numbers),
        status=status,
        due_ms=due_ms,
    )


def draft(team_id: TeamId, submissions: Sequence[SubmissionDraft], **changes: Any) -> MessageDraft:
    """A notice of one segment that expires in a day."""
    created_ms: int = changes.get("created_ms", NOW_MS)
    made = MessageDraft(
        id=MessageId(new_id("msg_", created_ms)),
        team_id=team_id,
        key_id=KeyId(new_id("key_")),
        mode="live",
        text="【示例】你好",
        extension=None,
        reference="order 7",
        metadata={"shop": "3"},
        category="notice",
        on_unconfirmed="hold",
        created_ms=created_ms,
        send_at_ms=None,
        expires_ms=created_ms + DAY_MS,
        segments=1,
        refused=[RefusedNumber(to="123", reason="malformed")],
        submissions=list(submissions),
    )
    return msgspec.structs.replace(made, **changes)


def work_of(
    message: MessageDraft, index: int = 0, *, attempt: int = 1, claim: bytes = CLAIM, taken_ms: int | None = None
) -> SubmissionWork:
    """What a process that took this message at ``taken_ms`` (None: when it was created) works on."""
    part = message.submissions[index]
    return SubmissionWork(
        id=part.id,
        message_id=message.id,
        team_id=message.team_id,
        account_id=part.account_id,
        text=message.text,
        extension=message.extension,
        mobiles=sorted(part.mobiles),
        attempt=attempt,
        claim=claim,
        lease_until_ms=(message.created_ms if taken_ms is None else taken_ms) + LEASE_MS,
        category=message.category,
        on_unconfirmed=message.on_unconfirmed,
        accepted_ms=message.created_ms,
    )


def task_of(message: MessageDraft, index: int = 0) -> str:
    """The upstream taskId of a submission."""
    return task_id(message.submissions[index].id)


def idempotency(scope: str, name: str = "key 1", **changes: Any) -> Idempotency:
    """One use of a key, answered 202."""
    made = Idempotency(
        scope=scope, key=name, fingerprint=b"request 1", status=202, answer=b'{"id":"first"}', created_ms=NOW_MS
    )
    return msgspec.structs.replace(made, **changes)


def raw_id() -> RawId:
    """A new one."""
    return RawId(new_id("raw_"))


def raw_body(
    kind: BodyKind = "report", source: BodySource = "push", *, body: bytes = b"[]", received_ms: int = NOW_MS
) -> RawBody:
    """A body as it came."""
    return RawBody(
        kind=kind, source=source, content_type="application/json", query=b"", body=body, received_ms=received_ms
    )


def report(task: str | None, mobile: int, raw_status: str = "DELIVRD", *, masked: bool = False) -> ReportRow:
    """A report without a time of its own."""
    mask = mask_of(mobile)
    return ReportRow(
        task_id=task,
        mobile_text=f"{mask[0]}****{mask[1]:04}" if masked else str(mobile),
        mobile=None if masked else mobile,
        mask=mask if masked else None,
        raw_status=raw_status,
        raw_time=None,
        occurred_ms=None,
    )


def inbound(mobile: int, text: str = "TD", *, masked: bool = False, **changes: Any) -> InboundRow:
    """A text that somebody sent, to no extension."""
    mask = mask_of(mobile)
    made = InboundRow(
        mobile_text=f"{mask[0]}****{mask[1]:04}" if masked else str(mobile),
        mobile=None if masked else mobile,
        mask=mask if masked else None,
        text=text,
        extension=None,
        raw_time="2026-11-18 11:30:00",
        occurred_ms=NOW_MS - 2 * SECOND_MS,
    )
    return msgspec.structs.replace(made, **changes)


def reading(rows: Sequence[Any], unreadable: int = 0) -> Reading[Any]:
    """What a provider makes of a body."""
    return Reading(rows=tuple(rows), unreadable=unreadable, ignored_fields=0)


def attempt_record(
    work: DeliveryWork, status: int | None, *, at_ms: int = NOW_MS, retry_after_s: float | None = None
) -> AttemptRecord:
    """An attempt that took 5 ms and came to ``status``, judged by the rules."""
    verdict = judge(status, retry_after_s, attempt=work.attempt, now_ms=at_ms + 5, jitter=0.0)
    return AttemptRecord(
        at_ms=at_ms,
        duration_ms=5,
        status=status,
        error="connect" if status is None else None if 200 <= status <= 299 else "status",
        answer=b"" if status is None else b"answer",
        outcome=verdict.outcome,
        next_due_ms=verdict.next_due_ms,
        pause_until_ms=verdict.pause_until_ms,
    )
