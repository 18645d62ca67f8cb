import asyncio
import io
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from relay import app
from relay.cli.main import relay
from relay.config import load
from relay.domain.audit import AuditFilter, AuditView
from relay.domain.ids import AccountId
from relay.domain.messages import MessageDraft
from tests.store import builders
from tests.store.builders import REFUSED, entry, mobiles, work_of

NUMBER = str(mobiles(1)[0])


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"RELAY_ENV": "development", "RELAY_DATA_DIR": str(tmp_path / "var")}


def run(environ: dict[str, str], *arguments: str, answer: str | None = None) -> Result:
    return CliRunner().invoke(relay, ["erase", *arguments], env=environ, input=answer)


async def _store_message(environ: dict[str, str], *, final: bool) -> MessageDraft:
    async with app.open_store(load(environ)) as store:
        team = builders.team()
        await store.create_team(team, entry=entry(), idempotency=None)
        message = builders.draft(team.id, [builders.submission(mobiles(1), AccountId(builders.new_id("acct_")))])
        await store.accept(
            message, claim=builders.CLAIM, lease_until_ms=2**42, quota=None, limit=None, idempotency=None
        )
        if final:
            await store.finish_submission(work_of(message), REFUSED, now_ms=0, retry_due_ms=0, resend=False)
    return message


async def _text(environ: dict[str, str], message: MessageDraft) -> str:
    async with app.open_store(load(environ)) as store:
        view = await store.message(message.team_id, message.id)
        assert view is not None
        return view.text


async def _audit(environ: dict[str, str]) -> list[AuditView]:
    async with app.open_store(load(environ)) as store:
        return (await store.audit(AuditFilter(action="erasure.*"), position=None, limit=10)).data


def test_a_number_is_erased_and_no_bar_is_drawn_for_nobody(environ: dict[str, str]) -> None:
    message = asyncio.run(_store_message(environ, final=True))

    done = run(environ, "--number", f"+86 {NUMBER}", "--yes")

    assert (done.exit_code, done.stdout) == (0, "Erased: events 1, recipients 1.\n")
    assert done.stderr == ""
    assert NUMBER not in done.output
    assert asyncio.run(_text(environ, message)) == ""
    entries = asyncio.run(_audit(environ))
    assert [(entry.actor, entry.action, entry.from_address) for entry in entries] == [
        ("cli", "erasure.done", None),
        ("cli", "erasure.started", None),
    ]


def test_somebody_at_a_terminal_sees_how_far_it_is(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.TextIOWrapper):
        def isatty(self) -> bool:
            return True

    asyncio.run(_store_message(environ, final=True))
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    drawn = io.BytesIO()
    monkeypatch.setattr("sys.stderr", Terminal(drawn, write_through=True))

    relay.main(["erase", "--number", NUMBER, "--yes"], standalone_mode=False)

    seen = drawn.getvalue().decode()
    assert "erasing  [" in seen
    assert "events 1" in seen
    assert "100%" in seen


def test_a_second_time_says_that_there_is_nothing(environ: dict[str, str]) -> None:
    asyncio.run(_store_message(environ, final=True))
    run(environ, "--number", NUMBER, "--yes")

    again = run(environ, "--number", NUMBER, "--yes")

    assert (again.exit_code, again.stdout) == (0, "There is no trace of this number.\n")


def test_what_is_not_final_is_left_and_the_exit_code_says_so(environ: dict[str, str]) -> None:
    message = asyncio.run(_store_message(environ, final=False))

    left = run(environ, "--number", NUMBER, "--yes", "--json")

    erasure = json.loads(left.stdout)
    assert (left.exit_code, erasure["left_open"], erasure["complete"]) == (1, {"recipients": 1}, False)
    assert left.stderr.endswith("Not final yet, left as they are: recipients 1. Repeat the command later.\n")
    assert asyncio.run(_text(environ, message)) == message.text


@pytest.mark.parametrize(("answer", "text"), [("n\n", "【示例】你好"), ("", "【示例】你好"), ("y\n", "")])
def test_it_asks_first_unless_told_not_to(environ: dict[str, str], answer: str, text: str) -> None:
    message = asyncio.run(_store_message(environ, final=True))

    asked = run(environ, "--number", NUMBER, answer=answer)

    assert asked.exit_code == (0 if answer == "y\n" else 1)
    assert f"the number ending in {NUMBER[-2:]}? This cannot be undone." in asked.stderr
    assert asyncio.run(_text(environ, message)) == text


@pytest.mark.parametrize("arguments", [[], ["--number", "1380013"], ["--number", "138****0001", "--yes"]])
def test_wrong_usage_is_told_and_makes_nothing(environ: dict[str, str], arguments: list[str], tmp_path: Path) -> None:
    ended = run(environ, *arguments)

    assert ended.exit_code == 2
    assert not (tmp_path / "var").exists()


def test_it_works_beside_a_gateway_that_serves_the_file(environ: dict[str, str]) -> None:
    from relay.app.stores import prepare_file
    from relay.store.sqlite import FileLock

    message = asyncio.run(_store_message(environ, final=True))
    lock = FileLock(prepare_file(load(environ)))
    try:
        done = run(environ, "--number", NUMBER, "--yes", "--json")
    finally:
        lock.release()

    assert (done.exit_code, json.loads(done.stdout)["complete"]) == (0, True)
    assert asyncio.run(_text(environ, message)) == ""
