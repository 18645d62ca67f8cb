"""What other replicas tell, and what is told to them."""

from typing import assert_never

from relay.ports import HintTopic
from relay.services.poll import Poll
from relay.services.wait import Wait
from relay.workers.deliver import DeliverWorker
from relay.workers.submit import SubmitWorker


class Silent:
    """There is nobody to tell: one process has the database to itself, or a pooler lies between, where nobody hears."""

    def tell(self, topic: HintTopic) -> None:
        """Nothing happens."""


class Hearing:
    """Called with what another replica told: whoever waits for such a thing looks again."""

    def __init__(self, submit: SubmitWorker, deliver: DeliverWorker, poll: Poll, wait: Wait) -> None:
        self._submit = submit
        self._deliver = deliver
        self._poll = poll
        self._wait = wait

    def __call__(self, topic: HintTopic) -> None:
        match topic:
            case "events":
                self._poll.events_stored()
            case "deliveries":
                self._deliver.look()
            case "submissions":
                self._submit.look()
            case "settled":
                self._wait.settled_elsewhere()
            case _:
                assert_never(topic)
