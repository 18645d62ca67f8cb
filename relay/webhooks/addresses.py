"""Which IP addresses a webhook may never go to, and which only when the operator names them.

Decision: tables of our own instead of ``ipaddress.is_private`` and its like, because what those say changed between
Python 3.11.7 and 3.11.9, and because IPv6 is safer as a list of what is allowed. Sources: the IANA special-purpose
address registries (RFC 6890), RFC 4291, 6052, 3056, 4380, 5214; the clouds' own documentation for metadata addresses.
"""

import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

Address = IPv4Address | IPv6Address

_NEVER_4: Final[tuple[tuple[IPv4Network, str], ...]] = (
    (IPv4Network("0.0.0.0/8"), "an unspecified address"),
    (IPv4Network("169.254.169.254/32"), "a cloud metadata address"),
    (IPv4Network("169.254.0.0/16"), "a link-local address"),
    (IPv4Network("100.100.100.200/32"), "a cloud metadata address"),  # Alibaba Cloud
    (IPv4Network("168.63.129.16/32"), "a cloud metadata address"),  # Azure
    (IPv4Network("192.0.0.0/24"), "a reserved address"),  # protocol assignments; 192.0.0.192 is Oracle's metadata
    (IPv4Network("192.88.99.0/24"), "a reserved address"),  # 6to4 relays
    (IPv4Network("224.0.0.0/4"), "a multicast address"),
    (IPv4Network("255.255.255.255/32"), "the broadcast address"),
    (IPv4Network("240.0.0.0/4"), "a reserved address"),
)
_NEVER_6: Final[tuple[tuple[IPv6Network, str], ...]] = (
    (IPv6Network("::/128"), "an unspecified address"),
    (IPv6Network("fe80::/10"), "a link-local address"),
    (IPv6Network("ff00::/8"), "a multicast address"),
    (IPv6Network("fd00:ec2::/32"), "a cloud metadata address"),  # AWS: metadata, DNS, time, pod identity
    (IPv6Network("fd20:ce::254/128"), "a cloud metadata address"),  # Google Cloud
    (IPv6Network("fd00:c1::a9fe:a9fe/128"), "a cloud metadata address"),  # Oracle Cloud
    (IPv6Network("fd00:42::42/128"), "a cloud metadata address"),  # Scaleway
)
_UNICAST_6: Final = (IPv6Network("2000::/3"), IPv6Network("fc00::/7"))
_MAPPED: Final = IPv6Network("::ffff:0:0/96")
_TRANSLATED: Final = IPv6Network("::ffff:0:0:0/96")
_NAT64: Final = IPv6Network("64:ff9b::/96")
_TEREDO: Final = IPv6Network("2001::/32")
_PROTOCOLS_6: Final = IPv6Network("2001::/23")
_SIX_TO_FOUR: Final = IPv6Network("2002::/16")
_ISATAP: Final = frozenset({0x00005EFE, 0x02005EFE})
_LOOPBACK_4: Final = IPv4Network("127.0.0.0/8")
_LOOPBACK_6: Final = IPv6Address("::1")
_LOW_32: Final = 0xFFFFFFFF

# Decision: the shared space of carriers and clouds (RFC 6598) and benchmarks (RFC 2544) are neither private nor public;
# they are open only to an operator who lists them, because clouds run their own services there.
_ONLY_WHEN_NAMED: Final = (IPv4Network("100.64.0.0/10"), IPv4Network("198.18.0.0/15"))


def refusal(address: Address, *, allow_loopback: bool) -> str | None:
    """What makes this address one that no setting opens, as words for ``… is not allowed``; None when nothing does.

    A mapped IPv4 address is the IPv4 address, loopback included: the kernel connects to it. Any other IPv6 form that
    carries an IPv4 address (NAT64, 6to4, Teredo, ISATAP, translated) is refused when that one is, loopback always.
    """
    real = unmapped(address)
    if isinstance(real, IPv4Address):
        return _refusal_4(real, allow_loopback=allow_loopback)
    if real.scope_id is not None:
        return "an address with a zone"
    if real == _LOOPBACK_6:
        return None if allow_loopback else "a loopback address"
    for network, what in _NEVER_6:
        if real in network:
            return what
    for carried in _carried(real):
        what_4 = _refusal_4(carried, allow_loopback=False)
        if what_4 is not None:
            return f"an IPv6 form of {what_4}"
        if needs_naming(carried):
            return "an IPv6 form of a shared address"
    return None if _is_routable_6(real) else "a reserved address"


def needs_naming(address: Address) -> bool:
    """Whether this address is closed unless one of the operator's networks holds it."""
    real = unmapped(address)
    return isinstance(real, IPv4Address) and any(real in network for network in _ONLY_WHEN_NAMED)


def unmapped(address: Address) -> Address:
    """The IPv4 address behind ``::ffff:a.b.c.d``, else the address itself."""
    if isinstance(address, IPv6Address) and address in _MAPPED and address.scope_id is None:
        return _low_4(address)
    return address


def _refusal_4(address: IPv4Address, *, allow_loopback: bool) -> str | None:
    if address in _LOOPBACK_4:
        return None if allow_loopback else "a loopback address"
    for network, what in _NEVER_4:
        if address in network:
            return what
    return None


def _carried(address: IPv6Address) -> Iterator[IPv4Address]:
    bits = int(address)
    if address in _NAT64 or address in _TRANSLATED or (bits >> 32) & _LOW_32 in _ISATAP:
        yield _low_4(address)
    if address in _SIX_TO_FOUR:
        yield IPv4Address((bits >> 80) & _LOW_32)
    if address in _TEREDO:
        yield IPv4Address((bits >> 64) & _LOW_32)  # its server
        yield IPv4Address(~bits & _LOW_32)  # its client, inverted


def _is_routable_6(address: IPv6Address) -> bool:
    # NAT64 prefixes of one's own (64:ff9b:1::/48) are not here: where in them the IPv4 address stands is not knowable.
    if address in _NAT64 or address in _TEREDO:
        return True
    return address not in _PROTOCOLS_6 and any(address in network for network in _UNICAST_6)


def _low_4(address: IPv6Address) -> IPv4Address:
    return IPv4Address(int(address) & _LOW_32)


_NUMBER: Final = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)\Z")


def read_ipv4(host: str) -> IPv4Address | None:
    """The address that a C resolver takes ``host`` for: one to four parts, each decimal, octal or hexadecimal
    (``127.1``, ``0177.0.0.1``, ``0x7f000001``). None when it is a name.

    Raises ValueError when the last part is a number and the whole is no address. Source: WHATWG URL, "IPv4 parser".
    """
    parts = host.lower().split(".")
    if not _NUMBER.match(parts[-1]):
        return None
    if len(parts) > 4 or not all(_NUMBER.match(part) for part in parts):
        raise ValueError("not an IPv4 address")
    *high, low = (_read_number(part) for part in parts)
    if any(number > 255 for number in high) or low >= 256 ** (4 - len(high)):
        raise ValueError("not an IPv4 address")
    return IPv4Address(sum(number << (24 - 8 * place) for place, number in enumerate(high)) + low)


def _read_number(part: str) -> int:
    if part.startswith("0x"):
        return int(part[2:] or "0", 16)
    return int(part, 8 if part.startswith("0") else 10)
