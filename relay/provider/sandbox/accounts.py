"""The provider's customers: credentials, money, addresses for callbacks, and rows that wait to be pulled."""

from collections import deque
from collections.abc import Mapping
from hashlib import md5
from hmac import compare_digest
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Literal

import msgspec

from relay.provider.sandbox.rows import Inbound, Report, RowKind

Mode = Literal["push", "pull", "both"]


class AccountSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the provider's administrator sets for a customer.

    ``other_passwords`` are taken like ``password``, as while it is being changed.
    ``balance`` counts segments; ``payment`` 0 is prepaid, 1 postpaid (never out of balance). ``ips`` are addresses or
    CIDRs, empty = every address. A mode of None is push where its URL is set, else pull. ``port`` stands before the
    extension in the `extNo` of inbound messages. ``answered_task_id`` "own" answers /send with an id of the provider's
    own; ``report_send_id`` says which of the two ids reports carry. ``requests_per_s`` over all calls, 0 = no limit.
    """

    password: str = "sandbox-password"  # noqa: S105 - the documented one of the sandbox
    other_passwords: tuple[str, ...] = ()
    pwd_case: Literal["lower", "upper", "any"] = "lower"  # noqa: S105 - a case, no password
    balance: int = 1_000_000_000
    payment: Literal[0, 1] = 0
    ips: tuple[str, ...] = ()
    report_url: str | None = None
    mo_url: str | None = None
    report_mode: Mode | None = None
    mo_mode: Mode | None = None
    port: str = ""
    answered_task_id: Literal["ours", "own"] = "ours"
    report_send_id: Literal["answered", "ours"] = "answered"
    requests_per_s: int = 0


class Account:
    """One customer: settings, what is left of the balance, and two queues that a pull drains."""

    def __init__(self, name: str, settings: AccountSettings, *, queue_rows: int) -> None:
        """``queue_rows`` bounds each queue; past it the oldest row falls out."""
        self.name = name
        self.reports: deque[Report] = deque(maxlen=queue_rows)
        self.inbound: deque[Inbound] = deque(maxlen=queue_rows)
        self._second = 0
        self._calls_in_second = 0
        self.configure(settings)

    def configure(self, settings: AccountSettings) -> None:
        """Takes new settings, the balance included. Raises ValueError, changing nothing, if an address is none."""
        networks = tuple(ip_network(text) for text in settings.ips)
        passwords = (settings.password, *settings.other_passwords)
        digests = tuple(md5(password.encode(), usedforsecurity=False).hexdigest() for password in passwords)
        upper = tuple(digest.upper() for digest in digests)
        self._networks: tuple[IPv4Network | IPv6Network, ...] = networks
        self._digests = {
            "lower": digests,
            "upper": upper,
            "any": digests + upper,
        }[settings.pwd_case]
        self.settings = settings
        self.balance = settings.balance

    def change(self, changes: Mapping[str, object]) -> None:
        """Sets the named settings and keeps the others. Raises msgspec.ValidationError or ValueError."""
        current = msgspec.to_builtins(self.settings)
        merged = {**current, "balance": self.balance, **changes}
        self.configure(msgspec.convert(merged, AccountSettings))

    def authenticates(self, pwd: str) -> bool:
        """Whether ``pwd`` is the MD5 of a password, in the account's case of hex digits."""
        return any(compare_digest(digest.encode(), pwd.encode()) for digest in self._digests)

    def allows(self, client: str) -> bool:
        """Whether the account may be used from this address."""
        if not self._networks:
            return True
        try:
            address = ip_address(client)
        except ValueError:
            return False
        return any(address in network for network in self._networks)

    def charge(self, units: int) -> bool:
        """Takes segments off the balance; false, changing nothing, if a prepaid account has too few."""
        if self.settings.payment == 0 and units > self.balance:
            return False
        self.balance -= units
        return True

    def throttles(self, now_s: float) -> bool:
        """Counts one call; true if it is over ``requests_per_s`` in this second of the clock."""
        second = int(now_s)
        if second != self._second:
            self._second, self._calls_in_second = second, 0
        self._calls_in_second += 1
        return 0 < self.settings.requests_per_s < self._calls_in_second

    def mode(self, kind: RowKind) -> Mode:
        """How rows of this kind go to the customer."""
        settings = self.settings
        chosen = settings.report_mode if kind == "report" else settings.mo_mode
        return chosen or ("push" if self.url(kind) else "pull")

    def url(self, kind: RowKind) -> str | None:
        """Where rows of this kind are pushed to, if anywhere."""
        return self.settings.report_url if kind == "report" else self.settings.mo_url

    def view(self) -> dict[str, object]:
        """The account as the control plane shows it: everything but the passwords."""
        shown: dict[str, object] = msgspec.to_builtins(self.settings)
        del shown["password"], shown["other_passwords"]
        queued = {"reports_queued": len(self.reports), "inbound_queued": len(self.inbound)}
        return {"account": self.name, **shown, "balance": self.balance, **queued}
