"""The example DAGs that notify people, in real Airflow: who is sent what, once for each change of a sync's state.

Five nights: all is well, some rows are refused, more of them, and all is well again, twice. Airflow's own notifiers
send to servers on this machine, which stand for Slack, a mail server and PagerDuty.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from email.message import EmailMessage
from html import escape
from urllib.parse import urlencode

import pytest

from airflow_provider_crm.demo.airflow_home import example_dags

from .mail_server import MailServer
from .webhooks import PagerdutyServer, SlackServer

pytestmark = pytest.mark.long

NIGHTS = tuple(f"2026-03-{day:02}" for day in range(10, 15))
DAGS = ("crm_slack", "crm_mail", "crm_pagerduty")
ADDRESS = "https://airflow.example.com"


@dataclass(frozen=True)
class Sent:
    """What people were sent after five nights.

    Attributes:
        states: The state of each run, by Dag.
        slack: Texts of messages.
        mails: Mails.
        events: Events for PagerDuty.
    """

    states: dict[str, list[str]]
    slack: list[str]
    mails: list[EmailMessage]
    events: list[dict]


def deals(row):
    """The rows of the nights: Close refuses another currency than its own, and both CRMs refuse text."""
    well, refused, worse, recovered, still = NIGHTS
    good = [
        row(night, number + 100 * index) for index, night in enumerate((well, recovered, still)) for number in (1, 2)
    ]
    foreign = [row(refused, 400), *(row(refused, 401 + number, currency="EUR") for number in range(2))]
    return [*good, *foreign, *(row(worse, 500 + number, arr="x") for number in range(11))]


@pytest.fixture(scope="module")
def sent(world, row, tmp_path_factory):
    """Run each example on the five nights."""
    with (
        MailServer() as mails,
        SlackServer() as slack,
        PagerdutyServer(tmp_path_factory.mktemp("tls")) as pagerduty,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in pagerduty.environment.items():
            patch.setenv(name, value)
        connections = {
            "smtp_default": mails.connection,
            "slack_default": slack.connection,
            "pagerduty_events_default": pagerduty.connection,
        }
        made = world(deals(row), dags=[], connections=connections)
        shutil.copytree(example_dags() / "notifications", made.home.dags, dirs_exist_ok=True)
        (made.home.root / "airflow.cfg").write_text(f"[api]\nbase_url = {ADDRESS}\n")
        with made.home.start() as process:
            assert set(process.dag_ids) == set(DAGS)
            states = {
                dag_id: [process.run(dag_id, f"{night}T00:00:00-04:00").state for night in NIGHTS] for dag_id in DAGS
            }
        yield Sent(states, slack.texts, mails.mails, pagerduty.events)


def page(text, dag_id, task_id, index=-1):
    """The address on the CRM page of the run that a text names."""
    (run,) = re.findall(r", run (manual__[^,\s]+?)(?:, try 1)?:\n", text)
    named = urlencode({"dag_id": dag_id, "run_id": run, "task_id": task_id, "map_index": index})
    return f"{ADDRESS}/plugin/crm/crm/task?{named}"


def test_the_nights_are_as_planned(sent):
    """Two nights are red; those of the example that tolerates ten rows only once."""
    red_twice = ["success", "failed", "failed", "success", "success"]
    red_once = ["success", "success", "failed", "success", "success"]
    assert sent.states == {"crm_slack": red_twice, "crm_mail": red_twice, "crm_pagerduty": red_once}


def test_slack_is_sent_the_failure_and_the_recovery(sent):
    """Two red nights are one message, and the sync beside it, which is well, sends none: `default_args` of a Dag."""
    failed, recovered = sent.slack
    assert failed.startswith("*crm_slack/deal_values on close_default: failed*\n```\ncrm_slack.deal_values, run ")
    assert "3 rows: 1 updated, 2 invalid." in failed
    assert "2 invalid CURRENCY, such as record 'oppo_401'" in failed
    assert recovered.startswith("*crm_slack/deal_values on close_default: recovered*\n")
    assert "2 rows: 2 updated." in recovered
    for text in sent.slack:
        link = escape(page(text, "crm_slack", "deal_values"))
        assert text.endswith(f"<{link}|Run on the CRM page>")


def test_each_index_of_a_mapped_task_has_its_own_mails(sent):
    """Close fails one night before Raze, and is silent when Raze fails; both recover."""
    assert [mail["Subject"] for mail in sent.mails] == [
        "crm_mail/deal_values[0] on close_default: failed",
        "crm_mail/deal_values[1] on raze_default: failed",
        "crm_mail/deal_values[0] on close_default: recovered",
        "crm_mail/deal_values[1] on raze_default: recovered",
    ]
    raze = sent.mails[1].get_body(("html",)).get_content()
    assert "11 rows: 11 invalid." in raze
    assert f'<a href="{escape(page(raze, "crm_mail", "deal_values", 1))}">' in raze


def test_pagerduty_resolves_the_alert_of_the_warning_and_the_failure(sent):
    """A warning becomes a failure, each is sent once, and the recovery names the same alert."""
    seen = [(one["event_action"], one["payload"]["severity"], one["payload"]["summary"]) for one in sent.events]
    sync = "crm_pagerduty/deal_values on close_default"
    assert seen == [
        ("trigger", "warning", f"{sync}: warning"),
        ("trigger", "error", f"{sync}: failed"),
        ("resolve", "info", f"{sync}: recovered"),
    ]
    assert {one["dedup_key"] for one in sent.events} == {sync}
    assert "2 of 3 rows did not land: more than warn_rejected=1" in sent.events[0]["payload"]["custom_details"]
    for event in sent.events:
        text = event["payload"]["custom_details"]
        href = page(text, "crm_pagerduty", "deal_values")
        assert text.endswith(href)
        assert event["links"] == [{"href": href, "text": "Run on the CRM page"}]
