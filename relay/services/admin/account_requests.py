"""What the platform team may want of an account that is there."""

import msgspec
from msgspec import UNSET, UnsetType

from relay.domain.accounts import CodeClass, CodeRule, CodeScope, PwdCase


class CodeChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What changes of the rule for one code; a new rule needs its class."""

    code_class: CodeClass | UnsetType = msgspec.field(name="class", default=UNSET)
    retryable: bool | UnsetType = UNSET
    scope: CodeScope | UnsetType = UNSET

    def of(self, rule: CodeRule | None) -> CodeRule | None:
        """The rule afterwards; None when there was none and its class is not said."""
        if rule is None:
            if self.code_class is UNSET:
                return None
            rule = CodeRule(code_class=self.code_class)
        given = {name: value for name in self.__struct_fields__ if (value := getattr(self, name)) is not UNSET}
        return msgspec.structs.replace(rule, **given)


class AccountChanges(msgspec.Struct, frozen=True, kw_only=True):
    """What changes of an account: everything that is not UNSET. ``codes`` by code, None removes the rule; None for all
    of it removes all rules."""

    name: str | UnsetType = UNSET
    base_url: str | UnsetType = UNSET
    pwd_case: PwdCase | UnsetType = UNSET
    max_mobiles: int | UnsetType = UNSET
    requests_per_s: float | UnsetType = UNSET
    connections: int | UnsetType = UNSET
    timeout_s: float | UnsetType = UNSET
    pull_reports: bool | UnsetType = UNSET
    pull_inbound: bool | UnsetType = UNSET
    pull_interval_s: float | UnsetType = UNSET
    callback_allow: list[str] | UnsetType = UNSET
    callback_proxies: int | UnsetType = UNSET
    weight: int | UnsetType = UNSET
    task_id_dedup: bool | UnsetType = UNSET
    codes: dict[str, CodeChange | None] | UnsetType | None = UNSET
    low_balance: int | UnsetType | None = UNSET
    extension_digits: int | UnsetType | None = UNSET
    disabled: bool | UnsetType = UNSET


class NewCredentials(msgspec.Struct, frozen=True, kw_only=True):
    """Other credentials for an account: exactly one of ``password``, ``password_md5`` and ``password_ref``; ``account``
    None: the name at the provider stays. The ones before are a fall-back for ``fallback_s`` seconds."""

    password: str | None = None
    password_md5: str | None = None
    password_ref: str | None = None
    account: str | None = None
    fallback_s: int = 3600


class DedupCheck(msgspec.Struct, frozen=True, kw_only=True):
    """Send ``text`` to ``mobile`` twice with one taskId."""

    mobile: int
    text: str
