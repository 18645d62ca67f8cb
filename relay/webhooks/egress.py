"""Where webhooks may go: judged by URL when an endpoint is made, and by address whenever a connection is.

Private (RFC 1918, ULA) and public addresses are open; the operator narrows them. Loopback (but in development),
link-local, cloud metadata, unspecified, multicast, broadcast and reserved addresses stay closed in every disguise.

Decision: a list of networks and a list of host suffixes each hold by themselves: a name must match a suffix where there
are suffixes, and the address it leads to must be in a network where there are networks. A literal address has no name,
so where there are suffixes but no networks it is refused.
"""

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import Final

import httpx

from relay.domain.errors import ConfigError, EndpointRefused
from relay.webhooks.addresses import Address, needs_naming, read_ipv4, refusal, unmapped

LONGEST_URL: Final = 2048
_VISIBLE: Final = re.compile(r"[!-~]+\Z")
_AUTHORITY: Final = re.compile(r"[a-z]+://([^/?#]*)", re.IGNORECASE)
# Underscores are no host names, but container networks are full of them.
_NAME: Final = re.compile(r"(?=.{1,253}\Z)[a-z0-9_](?:[a-z0-9_-]{0,62})(?:\.[a-z0-9_][a-z0-9_-]{0,62})*\Z")
_LOOPBACK_NAMES: Final = frozenset(
    {"localhost", "localhost.localdomain", "localhost6", "localhost6.localdomain6", "ip6-localhost", "ip6-loopback"}
)


class EgressPolicy:
    """The policy of one process. ``allow_cidrs`` and ``allow_host_suffixes`` narrow it when they are not empty; the
    suffix ``corp.example`` stands for that name and all below it. Raises ConfigError for a network that is none."""

    def __init__(
        self, *, allow_loopback: bool, allow_cidrs: Sequence[str] = (), allow_host_suffixes: Sequence[str] = ()
    ) -> None:
        self._allow_loopback = allow_loopback
        try:
            self._networks = tuple(ip_network(cidr) for cidr in allow_cidrs)
        except ValueError as exc:
            raise ConfigError(f"webhook networks must be CIDRs without host bits, such as 10.0.0.0/8: {exc}") from exc
        self._suffixes = tuple(suffix.strip(".").lower() for suffix in allow_host_suffixes)

    def check_url(self, url: str) -> None:
        """Nothing, when this URL may be called as far as can be told before its name is looked up.

        Raises EndpointRefused, whose detail says what to change and does not repeat the URL.
        """
        host = _read_host(url)
        address = _read_address(host)
        if address is not None:
            self._check_address(address)
        else:
            self._check_name(host.removesuffix("."))

    def permits(self, address: IPv4Address | IPv6Address) -> bool:
        """Whether a connection may be made to this address, which a name has led to."""
        if refusal(address, allow_loopback=self._allow_loopback) is not None:
            return False
        if not self._networks:
            return not needs_naming(address)
        real = unmapped(address)
        return any(real in network for network in self._networks)

    def _check_address(self, address: Address) -> None:
        what = refusal(address, allow_loopback=self._allow_loopback)
        if what is not None:
            raise EndpointRefused(f"The URL leads to {what}, which is not allowed.")
        if self._suffixes and not self._networks:
            raise EndpointRefused("The URL must have a host name: addresses are not allowed here.")
        if not self.permits(address):
            raise EndpointRefused("The URL leads to an address outside the networks that are allowed here.")

    def _check_name(self, name: str) -> None:
        if not _NAME.match(name):
            raise EndpointRefused("The URL's host is neither a host name nor an address.")
        is_loopback = name in _LOOPBACK_NAMES or name.endswith(".localhost")
        if is_loopback and not self._allow_loopback:
            raise EndpointRefused("The URL leads to this machine itself, which is not allowed.")
        if self._suffixes and not any(name == suffix or name.endswith("." + suffix) for suffix in self._suffixes):
            raise EndpointRefused("The URL's host is outside the domains that are allowed here.")


def _read_host(url: str) -> str:
    if len(url) > LONGEST_URL:
        raise EndpointRefused(f"The URL is longer than {LONGEST_URL} characters.")
    if not _VISIBLE.match(url) or "\\" in url:
        raise EndpointRefused(
            "The URL must be visible ASCII without blanks and backslashes; write other letters as %XX, a host as xn--…."
        )
    if "#" in url:
        raise EndpointRefused("The URL must not have a fragment (#…).")
    if not url.lower().startswith(("https://", "http://")):
        raise EndpointRefused("The URL must start with https:// or http://.")
    authority = _AUTHORITY.match(url)
    if authority is None or "@" in authority[1]:
        raise EndpointRefused("The URL must not carry credentials: use a header of the endpoint.")
    try:
        # The parser that the request will be made with: where two parsers differ, a check can be fooled.
        parsed = httpx.URL(url)
    except httpx.InvalidURL as exc:
        raise EndpointRefused("The URL's host or port cannot be read.") from exc
    if parsed.port is not None and not 1 <= parsed.port <= 65535:
        raise EndpointRefused("The URL's port must be 1 to 65535.")
    if not parsed.raw_host:
        raise EndpointRefused("The URL has no host.")
    return parsed.raw_host.decode("ascii")


def _read_address(host: str) -> Address | None:
    """The address that the host is, in any of its spellings; None when it is a name."""
    try:
        if ":" in host:
            return IPv6Address(host)
        return read_ipv4(host.removesuffix("."))
    except ValueError as exc:
        raise EndpointRefused("The URL's host looks like an address, but is none.") from exc
