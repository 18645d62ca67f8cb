"""What an exchange with a provider can come to, in words that no provider owns."""

from typing import Generic, Literal, TypeVar

import msgspec

from relay.domain.accounts import CodeClass, CodeScope
from relay.domain.numbers import Mask

Row = TypeVar("Row")
BodyKind = Literal["report", "mo"]
BodySource = Literal["push", "pull"]
NotSentWhy = Literal[
    "dns", "refused_address", "connect", "tls", "pool_timeout", "lease", "extension", "http_429", "code"
]
UnconfirmedWhy = Literal["read_timeout", "connection_lost", "http_status", "unreadable", "crash"]


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """The provider has it. ``task_id``: its own id when it answered with one that is not ours, else None."""

    task_id: str | None
    code: str
    message: str | None


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """A definite no that retrying does not change. ``code`` and ``message`` are the provider's own words."""

    code: str
    message: str | None
    reason: CodeClass
    scope: CodeScope


class NotSent(msgspec.Struct, frozen=True, kw_only=True):
    """Provably never reached the provider's application, or was turned away for now: safe to send again with the same
    taskId. ``code``, ``message``, ``reason`` when the provider said so itself; ``retry_after_s`` when it said when."""

    why: NotSentWhy
    code: str | None = None
    message: str | None = None
    reason: CodeClass | None = None
    scope: CodeScope = "task"
    retry_after_s: float | None = None


class Unconfirmed(msgspec.Struct, frozen=True, kw_only=True):
    """The provider may have it or not. Never sent again by itself; a report resolves it."""

    why: UnconfirmedWhy
    http_status: int | None = None


SendOutcome = Accepted | Refused | NotSent | Unconfirmed


class Pulled(msgspec.Struct, frozen=True, kw_only=True):
    """A pull that was answered: the raw bytes, which exist nowhere else any more. Any HTTP status, any content."""

    body: bytes
    content_type: str
    http_status: int


class PullFailed(msgspec.Struct, frozen=True, kw_only=True):
    """A pull without an answer. ``sent``: whether the provider may have drained rows into a lost answer."""

    why: Literal["dns", "refused_address", "connect", "tls", "pool_timeout", "lease", "read_timeout", "connection_lost"]
    sent: bool


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """``amount`` is a decimal number of SMS, as text; ``prepaid`` from ``payment`` (0 = prepaid, 1 = postpaid)."""

    amount: str
    prepaid: bool


class BalanceUnknown(msgspec.Struct, frozen=True, kw_only=True):
    """No balance could be had: the provider's code and words, or a class of failure: ``refused`` (with a code),
    ``http_<status>``, or what became of the call."""

    code: str | None
    why: str
    message: str | None = None


class ReportRow(msgspec.Struct, frozen=True, kw_only=True):
    """One delivery report. ``task_id`` is an opaque string; ``mobile`` is None when it is masked (then ``mask`` is set)
    or unreadable; ``mobile_text`` and ``raw_time`` as they came; ``occurred_ms`` None when the time cannot be read."""

    task_id: str | None
    mobile_text: str
    mobile: int | None
    mask: Mask | None
    raw_status: str
    raw_time: str | None
    occurred_ms: int | None


class InboundRow(msgspec.Struct, frozen=True, kw_only=True):
    """One inbound message. ``extension`` is the provider's extNo as text, None when empty. ``opt_out``: the opt-out
    word that the text consists of; no provider knows these words, ``services.apply`` does."""

    mobile_text: str
    mobile: int | None
    mask: Mask | None
    text: str
    extension: str | None
    raw_time: str | None
    occurred_ms: int | None
    opt_out: str | None = None


class Reading(msgspec.Struct, Generic[Row], frozen=True, kw_only=True):
    """What a raw body said. ``unreadable`` counts the parts that could not be read: any makes the body a case for
    quarantine, and the rows that could be read count all the same. ``code`` is the pull's own code, "" for a callback;
    ``refused`` when that code is not success. ``ignored_fields`` counts unknown fields."""

    rows: tuple[Row, ...]
    unreadable: int
    ignored_fields: int
    code: str = ""
    refused: bool = False


class RawBody(msgspec.Struct, frozen=True, kw_only=True):
    """A body as it came. ``query`` is the raw query string of a GET callback, else empty."""

    kind: BodyKind
    source: BodySource
    content_type: str
    query: bytes
    body: bytes
    received_ms: int
