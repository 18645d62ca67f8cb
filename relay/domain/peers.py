"""Who is at the other end of a connection, seen through proxies."""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

Address = IPv4Address | IPv6Address
_MAPPED_BITS: Final = 96


def client_address(peer: str, forwarded_for: str | None, proxies: int) -> Address | None:
    """The address of the client behind ``proxies`` trusted proxies; None when it cannot be told.

    ``peer`` is the connection's other end; each trusted proxy has appended the address that it saw to
    X-Forwarded-For (all of its lines, joined by commas), so the list is walked from the right, and what stands further
    left is the client's own claim. An empty entry counts as one: what cannot be read is no reason to look further left.
    """
    if proxies == 0:
        return _read(peer)
    hops = (forwarded_for or "").split(",")
    if len(hops) < proxies:
        return None
    return _read(hops[-proxies])


def is_allowed(address: Address | None, allow: Iterable[str]) -> bool:
    """Whether an allow-list of CIDRs and addresses has this address; an empty list allows all."""
    listed = [_plain(ip_network(entry, strict=False)) for entry in allow]
    if not listed:
        return True
    return address is not None and any(address in network for network in listed if network.version == address.version)


def _plain(network: IPv4Network | IPv6Network) -> IPv4Network | IPv6Network:
    """An IPv4 network that is written as IPv6, ::ffff:203.0.113.0/120, is one of IPv4, as its addresses are."""
    mapped = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
    if mapped is None or network.prefixlen < _MAPPED_BITS:
        return network
    return IPv4Network((mapped, network.prefixlen - _MAPPED_BITS))


def _read(text: str) -> Address | None:
    host = text.strip()
    if host.startswith("["):
        host, end, _ = host[1:].partition("]")
        if not end:
            return None
    elif host.count(":") == 1:
        # Some proxies write the port behind an IPv4 address.
        host = host.partition(":")[0]
    try:
        address = ip_address(host)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
