"""Notifications come once for each change of a sync's state: by Airflow's own notifiers, over real HTTP and SMTP."""

from __future__ import annotations

import datetime as dt

import pytest
from airflow.providers.slack.notifications.slack_webhook import SlackWebhookNotifier
from airflow.providers.smtp.notifications.smtp import SmtpNotifier
from airflow.sdk import TaskInstanceState

from airflow_provider_crm.notifications.on_change import on_change
from tests.operators.conftest import Impatient

pytestmark = pytest.mark.parametrize("any_database", ["sqlite"], indirect=True)
DAY = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
GOOD, BAD = {"id": "oppo_0", "arr": 5}, {"id": "oppo_1", "arr": "x"}


@pytest.fixture
def changes():
    """The changes that a callback has sent."""
    return []


@pytest.fixture
def night(deals, task, changes):
    """Run one night's task, then its callback as Airflow does."""
    callback = on_change(notifiers=[lambda context: changes.append(context["crm_change"])])

    def run(rows, day, *, cleared=0, callback=callback, **arguments):
        defaults = {"data": rows, "id_column": "id", "fields": {"arr": "deal_value"}, **arguments}
        number = cleared + 1
        as_of = DAY + dt.timedelta(days=day)
        end = task(Impatient, run_id=f"night_{day}", as_of=as_of, try_number=number, **defaults)
        ti = end.context["ti"]
        ti.state = TaskInstanceState.SUCCESS if end.error is None else TaskInstanceState.FAILED
        ti.max_tries = cleared
        ti.xcom_pull = lambda key: end.report
        operator = Impatient(
            task_id="task", crm_conn_id="close_default", **{**defaults, "ledger_conn_id": "crm_ledger", **arguments}
        )
        callback({**end.context, "task": operator, "exception": end.error})
        return end

    return run


def titles(changes):
    """What was sent, in order."""
    return [change.title.partition(": ")[2] for change in changes]


def test_a_failure_is_sent_once_and_so_is_the_recovery(night, changes):
    """Three failed nights between good ones are two messages."""
    for day, rows in enumerate([[GOOD], [BAD], [BAD], [BAD], [GOOD], [GOOD]]):
        night(rows, day)
    assert titles(changes) == ["failed", "recovered"]


def test_a_first_run_that_fails_is_sent_and_one_that_succeeds_is_not(night, changes):
    """Before the first run a sync counts as well."""
    night([BAD], 0)
    assert titles(changes) == ["failed"]


def test_a_warning_that_begins_is_sent_once(night, changes):
    """Rows that are tolerated beyond `warn_rejected` are a state of their own."""
    limits = {"max_rejected": 2, "warn_rejected": 0}
    for day, rows in enumerate([[GOOD], [GOOD, BAD], [GOOD, BAD], [GOOD]]):
        night(rows, day, **limits)
    assert titles(changes) == ["warning", "recovered"]
    assert "1 of 2 rows did not land: more than warn_rejected=0" in changes[0].text


def test_a_backfill_of_older_data_changes_nothing(night, changes):
    """The state is that of the newest data, whatever an older day does."""
    night([GOOD], 5)
    night([BAD], 2)
    night([GOOD], 6)
    assert titles(changes) == []


def test_a_run_that_is_cleared_recovers(night, changes):
    """The run that failed is corrected and cleared: its next try is the recovery."""
    night([GOOD], 0)
    night([BAD], 1)
    night([GOOD], 1, cleared=1)
    assert titles(changes) == ["failed", "recovered"]


def test_without_a_ledger_each_failure_is_sent(night, changes):
    """Nothing is known of earlier runs: the text says so, and no recovery is sent."""
    for day, rows in enumerate([[BAD], [BAD], [GOOD]]):
        night(rows, day, ledger_conn_id=None)
    assert titles(changes) == ["failed", "failed"]
    assert "It is not known whether this is new, as there is no ledger" in changes[0].text


def test_a_notifier_that_fails_does_not_keep_the_others_from_it(night, changes):
    """Slack is down, the mail goes out, and Airflow logs the error."""

    def fails(context):
        raise ConnectionError

    callback = on_change(notifiers=[fails, lambda context: changes.append(context["crm_change"])])
    with pytest.raises(ExceptionGroup, match="not every notifier could be called"):
        night([BAD], 0, callback=callback)
    assert titles(changes) == ["failed"]


def test_slack_and_mail_get_text_and_link(night, slack, mails, changes):
    """Airflow's own notifiers, over HTTP and SMTP; the words for an alert are those of its beginning and its end."""
    callback = on_change(
        notifiers=[
            SlackWebhookNotifier(text="{{ crm_change.mrkdwn }}"),
            SmtpNotifier(
                from_email="a@example.com",
                to="b@example.com",
                subject="{{ crm_change.title }}",
                html_content="{{ crm_change.mail }}",
            ),
            lambda context: changes.append(context["crm_change"]),
        ]
    )
    night([{"id": "oppo_1", "arr": "<@U1>&"}], 0, callback=callback)
    night([GOOD], 1, callback=callback)
    page = "https://airflow.example.com/plugin/crm/crm/task?dag_id=dag&amp;run_id=night_0&amp;task_id=task&amp;map_index=-1"
    assert slack.texts[0].startswith("*dag/task on close_default: failed*\n```\n")
    assert f"<{page}|Run on the CRM page>" in slack.texts[0]
    assert "<@U1>" not in slack.texts[0]
    assert slack.texts[1].startswith("*dag/task on close_default: recovered*")
    assert [(change.action, change.severity) for change in changes] == [("trigger", "error"), ("resolve", "info")]
    assert [mail["Subject"] for mail in mails] == [
        "dag/task on close_default: failed",
        "dag/task on close_default: recovered",
    ]
    content = mails[0].get_body(("html",)).get_content()
    assert f'<a href="{page}">' in content
    assert "<@U1>" not in content
