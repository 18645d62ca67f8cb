import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from relay.domain.breakers import BREAKER_STATES
from relay.telemetry.metrics import MAX_ACCOUNTS, MAX_ROUTES, Metrics

OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


def scrape(metrics: Metrics) -> dict[str, Metric]:
    body, _ = metrics.render(None)
    return {family.name: family for family in parse_text(body.decode())}


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def use_everything(metrics: Metrics) -> None:
    metrics.request_served("POST", "/v1/messages", 202, 0.001)
    metrics.callback_received("report", "stored")
    metrics.callback_rows("report", "applied", 3)
    metrics.unreadable("mo")
    metrics.report_conflicts(1)
    metrics.upstream_called("main", "send", "accepted", 0.05)
    metrics.balance("main", "199999", prepaid=True)
    metrics.breaker("main", "open")
    metrics.breaker("main", "half_open")
    metrics.breaker_opened("main", "balance", 2)
    metrics.failed_over("main", "spare", 3)
    metrics.waiting_on("main", 5)
    metrics.message_accepted("otp")
    metrics.recipients_moved("delivered", 3)
    metrics.segments_moved("delivered", 6)
    metrics.events_created("message.delivered", 2)
    metrics.delivery_attempted("delivered", 0.02, 0.03)
    metrics.queue("deliveries", 12, 1.5)
    metrics.set_aside(4, 5)
    metrics.spool(1, 200, 3.0)
    metrics.spool_replayed(100)
    metrics.spool_replay_failed()
    metrics.spool_set_aside(2)
    metrics.loop_restarted("deliver")
    metrics.membership(3, leads=True)
    metrics.beat_failed()
    metrics.lease_lost("submission")
    metrics.retired("events", 500, 12.5)


def test_every_method_moves_its_metric(metrics: Metrics) -> None:
    use_everything(metrics)

    assert value(metrics, "relay_http_requests_total", method="POST", route="/v1/messages", status="202") == 1
    assert value(metrics, "relay_http_request_duration_seconds_count", route="/v1/messages") == 1
    assert value(metrics, "relay_callbacks_total", kind="report", result="stored") == 1
    assert value(metrics, "relay_callback_rows_total", kind="report", result="applied") == 3
    assert value(metrics, "relay_unreadable_bodies_total", kind="mo") == 1
    assert value(metrics, "relay_report_conflicts_total") == 1
    assert value(metrics, "relay_upstream_requests_total", account="main", call="send", outcome="accepted") == 1
    assert value(metrics, "relay_upstream_request_duration_seconds_sum", account="main", call="send") == 0.05
    assert value(metrics, "relay_account_balance_sms", account="main", payment="prepaid") == 199999
    states = {state: value(metrics, "relay_account_breaker", account="main", state=state) for state in BREAKER_STATES}
    assert states == {"closed": 0, "open": 0, "half_open": 1, "slow_start": 0}
    assert value(metrics, "relay_account_breaker_openings_total", account="main", reason="balance") == 2
    assert value(metrics, "relay_failovers_total", **{"from": "main", "to": "spare"}) == 3
    assert value(metrics, "relay_account_waiting_submissions", account="main") == 5
    assert value(metrics, "relay_messages_accepted_total", category="otp") == 1
    assert value(metrics, "relay_recipients_total", status="delivered") == 3
    assert value(metrics, "relay_segments_total", status="delivered") == 6
    assert value(metrics, "relay_events_total", type="message.delivered") == 2
    assert value(metrics, "relay_delivery_attempts_total", outcome="delivered") == 1
    assert value(metrics, "relay_delivery_attempt_duration_seconds_sum") == 0.02
    assert value(metrics, "relay_delivery_lag_seconds_count") == 1
    assert value(metrics, "relay_queue_depth", queue="deliveries") == 12
    assert value(metrics, "relay_queue_oldest_due_age_seconds", queue="deliveries") == 1.5
    assert (value(metrics, "relay_orphans_open"), value(metrics, "relay_quarantine_bodies")) == (4, 5)
    assert value(metrics, "relay_spool_bodies") == 1
    assert value(metrics, "relay_spool_bytes") == 200
    assert value(metrics, "relay_spool_oldest_age_seconds") == 3.0
    assert value(metrics, "relay_spool_replayed_total") == 100
    assert value(metrics, "relay_spool_replay_failures_total") == 1
    assert value(metrics, "relay_spool_set_aside_total") == 2
    assert value(metrics, "relay_loop_restarts_total", loop="deliver") == 1
    assert (value(metrics, "relay_replicas"), value(metrics, "relay_leader")) == (3, 1)
    assert value(metrics, "relay_beat_failures_total") == 1
    assert value(metrics, "relay_leases_lost_total", work="submission") == 1
    assert value(metrics, "relay_retention_rows_total", kind="events") == 500
    assert value(metrics, "relay_retention_lag_seconds", kind="events") == 12.5


