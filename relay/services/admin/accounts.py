"""Provider accounts."""

import hashlib
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

import msgspec

from relay.domain.accounts import SANDBOX_URL, Account, AccountView, view_of
from relay.domain.audit import Actor
from relay.domain.errors import BodyInvalid, FieldError
from relay.domain.ids import AccountId
from relay.ports import Clock, Entropy, Replay, Store
from relay.services.accounts import AccountBook
from relay.services.admin.auditing import Auditor
from relay.services.idempotency import KeyUse
from relay.services.requests import AccountRequest

_CREATED_STATUS: Final = 201
_TOKEN_BYTES: Final = 24


class AccountsAdmin:
    """Administers accounts. Every method raises BodyInvalid, AlreadyExists, IdempotencyKeyReused."""

    def __init__(self, store: Store, accounts: AccountBook, clock: Clock, entropy: Entropy) -> None:
        self._store = store
        self._accounts = accounts
        self._auditor = Auditor(clock, entropy)
        self._clock = clock
        self._entropy = entropy

    async def create_account(
        self, request: AccountRequest, actor: Actor, use: KeyUse | None, render: Callable[[AccountView, str], bytes]
    ) -> bytes | Replay:
        """``render`` gets the view and the callback token, which is shown this once."""
        _check_base_url(request.base_url)
        password_md5 = _password_md5(request)
        now_ms = self._clock.now_ms()
        account = Account(
            id=AccountId(self._entropy.new_id("acct_")),
            name=request.name,
            base_url=request.base_url,
            account=request.account,
            password_md5=password_md5,
            pwd_case=request.pwd_case,
            max_mobiles=request.max_mobiles,
            requests_per_s=request.requests_per_s,
            connections=request.connections,
            timeout_s=request.timeout_s,
            pull_reports=request.pull_reports,
            pull_inbound=request.pull_inbound,
            pull_interval_s=request.pull_interval_s,
            callback_allow=tuple(request.callback_allow),
            callback_proxies=request.callback_proxies,
            weight=request.weight,
            task_id_dedup=request.task_id_dedup,
            codes=request.codes,
            low_balance=request.low_balance,
            extension_digits=request.extension_digits,
            sandbox=False,
            disabled=False,
            created_ms=now_ms,
        )
        # 192 random bits; base-16, so that it survives every form of copying into a provider's configuration.
        token = self._entropy.token(_TOKEN_BYTES).hex()
        view = view_of(account)
        answer = render(view, token)
        stored = await self._store.create_account(
            account,
            callback_token=token,
            entry=self._auditor.entry(actor, "account.created", account.id, {"after": msgspec.to_builtins(view)}),
            idempotency=None if use is None else use.answered(_CREATED_STATUS, answer, now_ms),
        )
        await self._accounts.refresh()
        return stored if isinstance(stored, Replay) else answer


def _check_base_url(base_url: str) -> None:
    if base_url == SANDBOX_URL:
        return
    try:
        parts = urlsplit(base_url)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and not parts.username
    except ValueError:
        # An IPv6 address without its end, or a port beyond 65535.
        fits = False
    if not fits:
        raise BodyInvalid(
            "The provider cannot be reached at this address.",
            errors=(
                FieldError(pointer="/base_url", detail="must be http(s)://host[:port][/path], without credentials"),
            ),
        )


def _password_md5(request: AccountRequest) -> str:
    if (request.password is None) == (request.password_md5 is None):
        raise BodyInvalid(
            "Give the password or its MD5, one of them.",
            errors=(FieldError(pointer="/password", detail="exactly one of password and password_md5"),),
        )
    if request.password_md5 is not None:
        return request.password_md5.lower()
    # The provider's own scheme (provider documentation, "authorization"): not a way to keep passwords.
    return hashlib.md5((request.password or "").encode(), usedforsecurity=False).hexdigest()
