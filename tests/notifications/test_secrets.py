"""No secret stands in a task's log or in what people are sent, whatever a vendor or a proxy repeats."""

from __future__ import annotations

import base64
import json
import logging
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pandas as pd
import pytest
from airflow.providers.slack.notifications.slack_webhook import SlackWebhookNotifier
from airflow.providers.smtp.notifications.smtp import SmtpNotifier
from airflow.sdk import TaskInstanceState

from airflow_provider_crm.notifications.failure_text import failure_text
from airflow_provider_crm.notifications.on_change import on_change
from tests.operators.conftest import Impatient

pytestmark = pytest.mark.parametrize("any_database", ["sqlite"], indirect=True)
KEY, PROXY, DATABASE = "api_5ecret.close-key/value", "gate:Pr0xy-pa55", "reader:Wareh0use-pa55"
PAGE = f"<html><title>Blocked by http://{PROXY}@proxy.example.com:3128</title></html>".encode()
SECRETS = {
    *(KEY, base64.b64encode(f"{KEY}:".encode()).decode(), json.dumps(KEY)[1:-1], KEY.replace("/", "%2F")),
    *(PROXY, PROXY.partition(":")[2], DATABASE, DATABASE.partition(":")[2]),
}


class Leaky(BaseHTTPRequestHandler):
    """Stands before the sandbox; its answer to a write repeats the request, or is a proxy's page with its password."""

    def do_GET(self):
        """Ask the sandbox, but for a key that is said to be wrong."""
        if self.server.way == "wrong key":
            self._answer(401, self._quote())
            return
        headers = {"Authorization": self.server.authorization}
        request = urllib.request.Request(self.server.sandbox + self.path, headers=headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            self._answer(200, answer.read())

    def do_PUT(self):
        """Refuse, in the way of this server."""
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.way == "leaky refusal":
            self._answer(400, self._quote())
        elif self.server.way == "redirect":
            self._answer(302, b"", Location=f"http://{PROXY}@proxy.example.com:3128/login")
        else:
            server = {"Server": f"http://{PROXY}@proxy.example.com:3128"}
            self._answer(int(self.server.way.split()[-1]), PAGE, "text/html", **server)

    def _quote(self):
        sent = self.headers["Authorization"]
        clear = base64.b64decode(sent.split()[1]).decode()
        text = f"{sent} is the key {clear} of http://{PROXY}@proxy.example.com"
        return json.dumps({"error": text, "field-errors": {"value": text}}).encode()

    def _answer(self, status, body, kind="application/json", **headers):
        self.send_response_only(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Say nothing."""


class Broken(Impatient):
    """Rows that come from a database whose error has the address of the connection."""

    def is_in_memory(self):
        """Frames come from a generator."""
        return False

    def frames(self, context):
        """A row, then the error."""
        yield pd.DataFrame([{"id": "oppo_0", "arr": 5}])
        msg = f"connection to postgresql://{DATABASE}@warehouse.example.com/marts lost"
        raise ConnectionError(msg)


@pytest.fixture
def leaky(deals, monkeypatch):
    """A connection, with a key, to a server in front of the sandbox."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Leaky) as server:
        server.sandbox, server.way = deals.url, ""
        threading.Thread(target=server.serve_forever, daemon=True).start()
        host = f"http://127.0.0.1:{server.server_address[1]}"
        server.authorization = "Basic " + base64.b64encode(f"{deals.close.api_key}:".encode()).decode()
        for name, url in {"LEAKY": host, "BEHIND_PROXY": "https://api.close.invalid"}.items():
            connection = {"conn_type": "close", "host": url, "password": KEY}
            monkeypatch.setenv(f"AIRFLOW_CONN_{name}", json.dumps(connection))
        yield server
        server.shutdown()


@pytest.fixture
def failed(task, leaky, slack, mails, caplog, capfd, tmp_path):  # noqa: PLR0917 - all that people may read
    """Run a task that fails; returns all that anybody can read of it, by where it stands."""
    caplog.set_level(logging.DEBUG)
    mail = SmtpNotifier(
        from_email="a@example.com",
        to="b@example.com",
        subject="{{ crm_change.title }}",
        html_content="{{ crm_change.mail }}",
    )

    def run(kind=Impatient, crm_conn_id="leaky"):
        changes = []
        notifiers = [
            SlackWebhookNotifier(text="{{ crm_change.mrkdwn }}"),
            mail,
            lambda it: changes.append(it["crm_change"]),
        ]
        rows = [] if kind is Broken else [{"id": f"oppo_{number}", "arr": 5} for number in range(2)]
        arguments = {"data": rows, "id_column": "id", "fields": {"arr": "deal_value"}, "crm_conn_id": crm_conn_id}
        with pytest.MonkeyPatch.context() as patch:  # Slack's client would go through the proxy, too
            patch.setenv("HTTPS_PROXY", f"http://{PROXY}@127.0.0.1:9")
            end = task(kind, **arguments)
        ti = end.context["ti"]
        ti.state, ti.max_tries, ti.xcom_pull = TaskInstanceState.FAILED, 0, lambda key: end.report
        operator = kind(task_id="task", ledger_conn_id="crm_ledger", **arguments)
        context = {**end.context, "task": operator, "exception": end.error}
        on_change(notifiers=notifiers)(context)
        (change,) = changes
        (received,) = mails
        return {
            "log": caplog.text + "".join(capfd.readouterr()),
            "failure_text": failure_text(context) + failure_text({**context, "exception": None}),
            "change": f"{change!r} {change.mrkdwn} {change.mail}",
            "Slack": " ".join(slack.texts),
            "mail": f"{received['Subject']} {received.get_body(('html',)).get_content()}",
            "XCom": json.dumps(end.xcom),
            "ledger": Path(tmp_path / "ledger.db").read_bytes().decode("utf-8", "replace"),
        }

    return run


def leaks(found):
    """The secrets, by where they stand."""
    return {where: [secret for secret in SECRETS if secret in text] for where, text in found.items()}


@pytest.mark.parametrize(
    ("way", "said"),
    [
        ("wrong key", "Close answered 401: Basic *** is the key ***"),
        ("leaky refusal", "of http://***@proxy.example.com"),
        ("a page with 200", "without a record (text/html, "),
        ("a page with 403", "Blocked by http://***@proxy.example.com:3128"),
        ("a page with 502", "Blocked by http://***@proxy.example.com:3128"),
        ("redirect", "proxy.example.com:3128"),
    ],
)
def test_no_answer_brings_a_secret_to_people(failed, leaky, way, said):
    """An answer that repeats the key, and a proxy's page with its password: the text is there, with stars."""
    leaky.way = way
    found = failed()
    assert leaks(found) == {where: [] for where in found}
    assert said in found["failure_text"]
    assert said in found["Slack"].replace("&amp;", "&")


def test_no_proxy_that_is_away_brings_its_password_to_people(failed):
    """The proxy of the environment does not answer: the text names the variable, and not its value."""
    found = failed(crm_conn_id="behind_proxy")
    assert leaks(found) == {where: [] for where in found}
    assert "the proxy in the environment (HTTPS_PROXY) does not answer" in found["failure_text"]


def test_no_source_brings_its_password_to_people(failed, leaky):
    """A driver's error that quotes the address of its database."""
    found = failed(kind=Broken)
    assert leaks(found) == {where: [] for where in found}
    assert "postgresql://***@warehouse.example.com/marts" in found["failure_text"]