def test_both_expositions_parse_and_every_metric_has_a_help(metrics: Metrics) -> None:
    use_everything(metrics)

    plain, plain_type = metrics.render(None)
    open_metrics, open_type = metrics.render(OPENMETRICS)

    assert plain_type.startswith("text/plain")
    assert open_type.startswith("application/openmetrics-text")
    families = {family.name: family for family in parse_text(plain.decode())}
    parsed = parse_openmetrics(open_metrics.decode())  # type: ignore[no-untyped-call] # has no types
    assert {family.name for family in parsed} >= {
        "relay_http_requests",
        "relay_build",
    }
    assert all(family.documentation for family in families.values())


def test_the_process_the_platform_and_the_build_are_told(metrics: Metrics) -> None:
    families = scrape(metrics)

    assert {"process_cpu_seconds", "python_info", "python_gc_objects_collected", "relay_build_info"} <= set(families)
    (sample,) = families["relay_build_info"].samples
    assert set(sample.labels) == {"version", "python"}


def test_two_of_them_in_one_process_do_not_meet(metrics: Metrics) -> None:
    use_everything(metrics)

    assert value(Metrics(), "relay_report_conflicts_total") == 0


def test_a_flood_of_accounts_routes_methods_and_statuses_makes_a_bounded_number_of_series(metrics: Metrics) -> None:
    for index in range(1000):
        metrics.upstream_called(f"account-{index}", "send", "accepted", 0.1)
        metrics.balance(f"account-{index}", index, prepaid=True)
        metrics.request_served(f"METHOD{index}", f"/route-{index}", 200, 0.1)
    metrics.request_served("GET", "/route-0", 7_000_000, 0.1)

    families = scrape(metrics)
    accounts = {sample.labels["account"] for sample in families["relay_upstream_requests"].samples}
    routes = {sample.labels["route"] for sample in families["relay_http_requests"].samples}
    assert len(accounts) == MAX_ACCOUNTS + 1
    assert len(routes) == MAX_ROUTES + 1
    assert {sample.labels["method"] for sample in families["relay_http_requests"].samples} == {"GET", "OTHER"}
    assert value(metrics, "relay_upstream_requests_total", account="other", call="send", outcome="accepted") == 800
    assert value(metrics, "relay_http_requests_total", method="GET", route="/route-0", status="0") == 1
    assert len(families["relay_account_balance_sms"].samples) == MAX_ACCOUNTS + 1


def test_an_account_that_becomes_postpaid_leaves_no_stale_balance(metrics: Metrics) -> None:
    metrics.balance("main", "5", prepaid=True)
    metrics.balance("main", "-3.5", prepaid=False)

    (sample,) = scrape(metrics)["relay_account_balance_sms"].samples
    assert (sample.labels, sample.value) == ({"account": "main", "payment": "postpaid"}, -3.5)


def test_an_account_tells_how_it_is_paid_and_how_long_it_lasts_while_that_is_known(metrics: Metrics) -> None:
    metrics.balance("main", "5", prepaid=True, days_left=2.5)
    metrics.balance("other", "-5", prepaid=False)
    assert value(metrics, "relay_account_balance_days_left", account="main") == 2.5
    assert [value(metrics, "relay_account_prepaid", account=name) for name in ("main", "other")] == [1, 0]

    metrics.balance("main", "5", prepaid=True)
    assert scrape(metrics)["relay_account_balance_days_left"].samples == []
    metrics.balance("main", "5", prepaid=True, days_left=2.5)
    metrics.forget_balance("main")
    metrics.forget_balance("nobody")

    families = scrape(metrics)
    assert families["relay_account_balance_days_left"].samples == []
    assert [sample.labels["account"] for sample in families["relay_account_prepaid"].samples] == ["other"]


def test_a_process_that_asks_no_more_tells_no_balance(metrics: Metrics) -> None:
    metrics.balance("main", "5", prepaid=True)
    metrics.balance("other", "5", prepaid=False)

    metrics.forget_balances()
    metrics.forget_balances()

    assert scrape(metrics)["relay_account_balance_sms"].samples == []
    metrics.balance("main", "7", prepaid=True)
    assert value(metrics, "relay_account_balance_sms", account="main", payment="prepaid") == 7


def test_a_balance_that_is_no_number_changes_nothing(metrics: Metrics) -> None:
    metrics.balance("main", "plenty", prepaid=True)

    assert scrape(metrics)["relay_account_balance_sms"].samples == []


def test_later_attempts_do_not_count_into_the_lag(metrics: Metrics) -> None:
    metrics.delivery_attempted("retry", 1.0, None)

    assert value(metrics, "relay_delivery_lag_seconds_count") == 0
