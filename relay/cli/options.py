"""Values of options that several commands take."""

from datetime import datetime
from typing import Any

import click

from relay.domain.ids import PREFIXES, is_id
from relay.domain.times import to_ms


class Moment(click.ParamType[int]):
    """A time with its zone, in RFC 3339; milliseconds since 1970."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:  # noqa: ANN401 - click's own signature
        """Fails for what is no time, and for one without a zone."""
        if isinstance(value, int):
            return value
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            self.fail("write it like 2027-01-31T00:00:00Z", param, ctx)
        if moment.tzinfo is None:
            self.fail("say the time zone, for example Z", param, ctx)
        return to_ms(moment)


class Id(click.ParamType[str]):
    """An id of one kind of thing, a key of ``PREFIXES``."""

    def __init__(self, kind: str) -> None:
        self.name = f"{kind} id"
        self._prefix = PREFIXES[kind]

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ANN401 - click's own signature
        """Fails for what cannot be one."""
        if not is_id(value, self._prefix):
            self.fail(f"it reads {self._prefix} and 32 hex digits", param, ctx)
        return str(value)
