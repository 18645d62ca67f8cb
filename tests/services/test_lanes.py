from relay.domain.endpoints import DeliveryWork
from relay.domain.ids import DeliveryId, EndpointId, EventId
from relay.services.deliver import AHEAD, Lanes
from tests.services.stillness import Among, FixedEntropy

ENDPOINT = EndpointId("ep_" + "1" * 32)
WORK = DeliveryWork(
    id=DeliveryId("dlv_" + "1" * 32),
    endpoint_id=ENDPOINT,
    event_id=EventId("evt_" + "1" * 32),
    event_type="message.delivered",
    payload=b"{}",
    attempt=1,
    claim=b"claim",
    lease_until_ms=0,
    event_created_ms=0,
)


def lanes_of(lane_max: int = 3) -> Lanes:
    return Lanes(FixedEntropy(), lane_max=lane_max, lease_s=60.0)


def test_an_endpoint_that_nobody_has_met_is_taken_at_once() -> None:
    lanes = lanes_of()

    assert lanes.takes(ENDPOINT)
    assert not lanes.turned_away


def test_a_full_lane_turns_work_away_and_remembers_it() -> None:
    lanes = lanes_of(lane_max=2)
    lane = lanes.of(ENDPOINT)
    lane.waiting.extend([WORK, WORK])

    assert not lanes.takes(ENDPOINT)
    assert (lane.more, lanes.turned_away) == (True, True)
    lane.waiting.popleft()
    assert lanes.takes(ENDPOINT)


def test_a_lane_that_failed_takes_nothing_into_memory_until_it_succeeds() -> None:
    lanes = lanes_of()
    lane = lanes.of(ENDPOINT)
    lane.open = False

    assert not lanes.takes(ENDPOINT)
    assert lanes.takes(EndpointId("ep_" + "2" * 32))
    lane.open = True
    assert lanes.takes(ENDPOINT)


def test_a_lane_has_room_for_what_neither_runs_nor_waits() -> None:
    lane = lanes_of().of(ENDPOINT)
    lane.max_in_flight = 4
    lane.ended(delivered=True)
    lane.running = 2
    lane.waiting.append(WORK)

    assert lane.room() == 4 * AHEAD - 3
    lane.running = 4 * AHEAD
    assert lane.room() == 0
    lane.ended(delivered=False)
    lane.running = 0
    lane.waiting.clear()
    assert lane.room() == 1


def test_a_lane_runs_one_at_a_time_until_a_success_and_after_each_failure() -> None:
    lane = lanes_of().of(ENDPOINT)
    lane.max_in_flight = 4

    widths = [lane.width]
    for delivered in (True, False, True):
        lane.ended(delivered=delivered)
        widths.append(lane.width)

    assert widths == [1, 4, 1, 4]


def test_a_lease_is_as_long_as_was_said() -> None:
    assert lanes_of().lease_until_ms(1000) == 61_000


def among_lanes(lane_max: int = 3) -> tuple[Lanes, Among]:
    """Lanes of one replica among others, which knows the endpoint."""
    lanes, among = lanes_of(lane_max), Among()
    lanes.members = among
    lanes.of(ENDPOINT).max_in_flight = 4
    return lanes, among


def test_a_lane_is_as_wide_as_this_processs_share_of_the_endpoint() -> None:
    lanes, among = among_lanes()
    lane = lanes.of(ENDPOINT)
    lane.ended(delivered=True)
    among.part = lambda limit: limit // 2

    assert (lane.width, lane.room()) == (2, 2 * AHEAD)
    lane.ceiling = 1
    assert lane.width == 1


def test_among_others_a_lane_holds_a_few_for_each_that_it_may_run_and_leaves_the_rest_where_they_reach_it() -> None:
    lanes, among = among_lanes(lane_max=100)
    lane = lanes.of(ENDPOINT)
    lane.ended(delivered=True)
    among.part = lambda limit: limit // 2
    lane.waiting.extend([WORK] * (2 * AHEAD - 1))

    assert lanes.takes(ENDPOINT)
    lane.waiting.append(WORK)
    assert not lanes.takes(ENDPOINT)
    assert (lane.more, lanes.turned_away) == (True, True)


def test_a_delivery_that_others_must_make_is_left_to_them() -> None:
    lanes, among = among_lanes()
    among.part = lambda limit: 0

    assert (lanes.takes(ENDPOINT), lanes.of(ENDPOINT).room(), lanes.turned_away) == (False, 0, False)
    among.part = lambda limit: 1
    assert lanes.takes(ENDPOINT)


def test_among_others_an_endpoint_that_is_not_known_yet_is_left_in_the_store_and_looked_up() -> None:
    lanes, _ = among_lanes()
    other = EndpointId("ep_" + "2" * 32)

    assert (lanes.takes(other), lanes.turned_away) == (False, True)
    assert lanes.of(other).room() == 0


def test_every_delivery_that_is_handed_over_has_a_claim_of_the_process() -> None:
    lanes = lanes_of()

    one, two = lanes.claim, lanes.claim
    assert (one == two, one[:8] == two[:8], lanes.members.owns(one)) == (False, True, True)


def test_closed_lanes_hand_over_what_waits_and_take_nothing_more() -> None:
    lanes = lanes_of()
    lanes.of(ENDPOINT).waiting.extend([WORK, WORK])

    assert lanes.close() == [WORK, WORK]
    assert lanes.close() == []
    assert not lanes.takes(ENDPOINT)
    assert not lanes.takes(EndpointId("ep_" + "2" * 32))
