"""Where webhooks may go, and all the ways to write where they may not."""

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from relay.domain.errors import ConfigError, EndpointRefused
from relay.ports import EgressPolicy as Port
from relay.webhooks.addresses import read_ipv4
from relay.webhooks.egress import EgressPolicy

OPEN: Port = EgressPolicy(allow_loopback=False)
DEVELOPMENT = EgressPolicy(allow_loopback=True)
POLICY = EgressPolicy(allow_loopback=False)

LOOPBACK_HOSTS = [
    "127.0.0.1",
    "127.255.255.254",
    "127.0.0.1.",
    "127.1",
    "127.0.1",
    "2130706433",
    "017700000001",
    "0x7f000001",
    "0X7F000001",
    "0x7f.1",
    "0x7f.0x0.0x0.0x1",
    "0177.1",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "a.localhost",
    "localhost.localdomain",
    "ip6-localhost",
]
CLOSED_HOSTS = [
    "0.0.0.0",  # noqa: S104 - an address to be refused
    "0",
    "0x0",
    "0.1.2.3",
    "169.254.169.254",
    "169.254.169.254.",
    "2852039166",
    "0xa9fea9fe",
    "0xa9.0xfe.43518",
    "025177524776",
    "169.254.1.1",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "192.88.99.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "4294967295",
    "100.64.0.1",
    "198.18.0.1",
    "[::]",
    "[::ffff:0.0.0.0]",
    "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
    "[::ffff:100.64.0.1]",
    "[::169.254.169.254]",
    "[::127.0.0.1]",
    "[::10.0.0.1]",
    "[::ffff:0:169.254.169.254]",
    "[::ffff:0:127.0.0.1]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b::a9fe:a9fe]",
    "[64:ff9b::100.64.0.1]",
    "[64:ff9b:1::a9fe:a9fe]",
    "[64:ff9b:1::10.0.0.1]",
    "[2002:7f00:1::]",
    "[2002:a9fe:a9fe::1]",
    "[2002:e000:1::1]",
    "[2001:0:a9fe:a9fe::1]",
    "[2001:0:a00:1:0:0:5601:5601]",
    "[2001:0:a00:1:0:0:80ff:fffe]",
    "[2001:db8::5efe:127.0.0.1]",
    "[2001:db8::200:5efe:169.254.169.254]",
    "[fe80::1]",
    "[febf::1]",
    "[fe80::5efe:10.0.0.1]",
    "[fec0::1]",
    "[ff02::1]",
    "[ff0e::1]",
    "[fd00:ec2::254]",
    "[fd00:ec2::23]",
    "[fd20:ce::254]",
    "[100::1]",
    "[2001:2::1]",
    "[2001:20::1]",
    "[4000::1]",
    "[5f00::1]",
    "[::2]",
    "[fd00::1%25eth0]",
    "[fd00::1%eth0]",
    "[fe80::1%25lo]",
    "[::1%25lo]",
    "[::ffff:10.0.0.1%25lo]",
]
SHARED_HOSTS = ["100.64.0.1", "198.18.0.1", "[::ffff:100.64.0.1]"]
OPEN_HOSTS = [
    "10.0.0.1",
    "172.16.5.4",
    "172.31.255.255",
    "192.168.1.1",
    "8.8.8.8",
    "134744072",
    "0x0a000001",
    "203.0.113.7",
    "[2606:4700::1111]",
    "[2001:db8::1]",
    "[fd12:3456::1]",
    "[fc00::1]",
    "[::ffff:10.0.0.1]",
    "[64:ff9b::8.8.8.8]",
    "[64:ff9b::10.0.0.1]",
    "[2002:a00:1::1]",
    "[2001:0:a00:1::f5ff:fffe]",
    "hooks.corp.example",
    "hooks.corp.example.",
    "billing",
    "billing_web",
    "xn--fiq228c.example",
    "127.0.0.1.example",
    "0x7f.example",
    "notlocalhost",
    "localhost.example",
]


@pytest.mark.parametrize("port", ["", ":8080"])
@pytest.mark.parametrize("host", LOOPBACK_HOSTS)
def test_this_machine_is_closed_however_it_is_written_and_open_in_development(host: str, port: str) -> None:
    with pytest.raises(EndpointRefused):
        POLICY.check_url(f"http://{host}{port}/hook")
    DEVELOPMENT.check_url(f"http://{host}{port}/hook")


