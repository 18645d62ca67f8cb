"""Provider accounts."""

from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

import msgspec

from relay.domain.accounts import SANDBOX_URL, Account, AccountView, CodeRule, view_of
from relay.domain.audit import Actor
from relay.domain.errors import BodyInvalid, FieldError, NotFound, PreconditionFailed
from relay.domain.ids import AccountId
from relay.ports import Clock, Entropy, Replay, SecretReader, Store
from relay.services.accounts import AccountBook
from relay.services.admin.account_requests import AccountChanges, CodeChange
from relay.services.admin.auditing import Auditor, changes
from relay.services.admin.passwords import given_md5
from relay.services.idempotency import KeyUse
from relay.services.requests import AccountRequest

_CREATED_STATUS: Final = 201
_TOKEN_BYTES: Final = 24
_MOST_CODES: Final = 500
_TRIES: Final = 10


class AccountsAdmin:
    """Administers accounts; their credentials, callback tokens and probes are next door."""

    def __init__(
        self, store: Store, accounts: AccountBook, secrets: SecretReader, clock: Clock, entropy: Entropy
    ) -> None:
        self._store = store
        self._accounts = accounts
        self._secrets = secrets
        self._auditor = Auditor(clock, entropy)
        self._clock = clock
        self._entropy = entropy

    async def create_account(
        self, request: AccountRequest, actor: Actor, use: KeyUse | None, render: Callable[[AccountView, str], bytes]
    ) -> bytes | Replay:
        """``render`` gets the view and the callback token, which is shown this once. Raises BodyInvalid, AlreadyExists,
        IdempotencyKeyReused."""
        _check_base_url(request.base_url)
        password_md5 = await given_md5(request, self._secrets)
        now_ms = self._clock.now_ms()
        account = Account(
            id=AccountId(self._entropy.new_id("acct_")),
            name=request.name,
            base_url=request.base_url,
            account=request.account,
            password_md5=password_md5,
            password_ref=request.password_ref,
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
        token = new_callback_token(self._entropy)
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

    async def change_account(
        self, account_id: AccountId, wanted: AccountChanges, actor: Actor, if_match: int | None
    ) -> Account:
        """The account as it is afterwards. ``if_match``: only when this is its version. What changes nothing leaves
        version and audit alone. Raises NotFound, PreconditionFailed, BodyInvalid, AlreadyExists."""
        if isinstance(wanted.base_url, str):
            _check_base_url(wanted.base_url)
        for _ in range(_TRIES):
            before = await self._store.account(account_id)
            if before is None:
                raise NotFound("There is no such account.")
            if if_match is not None and before.version != if_match:
                raise PreconditionFailed("The account was changed since it was read.")
            after = _changed(before, wanted, self._clock.now_ms())
            if view_of(before) == view_of(after):
                return before
            detail = changes(view_of(before), view_of(after))
            try:
                await self._store.change_account(
                    after, entry=self._auditor.entry(actor, "account.updated", account_id, detail)
                )
            except PreconditionFailed:
                # Somebody else was faster: without If-Match this changes what is there now.
                continue
            await self._accounts.refresh()
            return msgspec.structs.replace(after, version=after.version + 1)
        raise PreconditionFailed("The account is changed by others all the time.")

    async def delete_account(self, account_id: AccountId, actor: Actor, if_match: int | None) -> None:
        """Raises NotFound, PreconditionFailed, and InUse that says what the account is needed for."""
        await self._store.delete_account(
            account_id,
            version=if_match,
            entry=self._auditor.entry(actor, "account.deleted", account_id),
            now_ms=self._clock.now_ms(),
        )
        await self._accounts.refresh()


def new_callback_token(entropy: Entropy) -> str:
    """192 random bits; base-16, so that it survives every form of copying into a provider's configuration."""
    return entropy.token(_TOKEN_BYTES).hex()


def without_old_fallback(account: Account, now_ms: int) -> Account:
    """An account that is about to be stored keeps no fall-back whose time is over."""
    if account.live_fallback(now_ms) is not None:
        return account
    return msgspec.structs.replace(account, fallback=None, fallback_until_ms=None)


def _changed(before: Account, wanted: AccountChanges, now_ms: int) -> Account:
    given = {name: value for name in wanted.__struct_fields__ if (value := getattr(wanted, name)) is not msgspec.UNSET}
    if "callback_allow" in given:
        given["callback_allow"] = tuple(given["callback_allow"])
    if "codes" in given:
        given["codes"] = _merged(before.codes, given["codes"])
    return without_old_fallback(msgspec.structs.replace(before, **given), now_ms)


def _merged(codes: dict[str, CodeRule], wanted: dict[str, CodeChange | None] | None) -> dict[str, CodeRule]:
    """The table afterwards, as a JSON merge patch (RFC 7396) makes it."""
    if wanted is None:
        return {}
    merged = dict(codes)
    errors: list[FieldError] = []
    for code, change in wanted.items():
        rule = None if change is None else change.of(merged.get(code))
        if rule is not None:
            merged[code] = rule
        elif change is None:
            merged.pop(code, None)
        else:
            errors.append(FieldError(pointer=f"/codes/{_escaped(code)}/class", detail="A new code needs its class."))
    if len(merged) > _MOST_CODES:
        errors.append(FieldError(pointer="/codes", detail=f"The table would have more than {_MOST_CODES} codes."))
    if errors:
        raise BodyInvalid("The table of codes cannot be changed like this.", errors=tuple(errors))
    return merged


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


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
