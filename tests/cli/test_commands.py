import json
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from relay import __version__, app
from relay.app.stores import prepared
from relay.cli import exits
from relay.cli.main import Commands, relay
from relay.config import load
from relay.domain import errors


def every_command(group: click.Group, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = [path]
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            found += every_command(command, (*path, name))
        else:
            found.append((*path, name))
    return found


@pytest.mark.parametrize("path", every_command(relay), ids=" ".join)
def test_every_command_has_help_that_states_the_exit_codes(path: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(relay, [*path, "--help"])

    assert shown.exit_code == 0
    assert "Exit codes: 0 done" in shown.output


@pytest.mark.parametrize(
    "path", [("migrate",), ("sandbox",), ("keys", "create"), ("erase",), ("doctor",)], ids=" ".join
)
def test_commands_that_print_data_can_print_json(path: tuple[str, ...]) -> None:
    assert "--json" in CliRunner().invoke(relay, [*path, "--help"]).output


def test_help_is_there_without_loading_the_product() -> None:
    code = (
        "import sys; from relay.cli.main import relay; "
        "print(sorted({name.partition('.')[0] for name in sys.modules} "
        "& {'litestar', 'httpx', 'uvicorn', 'sqlalchemy', 'structlog', 'alembic', 'prometheus_client'}))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)  # noqa: S603 - this interpreter
    assert done.stdout == b"[]\n"


def test_the_module_runs_as_the_command_does() -> None:
    ran = subprocess.run([sys.executable, "-m", "relay", "--version"], capture_output=True, check=True)

    assert ran.stdout.decode() == f"relay {__version__}\n"


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (errors.ConfigError("RELAY_PORT: no"), 3, "relay: configuration: RELAY_PORT: no"),
        (errors.KeyRingError(), 3, "relay: key ring: The key ring is missing or wrong."),
        (errors.StoreInUse("relay.db"), 4, "relay: database: relay.db"),
        (errors.StoreUnavailable("two\nlines"), 5, "relay: database: two lines"),
        (errors.SchemaMissing(), 5, "relay: database: The database is not migrated."),
        (errors.NotFound("There is no such team."), 1, "relay: refused: There is no such team."),
        (
            errors.BodyInvalid("No key.", errors=(errors.FieldError(pointer="/team_id", detail="is unknown"),)),
            1,
            "relay: refused: No key. /team_id is unknown",
        ),
        (errors.NothingSent("no"), 1, "relay: failed: no"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_an_error_is_one_line_and_an_exit_code(error: errors.RelayError, code: int, line: str) -> None:
    @click.group(cls=Commands)
    def group() -> None:
        """Fails."""

    @group.command
    def fail() -> None:
        raise error

    ended = CliRunner().invoke(group, ["fail"])

    assert (ended.exit_code, ended.stderr, ended.stdout) == (code, f"{line}\n", "")


def test_every_error_of_the_tree_has_an_exit_code() -> None:
    def leaves(kind: type[errors.RelayError]) -> list[type[errors.RelayError]]:
        return [kind, *(leaf for child in kind.__subclasses__() for leaf in leaves(child))]

    codes = {exits.code_of(kind) for kind in leaves(errors.RelayError)}

    assert codes == {1, 3, 4, 5}


@pytest.mark.parametrize(
    "command",
    [
        ("serve",),
        ("migrate",),
        ("dev",),
        ("keys", "create", "--scope", "admin"),
        ("erase", "--number", "13800130001", "--yes"),
    ],
)
def test_a_wrong_setting_ends_a_command_before_it_does_anything(command: tuple[str, ...], tmp_path: Path) -> None:
    environ = {"RELAY_PROT": "1", "RELAY_DATA_DIR": str(tmp_path / "var")}

    ended = CliRunner().invoke(relay, command, env=environ)

    assert (ended.exit_code, ended.stderr) == (
        3,
        "relay: configuration: RELAY_PROT is no setting; the nearest one is RELAY_PORT\n",
    )
    assert not (tmp_path / "var").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--scope", "everything"],
        ["--scope", "admin", "--team", f"team_{'0' * 32}"],
        ["--scope", "messages:send"],
        ["--scope", "admin", "--expires-at", "tomorrow"],
        ["--scope", "admin", "--expires-at", "2027-01-31T00:00:00"],
        ["--scope", "admin", "--mode", "real"],
    ],
)
def test_wrong_usage_of_keys_create_is_told_and_makes_nothing(arguments: list[str], tmp_path: Path) -> None:
    ended = CliRunner().invoke(relay, ["keys", "create", *arguments], env={"RELAY_DATA_DIR": str(tmp_path / "var")})

    assert ended.exit_code == 2
    assert not (tmp_path / "var").exists()


def test_the_sandbox_says_that_its_address_is_taken(taken_port: int) -> None:
    ended = CliRunner().invoke(relay, ["sandbox", "--port", str(taken_port)])

    assert ended.exit_code == 1
    assert ended.stderr.startswith(f"relay: failed: cannot listen on 127.0.0.1:{taken_port}: ")


def test_doctor_tells_a_wrong_setting_and_fails() -> None:
    ended = CliRunner().invoke(relay, ["doctor", "--json"], env={"RELAY_PORT": "x"})

    (finding,) = json.loads(ended.stdout)
    assert ended.exit_code == 1
    assert (finding["check"], finding["verdict"]) == ("settings", "fail")
    assert finding["found"].startswith("RELAY_PORT: 'x' is not allowed (TCP port: 0..65535")


async def test_a_gateway_may_start_while_a_command_runs(tmp_path: Path) -> None:
    settings = load({"RELAY_ENV": "development", "RELAY_DATA_DIR": str(tmp_path)})
    async with app.open_store(settings):
        with prepared(settings):  # raises StoreInUse while somebody else has it
            assert settings.data_dir == str(tmp_path)
