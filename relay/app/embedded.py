"""The sandbox provider inside a gateway's process, on a loopback port of its own: where test keys lead."""

import contextlib
import hashlib
from typing import Final, Self

from relay.app.gateway import Gateway
from relay.domain.accounts import SANDBOX_URL, Account
from relay.domain.audit import SYSTEM
from relay.domain.errors import AlreadyExists
from relay.domain.ids import AccountId
from relay.provider.sandbox import AccountSettings, Sandbox, SandboxServer, SandboxSettings
from relay.services.admin.auditing import Auditor
from relay.system import SystemEntropy

SANDBOX_ACCOUNT: Final = "sandbox"
_TOKEN_BYTES: Final = 24


class EmbeddedSandbox:
    """Open while the gateway runs; there is none when the setting ``sandbox`` is off."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._wanted = gateway.settings.sandbox == "embedded"
        self._server: SandboxServer | None = None

    @property
    def url(self) -> str | None:
        """Where it is reached."""
        return None if self._server is None else self._server.url

    async def __aenter__(self) -> Self:
        if self._wanted:
            await self._ensure_account()
            delay_ms = self._gateway.settings.sandbox_report_delay_ms
            self._server = SandboxServer(Sandbox(SandboxSettings(report_delay_ms=delay_ms)))
            await self._server.__aenter__()
            self._gateway.accounts.sandbox_url = self._server.url
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self._server is not None:
            await self._server.__aexit__(*exc_info)

    async def connect(self, gateway_url: str) -> None:
        """Tell the sandbox where its callbacks go."""
        if self._server is None:
            return
        account = self._account()
        if account is None:
            return
        # For this process only: the sandbox calls nobody else, so the token is in no database.
        token = SystemEntropy().token(_TOKEN_BYTES).hex()
        self._gateway.accounts.add_local_token(token, account.id)
        self._server.sandbox.put_account(
            SANDBOX_ACCOUNT,
            AccountSettings(
                report_url=f"{gateway_url}/callbacks/{token}/report", mo_url=f"{gateway_url}/callbacks/{token}/mo"
            ),
        )

    def _account(self) -> Account | None:
        return next((account for account in self._gateway.accounts.all() if account.sandbox), None)

    async def _ensure_account(self) -> None:
        if self._account() is not None:
            return
        entropy = SystemEntropy()
        account = sandbox_account(AccountId(entropy.new_id("acct_")), self._gateway.clock.now_ms())
        entry = Auditor(self._gateway.clock, entropy).entry(SYSTEM, "account.created", account.id)
        # Nobody knows this token: the account's callbacks come by the one of ``connect``.
        # Replicas that start together make it together: one of them is the first.
        with contextlib.suppress(AlreadyExists):
            await self._gateway.store.create_account(
                account, callback_token=entropy.token(_TOKEN_BYTES).hex(), entry=entry, idempotency=None
            )
        await self._gateway.accounts.refresh()


def sandbox_account(account_id: AccountId, now_ms: int) -> Account:
    """The account of the embedded sandbox: its limits are the machine's, and it pushes, so nothing is pulled."""
    return Account(
        id=account_id,
        name=SANDBOX_ACCOUNT,
        base_url=SANDBOX_URL,
        account=SANDBOX_ACCOUNT,
        password_md5=hashlib.md5(AccountSettings().password.encode(), usedforsecurity=False).hexdigest(),
        pwd_case="lower",  # noqa: S106 - a case, no password
        max_mobiles=3000,
        requests_per_s=1000.0,
        connections=64,
        timeout_s=30.0,
        pull_reports=False,
        pull_inbound=False,
        pull_interval_s=30.0,
        callback_allow=(),
        callback_proxies=0,
        weight=1,
        task_id_dedup=False,
        codes={},
        sandbox=True,
        disabled=False,
        created_ms=now_ms,
    )
