"""The provider's rules, without a socket: what is refused, what is booked, what it costs, what is reported."""

from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.provider.sandbox import AccountSettings, Code, Sandbox, SandboxSettings
from relay.provider.sandbox.sending import Handled, count_segments

PWD = "911b7bf55b7b03cdfe2af9d1e68e4897"  # md5 of sandbox-password
NOW_S = 1_555_063_028.0  # 2019-04-12 17:57:08 +08:00


def make_sandbox(account: AccountSettings | None = None, **settings: int) -> Sandbox:
    ids = count(1)
    return Sandbox(
        SandboxSettings(**settings),
        accounts={"sandbox": account or AccountSettings()},
        clock=lambda: NOW_S,
        new_id=lambda: f"provider-{next(ids)}",
    )


def handle(sandbox: Sandbox, call: Any = "send", client: str = "10.0.0.1", **fields: str) -> Handled:
    form = {"account": "sandbox", "pwd": PWD, "mobiles": "13800130001", "content": "text", **fields}
    return sandbox.handle(call, form, client=client)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"account": "nobody"}, Code.AUTH),
        ({"pwd": "sandbox-password"}, Code.AUTH),
        ({"pwd": PWD.upper()}, Code.AUTH),
        ({"mobiles": ""}, Code.RECIPIENT),
        ({"mobiles": "12345,+8613800130001"}, Code.RECIPIENT),
        ({"mobiles": ",".join(["13800130001"] * 3001)}, Code.TOO_MANY_MOBILES),
        ({"content": ""}, Code.CONTENT),
        ({"extNo": "0"}, Code.EXT_NO),
        ({"extNo": "-1"}, Code.EXT_NO),
        ({"extNo": "1a"}, Code.EXT_NO),
        ({"taskId": "UPPER"}, Code.TASK_ID),
        ({"taskId": "a" * 33}, Code.TASK_ID),
    ],
)
def test_a_wrong_send_is_refused_with_its_own_code_and_nothing_is_booked(fields: dict[str, str], code: Code) -> None:
    sandbox = make_sandbox()
    handled = handle(sandbox, **fields)
    assert (handled.answer.code, handled.answer.data, handled.record) == (code, None, None)
    assert list(sandbox.ledger.sends) == []
    assert sandbox.accounts["sandbox"].balance == 1_000_000_000
    assert sandbox.ledger.codes == {("send", code.value): 1}


def test_three_thousand_numbers_are_one_send() -> None:
    sandbox = make_sandbox()
    mobiles = [f"1380013{number}" for number in range(1000, 4000)]
    handled = handle(sandbox, mobiles=",".join(mobiles))
    assert handled.answer.code == Code.SUCCESS
    assert sandbox.ledger.sends[0].mobiles == mobiles


@pytest.mark.parametrize(
    ("content", "segments"),
    [("x" * 70, 1), ("x" * 71, 2), ("x" * 134, 2), ("x" * 135, 3), ("汉" * 70, 1), ("😀" * 35, 1), ("😀" * 36, 2)],
)
def test_a_text_takes_one_segment_up_to_70_units_and_then_one_per_67(content: str, segments: int) -> None:
    assert count_segments(content) == segments


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=71, max_size=400))
def test_a_longer_text_never_takes_fewer_segments(content: str) -> None:
    assert count_segments(content) <= count_segments(content + "x") <= count_segments(content) + 1


def test_the_balance_goes_down_by_segments_times_numbers() -> None:
    sandbox = make_sandbox(AccountSettings(balance=10))
    handle(sandbox, mobiles="13800130001,13800130002", content="x" * 71)
    assert handle(sandbox, "queryBalance").answer.data == {"balance": 6, "payment": 0, "paymentName": "预付"}


def test_a_prepaid_send_beyond_the_balance_is_refused_and_costs_nothing() -> None:
    sandbox = make_sandbox(AccountSettings(balance=1))
    assert handle(sandbox, mobiles="13800130001,13800130002").answer.code == Code.BALANCE
    assert handle(sandbox, taskId="a").answer.code == Code.SUCCESS
    assert handle(sandbox, taskId="b").answer.code == Code.BALANCE
    assert sandbox.accounts["sandbox"].balance == 0


