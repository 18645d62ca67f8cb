"""Builders for the tests of ``form_v1``."""

import json
from typing import Any

import msgspec

from relay.domain.accounts import Account, CodeRule
from relay.domain.ids import AccountId, MessageId, SubmissionId, TeamId
from relay.domain.messages import SubmissionWork
from relay.domain.provider import BodyKind, BodySource, RawBody

TASK = "0192f3c4d5e6708192a3b4c5d6e7f809"
PASSWORD_MD5 = "5f4dcc3b5aa765d61d8327deb882cf99"

ACCOUNT = Account(
    id=AccountId("acct_1"),
    name="first",
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
    callback_allow=(),
    callback_proxies=0,
    weight=1,
    task_id_dedup=False,
    codes={
        "11": CodeRule(code_class="throttled", retryable=True),
        "12": CodeRule(code_class="balance", retryable=True, scope="account"),
        "21": CodeRule(code_class="content"),
        "31": CodeRule(code_class="duplicate"),
        "32": CodeRule(code_class="duplicate", retryable=True),
        "http_403": CodeRule(code_class="ip", retryable=True, scope="account"),
    },
    sandbox=False,
    disabled=False,
    created_ms=0,
)

WORK = SubmissionWork(
    id=SubmissionId(f"sub_{TASK}"),
    message_id=MessageId(f"msg_{TASK}"),
    team_id=TeamId(f"team_{TASK}"),
    account_id=AccountId("acct_1"),
    text="【示例】验证码 1234 & more",
    extension="10",
    mobiles=[13800131234, 13800135678],
    attempt=1,
    claim=b"",
    lease_until_ms=0,
    category="otp",
    on_unconfirmed="hold",
    accepted_ms=0,
)


def account(**changes: Any) -> Account:
    return msgspec.structs.replace(ACCOUNT, **changes)


def work(**changes: Any) -> SubmissionWork:
    return msgspec.structs.replace(WORK, **changes)


def raw(body: object, source: BodySource = "push", kind: BodyKind = "report", query: bytes = b"") -> RawBody:
    """A body: bytes as they are, a text as UTF-8, anything else as JSON."""
    if isinstance(body, str):
        body = body.encode()
    elif not isinstance(body, bytes):
        body = json.dumps(body, ensure_ascii=False).encode()
    return RawBody(kind=kind, source=source, content_type="", query=query, body=body, received_ms=0)
