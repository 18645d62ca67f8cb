"""The calls: a form out, and what came back handed to the readers."""

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Final, Literal
from urllib.parse import quote_plus

import httpx
import msgspec

from relay.domain.accounts import Account
from relay.domain.errors import NothingSent
from relay.domain.ids import task_id
from relay.domain.messages import SubmissionWork
from relay.domain.provider import (
    Balance,
    BalanceUnknown,
    InboundRow,
    Pulled,
    PullFailed,
    RawBody,
    Reading,
    ReportRow,
    SendOutcome,
)
from relay.ports import MaySend, always
from relay.provider.form_v1.balance import read_balance
from relay.provider.form_v1.outcomes import Fault, Reply, decide, read_retry_after
from relay.provider.form_v1.reading import read_pulled, read_pushed
from relay.provider.form_v1.rows import INBOUND, REPORTS

# provider/contract.md 1
_SEND: Final = "/api/v1/send"
_REPORT: Final = "/api/v1/report"
_MO: Final = "/api/v1/mo"
_BALANCE: Final = "/api/v1/queryBalance"
_HEADERS: Final = {
    "Content-Type": "application/x-www-form-urlencoded",
    "Accept": "application/json",
    # A pulled body is stored as it came, before anybody reads it.
    "Accept-Encoding": "identity",
}
_MOST_ANSWER_BYTES: Final = 64 * 1024
_MOST_PULLED_BYTES: Final = 32 * 1024 * 1024


class FormV1:
    """The provider of provider/contract.md: forms in UTF-8 over HTTP POST, JSON back.

    ``client`` brings connections and knows when nothing was sent (it raises NothingSent); it must have no proxy or
    redirect of its own. ``now_s``: seconds since 1970, for a Retry-After that is a date.
    """

    def __init__(self, client: httpx.AsyncClient, *, now_s: Callable[[], float] = time.time) -> None:
        self._client = client
        self._now_s = now_s

    async def send(self, account: Account, work: SubmissionWork, may_send: MaySend = always) -> SendOutcome:
        """Submit once; the outcome is decided in ``outcomes.decide``."""
        # Our mobiles are digits and our taskId is hexadecimal: only the text and the extension need quoting.
        fields = [
            f"&taskId={task_id(work.id)}&mobiles=",
            "%2C".join(map(str, work.mobiles)),
            f"&content={_quote(work.text)}",
        ]
        if work.extension:
            fields.append(f"&extNo={_quote(work.extension)}")
        heard = await self._call(account, _SEND, fields, _MOST_ANSWER_BYTES, may_send)
        return decide(account.codes, work, heard.evidence)

    async def pull(self, account: Account, kind: str, may_send: MaySend = always) -> Pulled | PullFailed:
        """Drain what waits upstream.

        Decision: a body that broke off is handed over as far as it came, because its rows exist nowhere else any more;
        broken JSON reads as unreadable, so it ends in the quarantine as well as in the rows that could be saved.
        """
        heard = await self._call(account, _MO if kind == "mo" else _REPORT, (), _MOST_PULLED_BYTES, may_send)
        if heard.fault is None or heard.body:
            return Pulled(body=bytes(heard.body), content_type=heard.content_type, http_status=heard.status)
        if isinstance(heard.fault, NothingSent):
            return PullFailed(why=heard.fault.why, sent=False)
        return PullFailed(why=_lost(heard.fault), sent=True)

    async def balance(self, account: Account, may_send: MaySend = always) -> Balance | BalanceUnknown:
        """Ask for the balance."""
        heard = await self._call(account, _BALANCE, (), _MOST_ANSWER_BYTES, may_send)
        return read_balance(heard.evidence)

    def read_reports(self, raw: RawBody) -> Reading[ReportRow]:
        """Decode a pushed or pulled body of reports. Total, and never slow: O(n) with bounds on the number of parts."""
        return read_pulled(raw, REPORTS) if raw.source == "pull" else read_pushed(raw, REPORTS)

    def read_inbound(self, raw: RawBody) -> Reading[InboundRow]:
        """Decode a pushed or pulled body of inbound messages. Total, like ``read_reports``."""
        return read_pulled(raw, INBOUND) if raw.source == "pull" else read_pushed(raw, INBOUND)

    async def _call(
        self, account: Account, path: str, fields: Iterable[str], most_bytes: int, may_send: MaySend
    ) -> "_Heard":
        """One POST within ``account.timeout_s`` altogether; reading stops once ``most_bytes`` have come."""
        request = self._build(account, path, fields)
        if isinstance(request, NothingSent):
            return _Heard(fault=request)
        # For our transport, which alone knows when the first byte goes.
        request.extensions["may_write"] = may_send
        heard = _Heard()
        try:
            async with asyncio.timeout(account.timeout_s):
                answer = await self._client.send(request, stream=True, follow_redirects=False)
                try:
                    heard.take_head(answer, self._now_s)
                    async for part in answer.aiter_bytes():
                        heard.body += part
                        if len(heard.body) > most_bytes:
                            break
                finally:
                    await answer.aclose()
        except (NothingSent, httpx.HTTPError, TimeoutError) as fault:
            heard.fault = fault
        return heard

    def _build(self, account: Account, path: str, fields: Iterable[str]) -> httpx.Request | NothingSent:
        # Decision: pool, connect and TLS have a quarter of the time each, because a wait that ends by itself proves
        # that nothing was sent, and the total time-out, which cuts anywhere, proves nothing.
        share_s = account.timeout_s / 4
        timeout = httpx.Timeout(account.timeout_s, connect=share_s, pool=share_s)
        # provider/contract.md 2, "MD5": lower-case hex unless the account says otherwise.
        digest = account.password_md5
        digest = digest.upper() if account.pwd_case == "upper" else digest.lower()  # noqa: S105 - a case, no password
        body = "".join((f"account={_quote(account.account)}&pwd={_quote(digest)}", *fields)).encode("ascii")
        url = account.base_url.rstrip("/") + path
        try:
            request = self._client.build_request("POST", url, content=body, headers=_HEADERS, timeout=timeout)
        except httpx.InvalidURL:
            return NothingSent("the account's base_url is no URL")
        return request if request.url.is_absolute_url else NothingSent("the account's base_url is no URL")


class _Heard(msgspec.Struct, kw_only=True):
    """What came back so far: head, body, and the fault that ended it early."""

    status: int = 0
    content_type: str = ""
    retry_after_s: float | None = None
    body: bytearray = msgspec.field(default_factory=bytearray)
    fault: Fault | None = None

    def take_head(self, answer: httpx.Response, now_s: Callable[[], float]) -> None:
        """Status and headers are known."""
        headers = answer.headers
        self.status = answer.status_code
        self.content_type = headers.get("Content-Type", "")
        self.retry_after_s = read_retry_after(headers.get("Retry-After"), headers.get("Date"), now_s())

    @property
    def evidence(self) -> Reply | Fault:
        """The whole answer, or the fault: half an answer proves no more than none."""
        if self.fault is not None:
            return self.fault
        return Reply(status=self.status, body=bytes(self.body), retry_after_s=self.retry_after_s)


def _quote(text: str) -> str:
    """Form encoding of UTF-8; half of a surrogate pair, which UTF-8 cannot write, becomes a question mark."""
    return quote_plus(text, encoding="utf-8", errors="replace")


def _lost(fault: Exception) -> Literal["read_timeout", "connection_lost"]:
    return "read_timeout" if isinstance(fault, httpx.TimeoutException | TimeoutError) else "connection_lost"
