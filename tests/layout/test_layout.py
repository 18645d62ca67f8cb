import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SANDBOX = ROOT / "relay" / "provider" / "sandbox"


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name the whole path"
            yield node.module or ""


@pytest.mark.parametrize("path", sorted(SANDBOX.rglob("*.py")), ids=lambda path: path.name)
def test_the_sandbox_shares_no_code_with_the_gateway(path: Path) -> None:
    ours = [name for name in imports(path) if name.split(".")[0] == "relay"]

    assert [name for name in ours if not name.startswith("relay.provider.sandbox")] == []


def test_every_module_that_holds_anything_says_what_it_is_for() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "relay").rglob("*.py")
        if path.stat().st_size and ast.get_docstring(ast.parse(path.read_bytes())) is None
    ]

    assert silent == []


@pytest.mark.parametrize("folder", ["relay", "tests", "deploy", "openapi", ".ci"])
def test_no_file_names_a_machine_path_or_a_package_index(folder: str) -> None:
    # Written in pieces, or this file would be found.
    banned = ["/" + "work/", "/" + "root/", "pypi" + ".org", "python" + "hosted", "registry.np" + "mjs"]
    found = [
        (str(path.relative_to(ROOT)), word)
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.suffix not in (".pyc",)
        for word in banned
        if word.encode() in path.read_bytes()
    ]

    assert found == []