def test_a_postpaid_account_is_never_out_of_balance() -> None:
    sandbox = make_sandbox(AccountSettings(balance=0, payment=1))
    assert handle(sandbox).answer.code == Code.SUCCESS
    assert handle(sandbox, "queryBalance").answer.data == {"balance": -1, "payment": 1, "paymentName": "后附"}


def test_a_repeated_task_id_sends_nothing_and_is_counted_whatever_the_account() -> None:
    sandbox = make_sandbox()
    sandbox.put_account("other", AccountSettings())
    assert handle(sandbox, taskId="abc").answer.data == {"taskId": "abc"}
    again = handle(sandbox, taskId="abc", account="other", mobiles="13800130002,13800130003")
    assert again.answer.code == Code.DUPLICATE
    assert len(sandbox.ledger.sends) == 1
    assert [(entry.task_id, entry.account, entry.recipients) for entry in sandbox.ledger.duplicates] == [
        ("abc", "other", 2)
    ]
    assert sandbox.ledger.counts["duplicates"] == 1
    assert sandbox.accounts["other"].balance == 1_000_000_000


def test_a_send_without_task_id_gets_one_of_the_provider() -> None:
    sandbox = make_sandbox()
    assert handle(sandbox).answer.data == {"taskId": "provider-1"}
    assert handle(sandbox, taskId="").answer.data == {"taskId": "provider-2"}


@pytest.mark.parametrize(("report_send_id", "reported"), [("answered", "provider-1"), ("ours", "abc")])
def test_an_account_may_be_answered_ids_of_the_provider_and_ours_stays_used(report_send_id: Any, reported: str) -> None:
    sandbox = make_sandbox(AccountSettings(answered_task_id="own", report_send_id=report_send_id))
    handled = handle(sandbox, taskId="abc")
    assert handled.record is not None
    sandbox.release(handled.record, early=False)
    assert handled.answer.data == {"taskId": "provider-1"}
    assert [row.send_id for row in sandbox.accounts["sandbox"].reports] == [reported]
    assert handle(sandbox, taskId="abc").answer.code == Code.DUPLICATE


@pytest.mark.parametrize(("client", "code"), [("10.1.2.3", "00"), ("::1", "00"), ("10.2.0.1", "02"), ("", "02")])
def test_an_ip_list_keeps_other_addresses_out(client: str, code: str) -> None:
    sandbox = make_sandbox(AccountSettings(ips=("10.1.0.0/16", "::1")))
    assert handle(sandbox, "queryBalance", client=client).answer.code == code


def test_more_calls_in_a_second_than_the_account_may_make_are_throttled() -> None:
    sandbox = make_sandbox(AccountSettings(requests_per_s=2))
    codes = [handle(sandbox, "queryBalance").answer.code for _ in range(3)]
    assert codes == [Code.SUCCESS, Code.SUCCESS, Code.THROTTLED]


@pytest.mark.parametrize(
    ("pwd_case", "lower", "upper"), [("lower", "00", "01"), ("upper", "01", "00"), ("any", "00", "00")]
)
def test_the_case_of_the_md5_counts_as_the_account_says(pwd_case: Any, lower: str, upper: str) -> None:
    sandbox = make_sandbox(AccountSettings(pwd_case=pwd_case))
    assert handle(sandbox, "queryBalance").answer.code == lower
    assert handle(sandbox, "queryBalance", pwd=PWD.upper()).answer.code == upper