@pytest.mark.parametrize("policy", [POLICY, DEVELOPMENT, EgressPolicy(allow_loopback=True, allow_cidrs=["10.0.0.0/8"])])
@pytest.mark.parametrize("host", CLOSED_HOSTS)
def test_a_closed_address_stays_closed_in_every_disguise(host: str, policy: EgressPolicy) -> None:
    with pytest.raises(EndpointRefused):
        policy.check_url(f"https://{host}/hook")


@pytest.mark.parametrize("host", OPEN_HOSTS)
def test_private_and_public_places_are_open(host: str) -> None:
    OPEN.check_url(f"https://{host}:8443/hook?team=a&x=%E4")


@pytest.mark.parametrize("always", ["0.0.0.0/0", "::/0"])
@pytest.mark.parametrize("host", [host for host in CLOSED_HOSTS if host not in SHARED_HOSTS])
def test_no_network_of_the_operator_opens_what_is_always_closed(host: str, always: str) -> None:
    with pytest.raises(EndpointRefused):
        EgressPolicy(allow_loopback=False, allow_cidrs=[always]).check_url(f"http://{host}/")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hooks.example",
        "//hooks.example/",
        "ftp://hooks.example/",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "gopher://hooks.example/",
        "http:/hooks.example/",
        "http:hooks.example",
        "http://",
        "http:///hook",
        "http://:80/",
        "http://?x",
        "https://user@hooks.example/",
        "https://user:pw@hooks.example/",
        "https://@hooks.example/",
        "https://10.0.0.1@127.0.0.1/",
        "https://hooks.example#@127.0.0.1/",
        "https://hooks.example/#part",
        "https://hooks.example/#",
        "https://hooks.example\\@127.0.0.1/",
        "https://hooks.example/a b",
        " https://hooks.example/",
        "https://hooks.example/\r\nx: y",
        "https://hooks.example/\n",
        "https://hooks.example/\t",
        "https://hooks.example/\0",
        "https://hooks.example/\x7f",
        "https://hooks.example/路径",
        "https://１２７.0.0.1/",
        "https://127。0。0。1/",
        "https://ⓛocalhost/",
        "https://hooks.example:0/",
        "https://hooks.example:65536/",
        "https://hooks.example:-1/",
        "https://hooks.example:http/",
        "https://hooks.example:80:80/",
        "https://hooks..example/",
        "https://.hooks.example/",
        "https://hooks.example../",
        "https://-hooks.example/",
        "https://hooks.%65xample/",
        "https://127.0.0.%31/",
        "https://ho$ks.example/",
        "https://[::1/",
        "https://[::1]x/",
        "https://[10.0.0.1]/",
        "https://[v1.fe80]/",
        "https://1.2.3.4.5/",
        "https://1.2.3.256/",
        "https://256.1/",
        "https://08.0.0.1/",
        "https://0xg.1/",
        "https://4294967296/",
        "https://a.1/",
        "https://" + "1" * 1000 + "/",
        "https://" + "a" * 64 + ".example/",
        "https://" + "a." * 127 + "example/",
        "https://hooks.example/" + "a" * 2048,
    ],
)
def test_a_url_that_cannot_be_called_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(EndpointRefused) as caught:
        DEVELOPMENT.check_url(url)
    assert caught.value.detail.startswith("The URL")
    assert "hooks" not in caught.value.detail


def test_a_url_may_be_2048_characters_long() -> None:
    url = "https://hooks.example/"
    POLICY.check_url(url + "a" * (2048 - len(url)))


@given(st.text(max_size=80) | st.from_regex(r"https?://[\[\]0-9a-fx.:%@/#\\-]{0,40}"))
@example("http://[::ffff:1.2.3.4%25a]/")
def test_any_text_is_judged_and_an_accepted_one_can_be_parsed(url: str) -> None:
    try:
        POLICY.check_url(url)
    except EndpointRefused:
        return
    parsed = httpx.URL(url)
    assert parsed.scheme in ("http", "https")
    assert parsed.host
    assert not parsed.userinfo


