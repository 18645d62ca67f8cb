"""By which indexes PostgreSQL finds the rows of each query, whatever it knows of them.

"key" is the primary key or a unique one of the table; in brackets what it is compared with. An index without any is
walked: it holds only the rows in question. What is looked up in small tables stands here where it is hot.
"""

from typing import Final

INDEXES: Final[dict[str, tuple[str, ...]]] = {
    "accounts.open": ("submissions_silent ()",),
    "accounts.running": ("submissions_running ()",),
    "accounts.waiting": ("submissions_due (account =)",),
    "attempts.of_delivery": ("attempts_by_delivery (delivery =)",),
    "deliveries.delete": ("deliveries key (id =)",),
    "deliveries.due": ("deliveries_due (endpoint =, due_ms <=)", "events key (id =)"),
    "deliveries.find_leased": ("deliveries key (id =)",),
    "deliveries.free_all": ("deliveries_leased ()",),
    "deliveries.free_lapsed": ("deliveries key (id =)", "deliveries_leased (lease_until_ms <=)"),
    "deliveries.free_of_endpoint": ("deliveries_leased ()",),
    "deliveries.lease": ("deliveries key (id =)",),
    "deliveries.list": ("deliveries_by_team (team >=, ROW(team, id) <, ROW(team, id) >)", "events key (id =)"),
    "deliveries.next_lapse": ("deliveries_leased (lease_until_ms >)",),
    "deliveries.release": ("deliveries key (id =)",),
    "deliveries.retry": ("deliveries key (id =)",),
    "deliveries.take_of_endpoint": ("deliveries key (id =)", "deliveries_due (endpoint =)"),
    "deliveries.view": ("deliveries key (id =)", "events key (id =)"),
    "deliveries.waiting": ("deliveries_due (due_ms <=)",),
    "endpoints.deleted_with_due": ("deliveries_due (endpoint =)",),
    "endpoints.next_due": ("deliveries_due (endpoint =, due_ms >)",),
    "endpoints.with_due": ("deliveries_due (endpoint =, due_ms <=)", "deliveries_leased (lease_until_ms <=)"),
    "events.last_position": ("events_by_team (team >=, team <=)",),
    "events.list": ("events_by_team (team <=, ROW(team, position) >)",),
    "events.list_of_types": ("events_by_team (team <=, ROW(team, position) >)",),
    "events.view": ("events key (id =)",),
    "history.list": ("delivery_history_by_team (team >=, ROW(team, id) <, ROW(team, id) >)", "events key (id =)"),
    "history.view": ("delivery_history key (id =)", "events key (id =)"),
    "idempotency.find": ("idempotency key (scope =, key =)",),
    "idempotency.forget": ("idempotency key (scope =, key =)", "idempotency_by_age (created_ms <)"),
    "idempotency.keep_answer": ("idempotency key (scope =, key =)",),
    "inbound.list": ("inbound_by_team (team >=, ROW(team, id) <)",),
    "inbound.pair": ("inbound_seen key (id =)",),
    "inbound.twin": ("inbound_seen_unpaired (account =, digest =)",),
    "inbound.view": ("inbound key (id =)",),
    "keys.by_hash": ("api_keys key (hash =)",),
    "messages.exists": ("messages key (id =)",),
    "messages.last_of_team_to": (
        "messages key (id =)",
        "recipients_by_span (substr(submission, 1, 3) =, mobile =)",
        "submissions key (id =)",
    ),
    "messages.last_to": (
        "messages key (id =)",
        "recipients_by_span (substr(submission, 1, 3) =, mobile =)",
        "submissions key (id =)",
    ),
    "messages.list": ("message_states key (message =)", "messages_by_team (team >=, ROW(team, id) <)"),
    "messages.newest": ("messages_by_team (team >=, team <=)",),
    "messages.of_reference": ("messages_by_reference (team =, reference =, id <)",),
    "messages.oldest": ("messages_by_team (team >=, team <=)",),
    "messages.sent_to": (
        "messages key (id =)",
        "recipients_by_span (substr(submission, 1, 3) =, mobile =)",
        "submissions key (id =)",
    ),
    "messages.sender": ("messages key (id =)",),
    "messages.view": ("message_states key (message =)", "messages key (id =)"),
    "orphans.adoptable": ("orphans key (id >=)", "submissions_by_task (provider_task_id =)"),
    "orphans.of_task": ("orphans_by_task (account =, task_id =)",),
    "orphans.resolve": ("orphans key (id =)",),
    "quota.give_back": ("quota_use key (team =, day =)",),
    "quota.used": ("quota_use key (team =, day =)",),
    "raw.delete": ("raw_bodies key (id =)",),
    "raw.forget": ("raw_bodies_pending (id =)",),
    "raw.pending": ("raw_bodies_pending ()",),
    "raw.set_state": ("raw_bodies key (id =)",),
    "raw.take": ("raw_bodies_pending (id =)",),
    "raw.state": ("raw_bodies key (id =)",),
    "raw.waiting": ("raw_bodies_pending ()",),
    "recipients.find": ("recipients key (submission =, mobile =)",),
    "recipients.open": ("recipients key (submission =)",),
    "recipients.page": ("recipients key (submission =)", "submissions_by_message (message <=, ROW(message, id) >=)"),
    "recipients.recent_sends": (
        "messages key (id =)",
        "recipients_by_span (substr(submission, 1, 3) =, mobile =)",
        "submissions key (id =)",
    ),
    "recipients.repeated": (
        "messages key (id =)",
        "recipients_by_span (substr(submission, 1, 3) =, mobile =)",
        "submissions key (id =)",
    ),
    "recipients.set_status": ("recipients key (submission =, mobile =)",),
    "recipients.statuses": ("recipients key (submission =)",),
    "reports.first_of": ("reports_by_recipient (submission =)",),
    "reports.of_recipient": ("reports_by_recipient (submission =, mobile =)",),
    "reports.words": ("reports_by_recipient (submission =, mobile =)",),
    "samples.forget": ("balance_samples key (account =, at_ms <)",),
    "samples.last": ("balance_samples key (account =)",),
    "samples.since": ("balance_samples key (account =, at_ms >=)",),
    "reseal.answer": ("idempotency key (scope =, key =)",),
    "sealed.answer": ("idempotency key (ROW(scope, key) >)",),
    "states.hold": (
        "message_states key (message =)",
        "submissions key (id =)",
        "submissions_by_task (provider_task_id =)",
    ),
    "states.move": ("message_states key (message =)",),
    "submissions.change_account": ("submissions key (id =)",),
    "submissions.close_some": ("submissions key (id =)",),
    "submissions.due": ("submissions_due (account =, priority =, due_ms <=)",),
    "submissions.due_number": ("submissions_due (account =, priority =, due_ms <=)",),
    "submissions.expired": ("submissions_expiring (expires_ms <=)",),
    "submissions.find": ("messages key (id =)", "submissions key (id =)"),
    "submissions.find_by_task": ("submissions_by_task (provider_task_id =)",),
    "submissions.lapsed": ("submissions_running (lease_until_ms <=)",),
    "submissions.mark_submitting": ("submissions key (id =)",),
    "submissions.mark_told": ("submissions key (id =)",),
    "submissions.next_due": ("submissions_due (account =, priority =)",),
    "submissions.of_message": ("submissions_by_message (message =)",),
    "submissions.requeue": ("submissions key (id =)",),
    "submissions.running": ("submissions_running ()",),
    "submissions.settle": ("submissions key (id =)",),
    "submissions.silent": ("submissions_silent (since_ms <=)",),
    "submissions.stranded": ("submissions_due (account =, priority =, due_ms <=)",),
    "submissions.untold": ("submissions_untold (since_ms <=)",),
    "submissions.waiting": ("submissions_due (due_ms <=)",),
    "submissions.work": ("messages key (id =)",),
    "teams.expects": ("messages key (id =)", "submissions_silent (since_ms >)"),
    "teams.submits": ("messages key (id =)", "submissions_running ()"),
    "teams.waits": ("messages key (id =)", "submissions_expiring ()"),
    "suppressions.any": ("suppressions_by_team (team =)",),
    "suppressions.delete": ("suppressions key (id =)",),
    "suppressions.find": ("suppressions key (id =)",),
    "suppressions.list": ("suppressions key (id <)",),
    "suppressions.list_of_number": ("suppressions_of_number (mobile =)",),
    "suppressions.list_of_team": ("suppressions_by_team (team >=, ROW(team, id) <)",),
    "suppressions.of_number": ("suppressions_of_number (mobile =, team =)",),
    "suppressions.of_numbers": ("suppressions_of_number (mobile =, team =)",),
}

PAGES: Final = 60
PAGES_A_ROW: Final = 8
"""A query that reads may touch so many pages, and so many more for each row that it answers."""

MORE_PAGES: Final = {
    "deliveries.waiting": 1_000,  # a metric, of one row: counts what is due, up to 10,000
    "submissions.waiting": 1_000,  # the same
    "submissions.due_number": 1_000,  # the same, of one account
    "endpoints.next_due": 200,  # a look for each endpoint
    "endpoints.with_due": 200,  # the same
    "events.last_position": 200,  # a look for each day, where there are partitions
    "messages.sent_to": 800,  # a look for each 4.7 hours of a month
    "recipients.open": 200,  # answers a few of the recipients of one submission, and looks at all
    "recipients.page": 400,  # the same
}
