"""The console's files and the rules that they are served under."""

import re
from importlib import resources

import httpx
import pytest

from relay.console import create_console


@pytest.fixture
def browser() -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=create_console())  # type: ignore[arg-type] # httpx types ASGI apps more loosely
    return httpx.AsyncClient(transport=transport, base_url="http://relay.test")


@pytest.mark.parametrize("path", ["/", "/console", "/console/", "/console/index.html"])
async def test_the_page_is_served_under_a_policy_that_allows_no_inline_code(
    browser: httpx.AsyncClient, path: str
) -> None:
    answer = await browser.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


async def test_every_file_that_the_page_names_is_served(browser: httpx.AsyncClient) -> None:
    page = (await browser.get("/console")).text
    named = re.findall(r'(?:src|href)="(/console/[^"]+)"', page)
    answers = {name: (await browser.get(name)).status_code for name in named}
    assert answers == {"/console/console.css": 200, "/console/console.js": 200}


async def test_a_known_tag_is_answered_without_a_body(browser: httpx.AsyncClient) -> None:
    first = await browser.get("/console/console.js")
    second = await browser.get("/console/console.js", headers={"If-None-Match": first.headers["etag"]})
    assert (second.status_code, second.content) == (304, b"")


async def test_head_has_the_length_and_no_body(browser: httpx.AsyncClient) -> None:
    whole = await browser.get("/console")
    head = await browser.head("/console")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(whole.content))


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/console/other.js", 404), ("POST", "/console", 405)])
async def test_nothing_else_is_served(browser: httpx.AsyncClient, method: str, path: str, status: int) -> None:
    assert (await browser.request(method, path)).status_code == status


def test_the_page_has_no_inline_code_and_writes_no_markup() -> None:
    folder = resources.files("relay.console") / "static"
    page = (folder / "index.html").read_text("utf-8")
    script = (folder / "console.js").read_text("utf-8")
    assert re.findall(r"<script>|\son\w+=|style=", page) == []
    assert re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", script) == []
    assert "http://" not in page + script
    assert "https://" not in page + script
