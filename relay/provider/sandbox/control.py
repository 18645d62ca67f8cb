"""The control plane: tests and people set accounts and faults, put in rows, and read the ledger. Loopback only."""

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl

import msgspec

from relay.provider.sandbox.accounts import Account
from relay.provider.sandbox.answers import Reply
from relay.provider.sandbox.courier import Courier
from relay.provider.sandbox.faults import Fault
from relay.provider.sandbox.ledger_view import LedgerQuery, view_ledger
from relay.provider.sandbox.rows import Inbound, Report
from relay.provider.sandbox.sandbox import Sandbox, SandboxSettings

_PREFIX: Final = "/control/"

T = TypeVar("T")


class InboundOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """A message from a mobile, to be passed on now; the account's port is put before ``ext_no``."""

    account: str = "sandbox"
    mobile: str
    content: str
    ext_no: str = ""
    times: str | None = None


class ReportOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """A status report out of the ordinary (late, contradictory, of an unknown send), to be passed on now."""

    account: str = "sandbox"
    send_id: str
    mobile: str
    status: str = "DELIVRD"
    ext_no: str = ""
    times: str | None = None


class ControlRefused(Exception):
    """A control request that is not done: the HTTP status, and why."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class Control:
    """Every path under /control/. Answers are JSON; a refusal is `{"error": why}`."""

    def __init__(self, sandbox: Sandbox, courier: Courier) -> None:
        self._sandbox = sandbox
        self._courier = courier

    async def answer(self, method: str, path: str, query: str, body: bytes, client: str) -> Reply:
        """Does what is asked if ``client`` is a loopback address and the path is ours."""
        try:
            if not path.startswith(_PREFIX) or not _is_loopback(client):
                raise ControlRefused(404, "there is nothing here")
            return await self._route(method, path.removeprefix(_PREFIX), query, body)
        except ControlRefused as refused:
            return _json({"error": refused.reason}, refused.status)
        except msgspec.ValidationError as invalid:
            return _json({"error": str(invalid)}, 422)
        except msgspec.DecodeError as unreadable:
            return _json({"error": str(unreadable)}, 400)

    async def _route(self, method: str, path: str, query: str, body: bytes) -> Reply:
        name, _, item = path.partition("/")
        match method, name, item:
            case "GET", "accounts", "":
                return _json({"accounts": [account.view() for account in self._sandbox.accounts.values()]})
            case "PUT", "accounts", account_name if account_name:
                return self._put_account(account_name, body)
            case "GET", "faults", "":
                return _json({"faults": self._sandbox.faults.view()})
            case "POST", "faults", "":
                faults = _one_or_more(msgspec.json.decode(body, type=Fault | list[Fault]))
                return _json({"ids": [self._sandbox.faults.add(fault) for fault in faults]}, 201)
            case "DELETE", "faults", fault_id:
                self._sandbox.faults.clear(_number(fault_id) if fault_id else None)
                return _json({})
            case "GET", "ledger", "":
                asked = msgspec.convert(dict(parse_qsl(query)), LedgerQuery, strict=False)
                return _json(view_ledger(self._sandbox.ledger, asked, pending=self._courier.pending))
            case "DELETE", "ledger", "":
                self._sandbox.reset()
                return _json({})
            case "POST", "inbound", "":
                orders = _one_or_more(msgspec.json.decode(body, type=InboundOrder | list[InboundOrder]))
                return _json({"pushed": [await self._pass_inbound(order) for order in orders]}, 201)
            case "POST", "reports", "":
                reports = _one_or_more(msgspec.json.decode(body, type=ReportOrder | list[ReportOrder]))
                return _json({"pushed": [await self._pass_report(order) for order in reports]}, 201)
            case "GET", "settings", "":
                return _json(self._sandbox.settings)
            case "PATCH", "settings", "":
                merged = {**msgspec.to_builtins(self._sandbox.settings), **_object(body)}
                self._sandbox.settings = msgspec.convert(merged, SandboxSettings)
                return _json(self._sandbox.settings)
            case _:
                raise ControlRefused(404, "there is nothing here")

    def _put_account(self, name: str, body: bytes) -> Reply:
        changes = _object(body)
        try:
            return _json(self._sandbox.change_account(name, changes).view())
        except msgspec.ValidationError:
            raise
        except ValueError as invalid:
            raise ControlRefused(422, str(invalid)) from invalid

    async def _pass_inbound(self, order: InboundOrder) -> list[int | None]:
        """The HTTP statuses of the callbacks that were made (None = no answer); none if it was queued for pulling."""
        account = self._account(order.account)
        inbound = Inbound(
            mobile=order.mobile,
            content=order.content,
            ext_no=account.settings.port + order.ext_no,
            at_s=self._sandbox.now_s(),
            times=order.times,
        )
        return await self._courier.push_now(self._sandbox.emit_inbound(account, [inbound]))

    async def _pass_report(self, order: ReportOrder) -> list[int | None]:
        account = self._account(order.account)
        report = Report(
            send_id=order.send_id,
            mobile=order.mobile,
            status=order.status,
            ext_no=order.ext_no,
            at_s=self._sandbox.now_s(),
            times=order.times,
        )
        return await self._courier.push_now(self._sandbox.emit_reports(account, [report]))

    def _account(self, name: str) -> Account:
        account = self._sandbox.accounts.get(name)
        if account is None:
            raise ControlRefused(422, "no such account")
        return account


def _is_loopback(client: str) -> bool:
    try:
        return ip_address(client).is_loopback
    except ValueError:
        return False


def _one_or_more(given: T | list[T]) -> list[T]:
    return given if isinstance(given, list) else [given]


def _object(body: bytes) -> Mapping[str, object]:
    changes: dict[str, Any] = msgspec.json.decode(body, type=dict[str, Any])
    return changes


def _number(text: str) -> int:
    if not text.isdecimal():
        raise ControlRefused(404, "there is nothing here")
    return int(text)


def _json(value: object, status: int = 200) -> Reply:
    return Reply(status=status, media_type="application/json", headers={}, body=msgspec.json.encode(value))
