"""Orphans and the quarantine by commands."""

import asyncio
import contextlib
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from relay import app
from relay.cli.main import relay
from relay.config import load
from relay.domain.ids import RawId
from tests.store import builders
from tests.store.builders import ACCEPTED, entry, inbound, mobiles, raw_body, reading, report, task_of, work_of
from tests.store.conformance.world import World

NUMBER = mobiles(1)[0]


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"RELAY_ENV": "development", "RELAY_DATA_DIR": str(tmp_path / "var")}


def run(environ: dict[str, str], *arguments: str) -> Result:
    return CliRunner().invoke(relay, arguments, env=environ)


def in_store(environ: dict[str, str], act: Any) -> Any:
    async def do() -> Any:
        async with app.open_store(load(environ)) as store:
            return await act(store)

    return asyncio.run(do())


def heard(environ: dict[str, str], count: int) -> str:
    """So many inbound messages to extension 88, which nobody has; a team that has it then; the team's id."""

    async def act(store: Any) -> str:
        world = World(store)
        await world.start()
        await world.hear(*(inbound(NUMBER, f"text {number}", extension="88") for number in range(count)))
        team = builders.team(extensions=("88",))
        await store.create_team(team, entry=entry(), idempotency=None)
        return team.id

    return str(in_store(environ, act))


def listed(environ: dict[str, str], *arguments: str) -> list[dict[str, Any]]:
    orphans: list[dict[str, Any]] = json.loads(run(environ, "orphans", "list", "--json", *arguments).stdout)
    return orphans


def test_orphans_are_listed_shown_assigned_and_dismissed(environ: dict[str, str]) -> None:
    team_id = heard(environ, 2)
    second, first = listed(environ)

    assigned = run(environ, "orphans", "assign", first["id"], "--team", team_id, "--json")
    dismissed = run(environ, "orphans", "dismiss", second["id"])
    again = run(environ, "orphans", "assign", second["id"], "--team", team_id)

    assert [second["text"], first["text"]] == ["text 1", "text 0"]
    assert json.loads(assigned.stdout)["resolution"]["how"] == "assigned"
    assert "dismissed" in dismissed.stdout
    assert (again.exit_code, again.stderr) == (1, "relay: refused: The orphan was dismissed already.\n")
    assert listed(environ) == []
    assert {orphan["id"] for orphan in listed(environ, "--status", "resolved")} == {first["id"], second["id"]}
    shown = json.loads(run(environ, "orphans", "show", first["id"], "--json").stdout)
    assert shown["resolution"]["team_id"] == team_id


def test_all_open_orphans_are_matched_again_batch_by_batch(environ: dict[str, str]) -> None:
    heard(environ, 101)

    done = run(environ, "orphans", "reprocess", "--all", "--json")

    assert (done.exit_code, json.loads(done.stdout)) == (0, {"examined": 101, "matched": 101})
    assert listed(environ) == []


def test_one_that_still_matches_nobody_is_told_by_the_exit_code(environ: dict[str, str]) -> None:
    async def act(store: Any) -> None:
        world = World(store)
        await world.start()
        await world.hear(inbound(NUMBER))

    in_store(environ, act)
    (orphan,) = listed(environ)

    done = run(environ, "orphans", "reprocess", orphan["id"], "--json")

    assert (done.exit_code, json.loads(done.stdout)["matched"]) == (1, False)


@pytest.mark.parametrize(
    "arguments",
    [
        ["orphans", "reprocess"],
        ["orphans", "reprocess", f"orph_{'0' * 32}", "--all"],
        ["orphans", "assign", f"orph_{'0' * 32}"],
        ["orphans", "show", "orph_1"],
        ["quarantine", "reprocess"],
    ],
)
def test_wrong_usage_makes_nothing(environ: dict[str, str], arguments: list[str], tmp_path: Path) -> None:
    assert run(environ, *arguments).exit_code == 2
    assert not (tmp_path / "var").exists()


def test_a_body_of_the_release_before_is_said_to_stay(environ: dict[str, str]) -> None:
    async def act(store: Any) -> RawId:
        world = World(store)
        await world.start()
        left = builders.raw_id()
        await store.receive_reports(
            world.account.id, left, raw_body(body=b"\xff{"), reading([report(None, NUMBER)], unreadable=1)
        )
        return left

    left = in_store(environ, act)
    with contextlib.closing(sqlite3.connect(f"{environ['RELAY_DATA_DIR']}/relay.db", isolation_level=None)) as database:
        database.execute("UPDATE raw_bodies SET applied = NULL")

    done = run(environ, "quarantine", "reprocess", "--all", "--json")

    assert (done.exit_code, done.stdout) == (1, "[]\n")
    assert f"{left} stays: A release before this one applied parts of it" in done.stderr


def test_a_body_is_read_again_by_the_provider_of_the_gateway(environ: dict[str, str]) -> None:
    async def act(store: Any) -> tuple[RawId, RawId]:
        world = World(store)
        await world.start()
        message = await world.accept([NUMBER])
        await world.finish(work_of(message), ACCEPTED)
        rows = json.dumps({"sendId": task_of(message), "mobile": str(NUMBER), "status": "DELIVRD"})
        good, bad = builders.raw_id(), builders.raw_id()
        await store.quarantine(world.account.id, good, raw_body(body=rows.encode()), "it broke our code: KeyError")
        await store.receive_reports(
            world.account.id, bad, raw_body(body=b"\xff{"), reading([report(None, NUMBER)], unreadable=1)
        )
        return good, bad

    good, bad = in_store(environ, act)
    bodies = json.loads(run(environ, "quarantine", "list", "--json").stdout)
    looked = run(environ, "quarantine", "show", bad, "--bytes")

    done = run(environ, "quarantine", "reprocess", "--all", "--json")
    again = run(environ, "quarantine", "reprocess", good)
    dismissed = run(environ, "quarantine", "dismiss", bad, "--json")

    assert [body["id"] for body in bodies] == [bad, good]
    assert looked.stdout_bytes == b"\xff{"
    assert done.exit_code == 1
    assert [(body["id"], body["state"], body["rows"]) for body in json.loads(done.stdout)] == [
        (good, "applied", {"applied": 1}),
        (bad, "quarantined", {}),
    ]
    assert (again.exit_code, again.stderr) == (1, "relay: refused: The body was applied already.\n")
    assert json.loads(dismissed.stdout)["state"] == "dismissed"
    assert json.loads(run(environ, "quarantine", "show", bad, "--json").stdout)["state"] == "dismissed"