@given(
    st.from_regex(
        r"\A(0x[0-9a-f]{1,8}|0[0-7]{0,11}|[1-9][0-9]{0,9})(\.(0x[0-9a-f]{1,8}|0[0-7]{0,11}|[1-9][0-9]{0,9})){0,3}\Z"
    )
)
def test_disguised_addresses_are_read_as_the_c_library_reads_them(host: str) -> None:
    try:
        expected = IPv4Address(socket.inet_aton(host))
    except OSError:
        with pytest.raises(ValueError, match="IPv4"):
            read_ipv4(host)
    else:
        assert read_ipv4(host) == expected


@given(st.ip_addresses(v=4))
def test_a_disguise_is_never_more_open_than_the_address_behind_it(address: IPv4Address) -> None:
    number = int(address)
    mapped = IPv6Address((0xFFFF << 32) | number)
    nat64 = IPv6Address((0x64FF9B << 96) | number)
    six_to_four = IPv6Address((0x2002 << 112) | (number << 80))
    teredo_client = IPv6Address((0x20010000 << 96) | (0x0A000001 << 64) | (number ^ 0xFFFFFFFF))
    isatap = IPv6Address((0x20010DB8 << 96) | (0x00005EFE << 32) | number)
    for policy in (POLICY, DEVELOPMENT):
        assert policy.permits(mapped) == policy.permits(address)
        for disguise in (nat64, six_to_four, teredo_client, isatap):
            assert policy.permits(disguise) == POLICY.permits(address)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
def test_a_connection_to_this_machine_needs_development(address: str) -> None:
    assert not POLICY.permits(ip_address(address))
    assert DEVELOPMENT.permits(ip_address(address))


def test_networks_narrow_addresses_and_leave_names_to_their_addresses() -> None:
    policy = EgressPolicy(allow_loopback=False, allow_cidrs=["10.1.0.0/16", "fd00:1::/32"])
    policy.check_url("https://anything.example/")
    policy.check_url("https://10.1.2.3/")
    policy.check_url("https://[::ffff:10.1.2.3]/")
    with pytest.raises(EndpointRefused, match="outside the networks"):
        policy.check_url("https://10.2.0.1/")
    addresses = ["10.1.2.3", "::ffff:10.1.2.3", "fd00:1::5", "10.2.0.1", "8.8.8.8", "::ffff:8.8.8.8", "fd00:2::5"]
    assert [policy.permits(ip_address(address)) for address in addresses] == [True] * 3 + [False] * 4


def test_shared_address_space_is_open_only_when_it_is_named() -> None:
    assert not POLICY.permits(IPv4Address("100.64.0.1"))
    named = EgressPolicy(allow_loopback=False, allow_cidrs=["100.64.0.0/10"])
    assert named.permits(IPv4Address("100.64.0.1"))
    assert not named.permits(IPv4Address("100.100.100.200"))


def test_suffixes_narrow_names_at_a_dot_and_refuse_addresses() -> None:
    policy = EgressPolicy(allow_loopback=False, allow_host_suffixes=[".Corp.example", "partner.example"])
    for host in ("corp.example", "a.b.corp.example", "A.CORP.EXAMPLE.", "partner.example"):
        policy.check_url(f"https://{host}/")
    for host in ("evilcorp.example", "corp.example.evil", "example", "10.0.0.1", "[fd00::1]"):
        with pytest.raises(EndpointRefused):
            policy.check_url(f"https://{host}/")


def test_suffixes_and_networks_together_let_literal_addresses_of_the_networks_in() -> None:
    policy = EgressPolicy(allow_loopback=False, allow_host_suffixes=["corp.example"], allow_cidrs=["10.0.0.0/8"])
    policy.check_url("https://10.0.0.1/")
    with pytest.raises(EndpointRefused):
        policy.check_url("https://192.168.0.1/")
    with pytest.raises(EndpointRefused):
        policy.check_url("https://other.example/")


@pytest.mark.parametrize("cidr", ["10.0.0.1/8", "ten", "10.0.0.0/33", ""])
def test_a_network_that_is_none_is_a_wrong_setting(cidr: str) -> None:
    with pytest.raises(ConfigError, match="CIDR"):
        EgressPolicy(allow_loopback=False, allow_cidrs=[cidr])
