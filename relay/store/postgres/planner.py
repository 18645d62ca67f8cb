"""How PostgreSQL is to look for rows: by an index, row by row, in the order in which the join is written.

Decision: the planner chooses by what it believes of the data, and there it believes wrong when it matters. A queue that
was empty when it was last analyzed is read from end to end by every claim, for a minute after a million rows came; so
is every table of a new installation; and a plan that asyncpg keeps for all parameters is one for the average team.
All our statements are small and have their index (tests/store/growth), so all else is switched off, and the plan for
ten rows is the plan for ten million. An index that is missing is no error: then the table is read all the same.
"""

from collections.abc import Mapping
from typing import Final

SETTINGS: Final[Mapping[str, str]] = {
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",  # reads all that matches and sorts it, where LIMIT wants a hundred rows in order
    "enable_hashjoin": "off",  # both joins read one side whole
    "enable_mergejoin": "off",
    "join_collapse_limit": "1",
    "jit": "off",  # what is switched off counts as costly, and costly statements are compiled, for 100 ms
}


def set_local() -> str:
    """The same for one transaction: a pooler passes no settings on when it connects."""
    return "; ".join(f"SET LOCAL {name} = {value}" for name, value in SETTINGS.items())
