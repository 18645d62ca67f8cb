import pytest

from relay.domain.peers import client_address, is_allowed


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "proxies", "address"),
    [
        ("203.0.113.9", None, 0, "203.0.113.9"),
        ("203.0.113.9", "198.51.100.1", 0, "203.0.113.9"),
        ("10.0.0.1", "203.0.113.9", 1, "203.0.113.9"),
        ("10.0.0.1", "6.6.6.6, 203.0.113.9", 1, "203.0.113.9"),
        ("10.0.0.1", "6.6.6.6, 203.0.113.9, 10.0.0.2", 2, "203.0.113.9"),
        ("10.0.0.1", "203.0.113.9", 2, None),
        ("10.0.0.1", None, 1, None),
        ("10.0.0.1", "", 1, None),
        ("10.0.0.1", "unknown", 1, None),
        ("10.0.0.1", "203.0.113.9:4711", 1, "203.0.113.9"),
        ("10.0.0.1", "[2001:db8::1]:4711", 1, "2001:db8::1"),
        ("10.0.0.1", "2001:db8::1", 1, "2001:db8::1"),
        ("::ffff:203.0.113.9", None, 0, "203.0.113.9"),
        ("", None, 0, None),
    ],
)
def test_the_client_is_what_the_outermost_trusted_proxy_saw(
    peer: str, forwarded_for: str | None, proxies: int, address: str | None
) -> None:
    found = client_address(peer, forwarded_for, proxies)

    assert (None if found is None else str(found)) == address


@pytest.mark.parametrize(
    ("peer", "allow", "allowed"),
    [
        ("203.0.113.9", [], True),
        ("", [], True),
        ("203.0.113.9", ["203.0.113.0/24"], True),
        ("203.0.113.9", ["203.0.113.9"], True),
        ("203.0.113.9", ["198.51.100.0/24", "203.0.113.8/29"], True),
        ("203.0.113.9", ["198.51.100.0/24"], False),
        ("203.0.113.9", ["2001:db8::/32"], False),
        ("2001:db8::1", ["2001:db8::/32"], True),
        ("::ffff:203.0.113.9", ["203.0.113.0/24"], True),
        ("203.0.113.9", ["::ffff:203.0.113.0/120"], True),
        ("203.0.113.9", ["::ffff:203.0.113.8"], False),
        ("203.0.113.9", ["::/0"], False),
        ("", ["0.0.0.0/0"], False),
    ],
)
def test_an_allow_list_has_the_address_or_it_does_not(peer: str, allow: list[str], allowed: bool) -> None:
    assert is_allowed(client_address(peer, None, 0), allow) is allowed
