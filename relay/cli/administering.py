"""What commands of the platform team share: its use cases on the database of the settings, and what they give."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:  # imported when it is known that the command runs
    import msgspec

    from relay.app.admin import Admin
    from relay.ports import Page

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


def keeping(made: list[T]) -> Callable[[T], bytes]:
    """A ``render`` that keeps what would be answered: a command prints it, and has no answer to be replayed."""

    def render(view: T) -> bytes:
        made.append(view)
        return b""

    return render


async def each(ask: "Callable[[str | None], Awaitable[Page[T]]]") -> AsyncIterator[T]:
    """All of a list. ``ask`` gives the page behind a position, None: the first one."""
    position: str | None = None
    while True:
        page = await ask(position)
        for one in page.data:
            yield one
        position = page.next_position
        if position is None:
            return


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
