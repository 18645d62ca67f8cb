"""What became of a submission: the one place that decides between accepted, refused, not sent and unconfirmed."""

from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Final

import httpx
import msgspec

from relay.domain.accounts import CodeRule
from relay.domain.errors import NothingSent
from relay.domain.ids import task_id
from relay.domain.messages import SubmissionWork
from relay.domain.provider import Accepted, NotSent, Refused, SendOutcome, Unconfirmed
from relay.provider.form_v1 import bodies
from relay.provider.form_v1.reading import SUCCESS_CODES, Answer
from relay.provider.form_v1.rows import named, text_of

Fault = NothingSent | httpx.HTTPError | TimeoutError


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What the provider, or something in front of it, answered; ``retry_after_s`` from its Retry-After."""

    status: int
    body: bytes
    retry_after_s: float | None


# A definite no is not retried and is final (provider/contract.md 2, "codes").
_UNLISTED: Final = CodeRule(code_class="other", retryable=False, scope="task")
# Decision: 408 and 499 are no answers of the provider, because proxies write them when time ran out while the provider
# may have had the request.
_TIMED_OUT_BETWEEN: Final = frozenset({408, 499})


def decide(codes: Mapping[str, CodeRule], work: SubmissionWork, evidence: Reply | Fault) -> SendOutcome:
    """The outcome of one attempt. provider/contract.md 3, in this order:

        fault that is NothingSent               NotSent, its ``why``
        any other fault                         Unconfirmed
        429                                     NotSent ``http_429``
        other than 2xx and 4xx                  Unconfirmed, whatever the body says
        2xx with code                           by code: success, ``duplicate`` of a retry, the table, else Refused
        2xx without code                        Unconfirmed
        4xx with code                           by code; with code "00" it contradicts itself: Unconfirmed
        4xx without code                        as if the code were ``http_404``

    Decision: a 4xx without a code is a definite refusal, because whoever wrote it did not take the request; its made-up
    code can be listed in the account's table like any other (``http_403``: retryable, say).
    """
    if isinstance(evidence, Exception):
        return decide_fault(evidence)
    status = evidence.status
    answer = Answer.read(bodies.read_json(evidence.body))
    code = None if answer is None else answer.code
    if not 200 <= status < 300 and (not 400 <= status < 500 or code in SUCCESS_CODES):
        return Unconfirmed(why="http_status", http_status=status)
    if status == 429:
        message = None if answer is None else answer.message
        return NotSent(
            why="http_429", code=code, message=message, reason="throttled", retry_after_s=evidence.retry_after_s
        )
    if answer is not None and code is not None:
        return _decide_code(codes, work, answer, code, evidence.retry_after_s)
    if status < 300:
        return Unconfirmed(why="unreadable", http_status=status)
    if status in _TIMED_OUT_BETWEEN:
        return Unconfirmed(why="http_status", http_status=status)
    no_answer = Answer(code=None, data=None, message=None, ignored=0)
    return _decide_code(codes, work, no_answer, f"http_{status}", evidence.retry_after_s)


def decide_fault(fault: Fault) -> NotSent | Unconfirmed:
    """What an exchange without an answer proves: NotSent only for NothingSent, Unconfirmed for everything else."""
    # NothingSent first: it is a connect or pool time-out as well.
    if isinstance(fault, NothingSent):
        return NotSent(why=fault.why)
    if isinstance(fault, httpx.TimeoutException | TimeoutError):
        return Unconfirmed(why="read_timeout")
    if isinstance(fault, httpx.DecodingError):
        return Unconfirmed(why="unreadable")
    return Unconfirmed(why="connection_lost")


def _decide_code(
    codes: Mapping[str, CodeRule], work: SubmissionWork, answer: Answer, code: str, retry_after_s: float | None
) -> SendOutcome:
    if code in SUCCESS_CODES:
        return Accepted(task_id=_other_task_id(work, answer.data), code=code, message=answer.message)
    rule = codes.get(code, _UNLISTED)
    if rule.code_class == "duplicate":
        if work.attempt > 1:
            return Accepted(task_id=None, code=code, message=answer.message)
    elif rule.retryable:
        return NotSent(
            why="code",
            code=code,
            message=answer.message,
            reason=rule.code_class,
            scope=rule.scope,
            retry_after_s=retry_after_s,
        )
    # Decision: "duplicate" is never retryable, whatever the table says: the next attempt would take it for success.
    return Refused(code=code, message=answer.message, reason=rule.code_class, scope=rule.scope)


# provider/contract.md 1: data is {"taskId": "..."}; assumption: "sendId" is its other name.
_SENT: Final = frozenset({"taskId"})
_SENT_SPELLINGS: Final = {"taskid": "taskId", "sendid": "taskId"}


def _other_task_id(work: SubmissionWork, data: object) -> str | None:
    """The provider's own id for the submission; None when it is ours, or when there is none."""
    if isinstance(data, list) and len(data) == 1:
        data = data[0]
    if not isinstance(data, dict):
        return None
    fields, _ = named(data, _SENT, _SENT_SPELLINGS)
    theirs = text_of(fields.get("taskId"))
    return None if not theirs or theirs == task_id(work.id) else theirs


def read_retry_after(value: str | None, date: str | None, now_s: float) -> float | None:
    """Seconds to wait from a Retry-After in either form (RFC 9110, 10.2.3); None when it cannot be read.

    A date counts from the answer's own ``Date``, so that a wrong clock on either side does not matter, else from
    ``now_s``. 0 to one year.
    """
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdecimal():
        return min(float(value), _LONGEST_WAIT_S)
    until_s = _http_date_s(value)
    if until_s is None:
        return None
    since_s = _http_date_s(date) if date is not None else None
    return min(max(0.0, until_s - (now_s if since_s is None else since_s)), _LONGEST_WAIT_S)


_LONGEST_WAIT_S: Final = 365 * 86_400.0


def _http_date_s(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None
