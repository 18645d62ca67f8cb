"""Faults on order: rules that make the next calls, or the next callbacks, go wrong in a stated way."""

from collections.abc import Mapping, Sequence
from itertools import count
from typing import Annotated, Literal

import msgspec

from relay.provider.sandbox.rows import NumberPrefix, RowKind, RowStyle, TimesFormat

Call = Literal["send", "report", "mo", "queryBalance", "callback"]
Drop = Literal["before_read", "after_read", "mid_answer", "hold"]
DataShape = Literal["list", "object", "wrapped_list", "json_text", "null", "empty_text", "missing"]
CallbackShape = Literal["json", "json_list", "wrapped_list", "form", "form_json", "query"]


class Refusal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A definite answer that is not success."""

    code: str | int
    message: str = ""


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One rule: which calls it meets, and what then happens. Effects add up.

    Which calls: ``call``, the next ``times`` of them (None = until cleared), narrowed by ``account``, ``mobile``,
    ``task_id`` (send and callback only) and ``rows_of`` (callback only).

    Instead of the answer (``drop``, ``status``, ``body``, ``refuse``): the call is carried out only if ``accept``.
    ``drop``: the connection is aborted before or after the request was read, closed half way through the answer, or
    held until the client goes away. ``status`` is answered with an HTML page.

    Beside the answer: ``delay_ms`` (carried out at once, answered later; a callback is sent later), ``headers``,
    ``code`` (how success is spelled), ``data`` (its shape), ``answered_task_id`` "own".

    Rows, in pulls and callbacks: ``mask``, ``prefix``, ``times_format``, ``copies`` (0 = the row is lost). Callbacks:
    ``callback`` (shape), ``encoding``, ``rows`` (up to so many rows of one send in one callback, in the list shapes).
    """

    call: Call
    times: Annotated[int, msgspec.Meta(ge=1)] | None = 1
    account: str | None = None
    mobile: str | None = None
    task_id: str | None = None
    rows_of: RowKind | None = None

    drop: Drop | None = None
    status: Annotated[int, msgspec.Meta(ge=200, le=599)] | None = None
    body: Literal["broken_json", "empty", "html"] | None = None
    refuse: Refusal | None = None
    accept: bool = False

    delay_ms: Annotated[int, msgspec.Meta(ge=0)] = 0
    headers: dict[str, str] = {}
    code: str | int | None = None
    data: DataShape | None = None
    answered_task_id: Literal["own"] | None = None

    mask: bool = False
    prefix: NumberPrefix | None = None
    times_format: TimesFormat | None = None
    copies: Annotated[int, msgspec.Meta(ge=0)] = 1
    callback: CallbackShape = "json"
    encoding: Literal["utf-8", "gb18030"] = "utf-8"
    rows: Annotated[int, msgspec.Meta(ge=1)] = 1

    def __post_init__(self) -> None:
        narrowed = self.mobile is not None or self.task_id is not None
        if narrowed and self.call not in ("send", "callback"):
            raise ValueError("mobile and task_id narrow only send and callback")
        if self.drop == "before_read" and (narrowed or self.account is not None or self.accept):
            raise ValueError("nothing is known or accepted of a request that is dropped before it is read")
        if self.call == "callback" and self.replaces_answer:
            raise ValueError("a callback has no answer of ours: use delay_ms, copies, callback, encoding and rows")

    @property
    def replaces_answer(self) -> bool:
        """Whether the client gets something else than the answer of the call."""
        return self.drop is not None or self.status is not None or self.body is not None or self.refuse is not None

    @property
    def style(self) -> RowStyle:
        """How rows are written."""
        return RowStyle(mask=self.mask, prefix=self.prefix, times=self.times_format)


class ActiveFault(msgspec.Struct, kw_only=True):
    """A rule in force: its id, how often it was used, and how often it still will be (None = until cleared)."""

    id: int
    used: int
    left: int | None
    fault: Fault


class FaultBook:
    """The rules in force, oldest first; of several that match, the oldest is used."""

    def __init__(self) -> None:
        self._active: list[ActiveFault] = []
        self._ids = count(1)

    def add(self, fault: Fault) -> int:
        """Puts a rule behind the others; its id."""
        active = ActiveFault(id=next(self._ids), used=0, left=fault.times, fault=fault)
        self._active.append(active)
        return active.id

    def clear(self, fault_id: int | None = None) -> None:
        """Ends one rule, or all of them."""
        self._active = [active for active in self._active if fault_id is not None and active.id != fault_id]

    def view(self) -> list[ActiveFault]:
        """The rules in force."""
        return list(self._active)

    def take_unread(self, call: Call) -> Fault | None:
        """Uses up one `before_read` rule for this call."""
        for active in self._active:
            if active.fault.call == call and active.fault.drop == "before_read":
                return self._use(active)
        return None

    def take_read(self, call: Call, form: Mapping[str, str]) -> Fault | None:
        """Uses up one rule for a call whose form was read."""
        for active in self._active:
            fault = active.fault
            if fault.call == call and fault.drop != "before_read" and _meets_form(fault, form):
                return self._use(active)
        return None

    def take_callback(
        self, kind: RowKind, account: str, mobiles: Sequence[str], task_ids: Sequence[str]
    ) -> Fault | None:
        """Uses up one rule for a callback with rows of these numbers; ``task_ids`` are all names of their send."""
        for active in self._active:
            fault = active.fault
            if (
                fault.call == "callback"
                and fault.rows_of in (None, kind)
                and fault.account in (None, account)
                and (fault.mobile is None or fault.mobile in mobiles)
                and (fault.task_id is None or fault.task_id in task_ids)
            ):
                return self._use(active)
        return None

    def _use(self, active: ActiveFault) -> Fault:
        active.used += 1
        if active.left is not None:
            active.left -= 1
            if active.left == 0:
                self._active.remove(active)
        return active.fault


def _meets_form(fault: Fault, form: Mapping[str, str]) -> bool:
    return (
        (fault.account is None or fault.account == form.get("account"))
        and (fault.task_id is None or fault.task_id == form.get("taskId"))
        and (fault.mobile is None or fault.mobile in form.get("mobiles", "").split(","))
    )
