"""What commands of the platform team share: its use cases on the database that the settings name."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:  # imported when it is known that the command runs
    import msgspec

    from relay.app.admin import Admin

T = TypeVar("T")


def with_admin(work: "Callable[[Admin], Awaitable[T]]") -> T:
    """What ``work`` gives. Raises StoreUnavailable, KeyRingError, and whatever it raises."""
    from relay.cli import running

    settings = running.settings()
    running.log_as(settings)

    async def run() -> T:
        from relay.app.admin import open_admin

        async with open_admin(settings) as admin:
            return await work(admin)

    return running.run(run())


def print_thing(thing: "msgspec.Struct", *, as_json: bool) -> None:
    """One thing, for people or for scripts."""
    from relay.cli import output

    if as_json:
        output.json_line(thing)
    else:
        output.card(thing)


def print_answer(answer: object, kind: "type[msgspec.Struct]", *, as_json: bool) -> None:
    """The same for what a use case answered: JSON of a ``kind``. Nobody else asked, so it is no replay."""
    import msgspec

    assert isinstance(answer, bytes)  # noqa: S101 - a command has no Idempotency-Key
    if as_json:
        click.echo(answer)
    else:
        print_thing(msgspec.json.decode(answer, type=kind), as_json=False)
