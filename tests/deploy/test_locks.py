import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
RUNTIME = PROJECT["project"]["dependencies"]
DEV = PROJECT["dependency-groups"]["dev"]
LOCKS = {"runtime": RUNTIME, "dev": RUNTIME + DEV}


def read(name: str) -> str:
    return (ROOT / "deploy" / "lock" / f"{name}.txt").read_text()


def pins(name: str) -> dict[str, Version]:
    found = re.findall(r"^([a-z0-9][a-z0-9-]*)==([^\s;]+)", read(name), re.MULTILINE)
    return {package: Version(version) for package, version in found}


@pytest.mark.parametrize("name", LOCKS)
def test_every_requirement_is_pinned_within_its_range(name: str) -> None:
    pinned = pins(name)

    for text in LOCKS[name]:
        requirement = Requirement(text)
        assert pinned[canonicalize_name(requirement.name)] in requirement.specifier


@pytest.mark.parametrize("name", LOCKS)
def test_every_pin_has_hashes_and_no_line_says_where_packages_come_from(name: str) -> None:
    blocks = re.split(r"\n(?=[a-z0-9])", read(name))

    assert all("--hash=sha256:" in block for block in blocks)
    assert re.findall(r"https?:|^-|@ ", read(name), re.MULTILINE) == []


def test_developers_run_what_is_deployed() -> None:
    assert pins("runtime").items() <= pins("dev").items()


def test_the_tools_of_the_build_are_locked_too() -> None:
    pinned = pins("dev")

    for text in PROJECT["build-system"]["requires"]:
        requirement = Requirement(text)
        assert pinned[canonicalize_name(requirement.name)] in requirement.specifier
