"""What the sandbox did, for tests to compare with what the gateway says: sends by number, callbacks, pulls, counts."""

from collections import Counter, deque
from collections.abc import Iterator

import msgspec

from relay.provider.sandbox.rows import RowKind


class SendRecord(msgspec.Struct, kw_only=True):
    """One booked send. ``answered`` is whether the client was given the answer; ``mobiles`` as they came.

    ``account`` and ``content`` as in the form, ``at_s`` epoch seconds, ``segments`` per number, ``task_id`` ours or, if
    none was given, made by the sandbox; ``answered_task_id`` what the answer says; ``report_send_id`` what reports say.
    """

    task_id: str
    answered_task_id: str
    report_send_id: str
    account: str
    at_s: float
    content: str
    segments: int
    ext_no: str
    mobiles: list[str]
    answered: bool


class Duplicate(msgspec.Struct, frozen=True, kw_only=True):
    """A send refused because its taskId was used before."""

    task_id: str
    account: str
    at_s: float
    recipients: int


class CallbackRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One callback, made once. ``http_status`` None: no answer came, and ``error`` names the kind of failure."""

    rows_of: RowKind
    account: str
    send_ids: tuple[str, ...]
    mobiles: tuple[str, ...]
    statuses: tuple[str, ...]
    at_s: float
    duration_ms: int
    http_status: int | None
    error: str | None


class PulledRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row that left a queue by a pull; whether its answer arrived, the sandbox cannot know."""

    rows_of: RowKind
    account: str
    send_id: str
    mobile: str
    status: str
    at_s: float


class Repeat(msgspec.Struct, frozen=True, kw_only=True):
    """A number that was sent one text more than once, and under which taskIds."""

    mobile: str
    content: str
    task_ids: tuple[str, ...]


class Ledger:
    """Bounded: past ``recipients`` numbers the oldest sends are forgotten, their taskIds too; so are old callbacks."""

    def __init__(self, *, recipients: int) -> None:
        """``recipients`` is at least 1; a send is kept until another comes, however many numbers it has."""
        self._recipients = recipients
        self.reset()

    def reset(self) -> None:
        """Forgets everything."""
        self.sends: deque[SendRecord] = deque()
        self.duplicates: deque[Duplicate] = deque(maxlen=self._recipients)
        self.callbacks: deque[CallbackRecord] = deque(maxlen=self._recipients)
        self.pulled: deque[PulledRow] = deque(maxlen=self._recipients)
        self.codes: Counter[tuple[str, str]] = Counter()
        self.counts: Counter[str] = Counter()
        self.recipients_held = 0
        self._by_task: dict[str, SendRecord] = {}
        # A number has one send nearly always: a deque only from the second on keeps a million of them small.
        self._by_mobile: dict[str, SendRecord | deque[SendRecord]] = {}

    def book(self, record: SendRecord) -> None:
        """Keeps a send; forgets the oldest ones while there are too many numbers."""
        self.sends.append(record)
        self._by_task[record.task_id] = record
        by_mobile = self._by_mobile
        for mobile in record.mobiles:
            held = by_mobile.get(mobile)
            if held is None:
                by_mobile[mobile] = record
            elif isinstance(held, deque):
                held.append(record)
            else:
                by_mobile[mobile] = deque((held, record))
        self.recipients_held += len(record.mobiles)
        self.counts["sends"] += 1
        self.counts["recipients"] += len(record.mobiles)
        self.counts["units"] += record.segments * len(record.mobiles)
        while self.recipients_held > self._recipients and len(self.sends) > 1:
            self._forget_oldest()

    def knows(self, task_id: str) -> bool:
        """Whether a send with this taskId was booked."""
        return task_id in self._by_task

    def refuse_duplicate(self, duplicate: Duplicate) -> None:
        """Counts a refused repetition."""
        self.duplicates.append(duplicate)
        self.counts["duplicates"] += 1

    def record_callback(self, record: CallbackRecord) -> None:
        """Keeps the one attempt of a callback."""
        self.callbacks.append(record)
        arrived = record.http_status == 200
        self.counts["callbacks" if arrived else "callbacks_failed"] += 1
        self.counts[f"{record.rows_of}_rows_pushed"] += len(record.mobiles)

    def record_pulled(self, row: PulledRow) -> None:
        """Keeps a row that was pulled."""
        self.pulled.append(row)
        self.counts[f"{row.rows_of}_rows_pulled"] += 1

    def sends_to(self, mobile: str) -> list[SendRecord]:
        """Every booked send to this number, oldest first; one that names it twice is there twice."""
        held = self._by_mobile.get(mobile)
        if held is None:
            return []
        return list(held) if isinstance(held, deque) else [held]

    def callbacks_to(self, mobile: str) -> list[CallbackRecord]:
        """Every callback with a row of this number, oldest first."""
        return [record for record in self.callbacks if mobile in record.mobiles]

    def pulled_of(self, mobile: str) -> list[PulledRow]:
        """Every pulled row of this number, oldest first."""
        return [row for row in self.pulled if row.mobile == mobile]

    def repeats(self) -> Iterator[Repeat]:
        """Numbers that were sent the same text more than once. Walks over all numbers: 1 s per few millions."""
        for mobile, held in self._by_mobile.items():
            if isinstance(held, deque):
                texts: dict[str, list[str]] = {}
                for record in held:
                    texts.setdefault(record.content, []).append(record.task_id)
                for content, task_ids in texts.items():
                    if len(task_ids) > 1:
                        yield Repeat(mobile=mobile, content=content, task_ids=tuple(task_ids))

    def _forget_oldest(self) -> None:
        record = self.sends.popleft()
        self._by_task.pop(record.task_id, None)
        self.recipients_held -= len(record.mobiles)
        self.counts["sends_forgotten"] += 1
        for mobile in record.mobiles:
            held = self._by_mobile[mobile]
            if isinstance(held, deque) and len(held) > 1:
                held.popleft()
            else:
                del self._by_mobile[mobile]