def test_the_last_four_digits_decide_what_is_reported_and_a_bad_number_is_rejected() -> None:
    sandbox = make_sandbox()
    endings = ["0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008", "1234"]
    handled = handle(sandbox, mobiles=",".join([*(f"1380013{ending}" for ending in endings), "12345"]), taskId="t")
    assert handled.record is not None
    assert (handled.early, handled.held) == (True, True)
    reports = sandbox.accounts["sandbox"].reports
    sandbox.release(handled.record, early=True)
    assert [row.mobile for row in reports] == ["13800130007"]
    reports.clear()
    sandbox.release(handled.record, early=False)
    assert [(row.mobile[-4:], row.status) for row in reports] == [
        ("0001", "DELIVRD"),
        ("0002", "UNDELIV"),
        ("0003", "EXPIRED"),
        ("0005", "DELIVRD"),
        ("0006", "MBBLACK"),
        ("0008", "DELIVRD"),
        ("0008", "DELIVRD"),
        ("1234", "DELIVRD"),
        ("2345", "REJECTD"),
    ]


def test_a_pull_drains_in_batches_each_row_once() -> None:
    sandbox = make_sandbox(pull_rows=2)
    handled = handle(sandbox, mobiles="13800130001,13800130002,13800130003", extNo="7", taskId="t")
    assert handled.record is not None
    sandbox.release(handled.record, early=False)
    row = {"sendId": "t", "extNo": "7", "times": "2019-04-12 17:57:08"}
    assert [handle(sandbox, "report").answer.data for _ in range(3)] == [
        [
            {**row, "mobile": "13800130001", "status": "DELIVER"},
            {**row, "mobile": "13800130002", "status": "UNDELIV"},
        ],
        [{**row, "mobile": "13800130003", "status": "EXPIRED"}],
        [],
    ]
    assert [pulled.mobile for pulled in sandbox.ledger.pulled_of("13800130003")] == ["13800130003"]


def test_the_ledger_lists_sends_by_number_and_names_texts_sent_twice() -> None:
    sandbox = make_sandbox()
    handle(sandbox, taskId="a", mobiles="13800130001,13800130002", content="one")
    handle(sandbox, taskId="b", mobiles="13800130001", content="two")
    handle(sandbox, taskId="c", mobiles="13800130001", content="one")
    sent = [(send.task_id, send.content) for send in sandbox.ledger.sends_to("13800130001")]
    assert sent == [("a", "one"), ("b", "two"), ("c", "one")]
    assert [(repeat.mobile, repeat.content, repeat.task_ids) for repeat in sandbox.ledger.repeats()] == [
        ("13800130001", "one", ("a", "c"))
    ]


@given(st.lists(st.lists(st.sampled_from(["13800130001", "13800130002", "13800130003"]), min_size=1, max_size=4)))
def test_the_ledger_never_holds_more_numbers_than_its_bound_but_for_one_send(sends: list[list[str]]) -> None:
    sandbox = make_sandbox(ledger_recipients=3)
    for mobiles in sends:
        handle(sandbox, mobiles=",".join(mobiles))
        ledger = sandbox.ledger
        held = [mobile for send in ledger.sends for mobile in send.mobiles]
        assert ledger.recipients_held == len(held) <= max(3, len(mobiles))
        assert sum(len(ledger.sends_to(mobile)) for mobile in set(held)) == len(held)
    assert sandbox.ledger.counts["recipients"] == sum(len(mobiles) for mobiles in sends)


def test_a_queue_beyond_its_bound_loses_the_oldest_rows_and_counts_them() -> None:
    sandbox = make_sandbox(ledger_recipients=2)
    handled = handle(sandbox, mobiles="13800130001,13800130002,13800130003")
    assert handled.record is not None
    sandbox.release(handled.record, early=False)
    assert [row.mobile for row in sandbox.accounts["sandbox"].reports] == ["13800130002", "13800130003"]
    assert sandbox.ledger.counts["rows_dropped"] == 1


def test_a_reset_forgets_sends_task_ids_and_waiting_rows() -> None:
    sandbox = make_sandbox()
    handled = handle(sandbox, taskId="abc")
    assert handled.record is not None
    sandbox.release(handled.record, early=False)
    sandbox.reset()
    assert handle(sandbox, "report").answer.data == []
    assert handle(sandbox, taskId="abc").answer.code == Code.SUCCESS
    assert sandbox.ledger.counts["sends"] == 1
