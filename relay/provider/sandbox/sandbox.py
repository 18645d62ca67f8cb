"""The provider as plain state: accounts, faults, the ledger, and what each call does to them. No I/O, no timers."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Literal, assert_never
from uuid import uuid4

import msgspec

from relay.provider.sandbox.accounts import Account, AccountSettings
from relay.provider.sandbox.answers import refusal
from relay.provider.sandbox.callbacks import Callback, plan_callbacks
from relay.provider.sandbox.codes import Code
from relay.provider.sandbox.faults import Fault, FaultBook
from relay.provider.sandbox.ledger import Ledger, SendRecord
from relay.provider.sandbox.outcomes import EARLY_ENDING, outcome_of
from relay.provider.sandbox.pulling import pull_rows, tell_balance
from relay.provider.sandbox.rows import Inbound, Report
from relay.provider.sandbox.sending import Handled, book_send

ApiCall = Literal["send", "report", "mo", "queryBalance"]


class SandboxSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of the whole sandbox: how late reports come, rows per pull, and the bounds of memory and of callbacks at once.

    ``ledger_recipients`` bounds the ledger and each account's queues; like ``callbacks_in_flight``,
    ``callback_timeout_s`` (each of connect, write and read) and ``callback_keep_alive_s`` (how long an idle connection
    serves for the next callback) it is read at the start only.
    """

    report_delay_ms: Annotated[int, msgspec.Meta(ge=0)] = 50
    pull_rows: Annotated[int, msgspec.Meta(ge=1)] = 500
    ledger_recipients: Annotated[int, msgspec.Meta(ge=1)] = 1_000_000
    callbacks_in_flight: Annotated[int, msgspec.Meta(ge=1)] = 16
    callback_timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 10.0
    callback_keep_alive_s: Annotated[float, msgspec.Meta(ge=0)] = 5.0


class Sandbox:
    """One provider. Starts with the account "sandbox", password "sandbox-password", unless told otherwise."""

    def __init__(
        self,
        settings: SandboxSettings | None = None,
        *,
        accounts: Mapping[str, AccountSettings] | None = None,
        clock: Callable[[], float] = time.time,
        new_id: Callable[[], str] = lambda: str(uuid4()),
    ) -> None:
        """``accounts`` replace the default account; ``clock`` gives epoch seconds, ``new_id`` ids of the provider."""
        self.settings = settings or SandboxSettings()
        self.now_s = clock
        self._new_id = new_id
        self.faults = FaultBook()
        self.ledger = Ledger(recipients=self.settings.ledger_recipients)
        self.accounts: dict[str, Account] = {}
        for name, account_settings in (accounts or {"sandbox": AccountSettings()}).items():
            self.put_account(name, account_settings)

    def put_account(self, name: str, settings: AccountSettings) -> Account:
        """Makes an account, or gives an existing one these settings. Raises ValueError if an address is none."""
        account = self.accounts.get(name)
        if account is None:
            account = Account(name, settings, queue_rows=self.settings.ledger_recipients)
            self.accounts[name] = account
        else:
            account.configure(settings)
        return account

    def change_account(self, name: str, changes: Mapping[str, object]) -> Account:
        """Sets the named settings of an account, making it if there is none. Raises ValueError, changing nothing."""
        account = self.accounts.get(name)
        if account is None:
            return self.put_account(name, msgspec.convert(dict(changes), AccountSettings))
        account.change(changes)
        return account

    def handle(self, call: ApiCall, form: Mapping[str, str], *, client: str, fault: Fault | None = None) -> Handled:
        """Carries out one call that came from the address ``client``; the fault bends it but does not stop it."""
        handled = self._handle(call, form, client, fault)
        self.ledger.codes[call, handled.answer.code.value] += 1
        return handled

    def release(self, record: SendRecord, *, early: bool) -> list[Callback]:
        """The early or the other reports of a send come due: queued for pulling, and/or returned to be pushed now."""
        now_s = self.now_s()
        reports: list[Report] = []
        for mobile in record.mobiles:
            if (mobile[-4:] == EARLY_ENDING) is not early:
                continue
            outcome = outcome_of(mobile)
            report = Report(
                send_id=record.report_send_id,
                mobile=mobile,
                status=outcome.status,
                ext_no=record.ext_no,
                at_s=now_s,
                times=None,
            )
            reports.extend([report] * outcome.reports)
        task_ids = (record.task_id, record.answered_task_id)
        return self.emit_reports(self.accounts[record.account], reports, task_ids=task_ids)

    def emit_reports(self, account: Account, rows: Sequence[Report], *, task_ids: Sequence[str] = ()) -> list[Callback]:
        """Reports on their way: queued for pulling, and/or returned as callbacks to make now.

        ``task_ids`` are names of the send beside the one in the rows.
        """
        mode = account.mode("report")
        if mode in ("pull", "both"):
            lost = max(0, len(account.reports) + len(rows) - self.settings.ledger_recipients)
            self.ledger.counts["rows_dropped"] += lost
            account.reports.extend(rows)
        url = account.url("report")
        if mode == "pull" or url is None:
            return []
        return list(
            plan_callbacks(
                account=account.name, url=url, kind="report", rows=rows, task_ids=task_ids, faults=self.faults
            )
        )

    def emit_inbound(self, account: Account, rows: Sequence[Inbound]) -> list[Callback]:
        """Inbound messages on their way: queued for pulling, and/or returned as callbacks to make now."""
        mode = account.mode("mo")
        if mode in ("pull", "both"):
            lost = max(0, len(account.inbound) + len(rows) - self.settings.ledger_recipients)
            self.ledger.counts["rows_dropped"] += lost
            account.inbound.extend(rows)
        url = account.url("mo")
        if mode == "pull" or url is None:
            return []
        return list(
            plan_callbacks(account=account.name, url=url, kind="mo", rows=rows, task_ids=(), faults=self.faults)
        )

    def reset(self) -> None:
        """Forgets sends, taskIds, callbacks, counts, and rows that wait to be pulled; accounts and faults stay."""
        self.ledger.reset()
        for account in self.accounts.values():
            account.reports.clear()
            account.inbound.clear()

    def _handle(self, call: ApiCall, form: Mapping[str, str], client: str, fault: Fault | None) -> Handled:
        now_s = self.now_s()
        account = self.accounts.get(form.get("account", ""))
        if account is None or not account.authenticates(form.get("pwd", "")):
            return Handled(answer=refusal(Code.AUTH))
        if not account.allows(client):
            return Handled(answer=refusal(Code.IP))
        if account.throttles(now_s):
            return Handled(answer=refusal(Code.THROTTLED))
        match call:
            case "send":
                own_id = account.settings.answered_task_id == "own" or (
                    fault is not None and fault.answered_task_id == "own"
                )
                return book_send(account, self.ledger, form, now_s=now_s, new_id=self._new_id, own_id=own_id)
            case "report" | "mo":
                most = self.settings.pull_rows
                return Handled(answer=pull_rows(account, self.ledger, call, most=most, now_s=now_s, fault=fault))
            case "queryBalance":
                return Handled(answer=tell_balance(account))
            case _:
                assert_never(call)
