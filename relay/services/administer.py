"""What the platform team does: accounts, teams, keys."""

import hashlib
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from relay.domain.accounts import SANDBOX_URL, Account, AccountView, view_of
from relay.domain.errors import BodyInvalid, FieldError
from relay.domain.ids import AccountId, KeyId, TeamId
from relay.domain.teams import KeyKind, KeyView, Team, TeamView, hash_secret, write_key
from relay.domain.teams import view_of as team_view_of
from relay.domain.times import instant, instant_or_none
from relay.ports import Clock, Entropy, NewKey, Replay, Store
from relay.services.accounts import AccountBook
from relay.services.idempotency import KeyUse
from relay.services.requests import AccountRequest, KeyRequest, TeamRequest

_CREATED_STATUS: Final = 201
_KEY_BYTES: Final = 32
_TOKEN_BYTES: Final = 24
_HINT_DIGITS: Final = 4


class Administer:
    """Creates accounts, teams and keys. Every method raises BodyInvalid, AlreadyExists, IdempotencyKeyReused."""

    def __init__(self, store: Store, accounts: AccountBook, clock: Clock, entropy: Entropy) -> None:
        self._store = store
        self._accounts = accounts
        self._clock = clock
        self._entropy = entropy

    async def create_account(
        self, request: AccountRequest, use: KeyUse | None, render: Callable[[AccountView, str], bytes]
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
            sandbox=False,
            disabled=False,
            created_ms=now_ms,
        )
        # 192 random bits; base-16, so that it survives every form of copying into a provider's configuration.
        token = self._entropy.token(_TOKEN_BYTES).hex()
        answer = render(view_of(account), token)
        stored = await self._store.create_account(
            account,
            callback_token=token,
            idempotency=None if use is None else use.answered(_CREATED_STATUS, answer, now_ms),
        )
        await self._accounts.refresh()
        return stored if isinstance(stored, Replay) else answer

    async def create_team(
        self, request: TeamRequest, use: KeyUse | None, render: Callable[[TeamView], bytes]
    ) -> bytes | Replay:
        """A team, its extensions leased."""
        if any(self._accounts.get(account_id) is None for account_id in request.accounts):
            # Another replica may have made it just now.
            await self._accounts.refresh()
        unknown = [
            FieldError(pointer=f"/accounts/{index}", detail="there is no such account")
            for index, account_id in enumerate(request.accounts)
            if self._accounts.get(account_id) is None
        ]
        if unknown:
            raise BodyInvalid("The team names an account that does not exist.", errors=tuple(unknown))
        now_ms = self._clock.now_ms()
        team = Team(
            id=TeamId(self._entropy.new_id("team_")),
            name=request.name,
            signature=request.signature,
            accounts=tuple(request.accounts),
            extensions=tuple(request.extensions),
            quota_units_per_day=request.quota_units_per_day,
            requests_per_s=request.requests_per_s,
            recipient_limits=request.recipient_limits,
            created_ms=now_ms,
        )
        answer = render(team_view_of(team))
        stored = await self._store.create_team(
            team, None if use is None else use.answered(_CREATED_STATUS, answer, now_ms)
        )
        return stored if isinstance(stored, Replay) else answer

    async def create_key(
        self, request: KeyRequest, use: KeyUse | None, render: Callable[[KeyView, str], bytes]
    ) -> bytes | Replay:
        """``render`` gets the view and the secret, which is shown this once."""
        await self._check_key(request)
        now_ms = self._clock.now_ms()
        kind: KeyKind = "admin" if "admin" in request.scopes else request.mode
        secret = write_key(kind, self._entropy.token(_KEY_BYTES))
        view = KeyView(
            id=KeyId(self._entropy.new_id("key_")),
            team_id=request.team_id,
            name=request.name,
            hint=secret[: len(f"rk_{kind}_") + _HINT_DIGITS],
            scopes=list(dict.fromkeys(request.scopes)),
            mode=request.mode,
            created_at=instant(now_ms),
            expires_at=instant_or_none(request.expires_ms),
        )
        answer = render(view, secret)
        stored = await self._store.create_key(
            NewKey(view=view, hash=hash_secret(secret)),
            None if use is None else use.answered(_CREATED_STATUS, answer, now_ms),
        )
        return stored if isinstance(stored, Replay) else answer

    async def _check_key(self, request: KeyRequest) -> None:
        if "admin" in request.scopes:
            if request.team_id is not None or len(set(request.scopes)) > 1:
                raise _invalid("/scopes", "admin stands alone, and belongs to no team")
            return
        if request.team_id is None:
            raise _invalid("/team_id", "is required, but for the scope admin")
        if await self._store.team(request.team_id) is None:
            raise _invalid("/team_id", "there is no such team")


def _invalid(pointer: str, detail: str) -> BodyInvalid:
    return BodyInvalid("The key cannot be made.", errors=(FieldError(pointer=pointer, detail=detail),))


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
