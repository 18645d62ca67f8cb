"""The last question before a request's first byte: whoever does not own it any more does not send it."""

from collections.abc import Callable
from ipaddress import ip_address

import httpx
import pytest

from relay.domain.errors import NothingSent
from relay.transport import IPAddress, Transport
from relay.transport.network import WriteRefused, Written
from tests.transport.certificates import Certificates
from tests.transport.servers import Server, answer, resolve_to, serving


class Asked:
    """Says these in turn; how often it was asked."""

    def __init__(self, *answers: bool) -> None:
        self._answers = list(answers)
        self.times = 0

    def __call__(self) -> bool:
        self.times += 1
        return self._answers.pop(0)


async def post(client: httpx.AsyncClient, url: str, may_write: Callable[[], bool]) -> httpx.Response:
    return await client.post(url, content=b"mobiles=13800131234" * 1000, extensions={"may_write": may_write})


def client_of(transport: Transport | None = None) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=transport or Transport(), trust_env=False, timeout=5.0)


async def assert_unsent(
    client: httpx.AsyncClient, server: Server, url: str, may_write: Callable[[], bool] = lambda: False
) -> None:
    before = len(server.requests)
    with pytest.raises(httpx.WriteError) as caught:
        await post(client, url, may_write)
    assert isinstance(caught.value, NothingSent)
    assert (caught.value.why, len(server.requests)) == ("lease", before)


async def test_a_request_that_may_go_is_asked_about_once_however_many_writes_it_takes() -> None:
    asked = Asked(True)
    async with serving(answer) as server, client_of() as client:
        assert (await post(client, f"http://127.0.0.1:{server.port}/", asked)).status_code == 200
    assert asked.times == 1


async def test_a_request_that_may_not_go_sends_not_one_byte_on_a_new_connection() -> None:
    async with serving(answer) as server, client_of() as client:
        await assert_unsent(client, server, f"http://127.0.0.1:{server.port}/")
        assert server.connections == 1


async def test_a_request_that_may_not_go_sends_not_one_byte_on_a_kept_connection_and_the_next_one_works() -> None:
    async with serving(answer) as server, client_of() as client:
        url = f"http://127.0.0.1:{server.port}/"
        await post(client, url, Asked(True))
        await assert_unsent(client, server, url)

        assert (await post(client, url, Asked(True))).status_code == 200

        # The first served two of them; the one that was refused is not used again.
        assert (server.requests, server.connections) == ([1, 2], 2)


async def test_a_request_that_may_not_go_gives_its_place_back() -> None:
    async with serving(answer) as server, client_of(Transport(max_connections=1)) as client:
        url = f"http://127.0.0.1:{server.port}/"
        for _ in range(3):
            await assert_unsent(client, server, url)
        assert (await post(client, url, Asked(True))).status_code == 200


async def test_under_tls_the_handshake_goes_and_the_request_does_not(certificates: Certificates) -> None:
    async with serving(answer, certificates.server) as server:
        transport = Transport(resolve=resolve_to("127.0.0.1"), verify=certificates.client)
        async with client_of(transport) as client:
            await assert_unsent(client, server, f"https://sms.example:{server.port}/")
            assert server.names == ["sms.example"]


async def test_the_question_comes_after_the_connect_not_before() -> None:
    connections: list[int] = []

    async def resolve(host: str, port: int) -> list[IPAddress]:
        connections.append(0)
        return [ip_address("127.0.0.1")]

    def may_write() -> bool:
        # The name was resolved, and a connection asked for, before anybody was asked.
        assert connections == [0]
        return False

    async with serving(answer) as server, client_of(Transport(resolve=resolve)) as client:
        await assert_unsent(client, server, f"http://sms.example:{server.port}/", may_write)


async def test_a_request_that_fails_to_connect_is_not_asked_about() -> None:
    asked = Asked()
    async with client_of(Transport(permit=lambda address: False)) as client:
        with pytest.raises(NothingSent) as caught:
            await post(client, "http://127.0.0.1:1/", asked)
    assert (caught.value.why, asked.times) == ("refused_address", 0)


def test_once_a_byte_has_gone_nobody_is_asked_and_nothing_is_refused() -> None:
    written = Written(Asked(True))
    written.begin()
    written.begin()
    assert written.happened


def test_what_was_refused_stays_refused_while_the_answer_is_no() -> None:
    written = Written(Asked(False, False))
    for _ in range(2):
        with pytest.raises(WriteRefused):
            written.begin()
    assert not written.happened
