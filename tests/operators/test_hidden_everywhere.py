"""Values of hidden fields stand nowhere, however a row fails: not in XCom, ledger, log, spans or lineage."""

from __future__ import annotations

import json
import logging
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from airflow.providers.openlineage.extractors.base import DefaultExtractor
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from airflow_provider_crm.hooks.crm import CrmHook
from airflow_provider_crm.operators.opportunity import UpdateOpportunityOperator
from airflow_provider_crm.operators.plan import PlanOpportunityUpdatesOperator
from airflow_provider_crm.values.opportunity import Kind

from .conftest import Run

TEXT, DIGITS, DAY = "Zq7-marker-91x", "73194286", "1987-06-05"
MARKERS = (TEXT, DIGITS, DAY, TEXT.lower(), "«Won»", "«won»", "«annual»", "«USD»")
SENT = {
    Kind.NUMBER: DIGITS,
    Kind.INTEGER: DIGITS,
    Kind.MONEY: DIGITS,
    Kind.CURRENCY: "USD",
    Kind.DATE: DAY,
    Kind.DATETIME: f"{DAY}T04:03:02+00:00",
}
IDS = {"close": "oppo_{}", "raze": "opp_{}"}


class Quoting(BaseHTTPRequestHandler):
    """Refuses each write in the vendor's own way, and quotes each value; everything else the sandbox answers."""

    def do_GET(self):
        """Ask the sandbox."""
        headers = {name: value for name, value in self.headers.items() if name not in ("Host", "Connection")}
        request = urllib.request.Request(self.server.sandbox + self.path, headers=headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            self._answer(200, answer.read())

    def do_PUT(self):
        """Refuse."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        quoted = {key: f"«{value}» of {value!r} is {json.dumps(value)}" for key, value in body.items()}
        text = " ".join(quoted.values())
        close = {"error": text, "field-errors": quoted}
        raze = {"success": False, "error": {"code": "VALIDATION_ERROR", "message": text, "details": quoted}}
        self._answer(
            400, json.dumps(close if "/api/v1/opportunity/" in self.path and "oppo_" in self.path else raze).encode()
        )

    do_PATCH = do_PUT  # noqa: N815 - of the standard library

    def _answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def quoting(crm_sandbox, monkeypatch):
    """Connections to a server that quotes what it refuses, in front of the sandbox."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Quoting)
    server.sandbox = crm_sandbox.url
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for name, uri in crm_sandbox.connection_uris().items():
        host = f"http://127.0.0.1:{server.server_address[1]}"
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps({**json.loads(uri), "host": host}))
    yield crm_sandbox
    server.shutdown()
    server.server_close()


@pytest.fixture
def spans(monkeypatch):
    """All spans of one test."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    yield lambda: " ".join(span.to_json() for span in exporter.get_finished_spans())
    provider.shutdown()


def markers_in(text):
    """Markers that a text contains."""
    return [marker for marker in MARKERS if marker in text]


@pytest.fixture
def hidden(quoting, tmp_path, monkeypatch):
    """Every field of a vendor, all of them hidden, with an empty ledger."""
    ledger = {"conn_type": "sqlite", "host": str(tmp_path / "ledger.db")}
    monkeypatch.setenv("AIRFLOW_CONN_CRM_LEDGER", json.dumps(ledger))
    monkeypatch.setenv("AIRFLOW__CRM__LEDGER_HASH_KEY", "a key for the hashes of this test")

    def fields(vendor):
        found = dict(CrmHook.for_connection(f"{vendor}_default").session.catalogue(("custom.x",)).fields)
        monkeypatch.setenv("AIRFLOW__CRM__LEDGER_HASH_FIELDS", ",".join(found))
        for number in range(len(found)):
            quoting.close.add_opportunity(f"oppo_{number}")
            quoting.raze.add_opportunity(f"opp_{number}")
        return found

    return fields


def batches(fields):
    """The fields so that no two of a batch write the same key."""
    left = list(fields.values())
    while left:
        batch = {field.target: field for field in reversed(left)}
        yield list(batch.values())
        left = [field for field in left if field is not batch[field.target]]


def good(field, vendor):
    """A value that the field takes."""
    if field.choices:
        return field.choices[-1]
    if field.kind is Kind.STAGE:
        return "Won" if vendor == "close" else "won"
    return SENT.get(field.kind, TEXT)


def runs(batch, vendor, path):
    """Run each operator with rows of one field each: wrong values, good ones, and a list that cannot be read."""
    ways = {
        "crm_conn_id": f"{vendor}_default",
        "ledger_conn_id": "crm_ledger",
        "id_column": "id",
        "fields": {field.name: field.name for field in batch},
        "timezone": "UTC",
        "date_won_default": "server",
        "rejects_path": path,
    }
    for value in (lambda _: TEXT, lambda field: good(field, vendor), lambda _: f"{{{TEXT}, x"):
        ids = IDS[vendor]
        data = [{"id": ids.format(number), field.name: value(field)} for number, field in enumerate(batch)]
        for kind, more in (
            (UpdateOpportunityOperator, {"dry_run": True}),
            (PlanOpportunityUpdatesOperator, {}),
            (UpdateOpportunityOperator, {}),
        ):
            operator = kind(task_id="task", data=data, **ways, **more)
            run = Run().of(operator.execute)
            yield run, DefaultExtractor(operator).extract_on_failure(None)


@pytest.mark.parametrize("vendor", ["close", "raze"])
def test_no_hidden_value_stands_anywhere(hidden, quoting, spans, tmp_path, caplog, capfd, vendor):  # noqa: PLR0917 - fixtures
    """Every writable field, all hidden: refused here, refused by a server that quotes it, rehearsed, and planned."""
    caplog.set_level(logging.DEBUG)
    texts, codes = [], set()
    for number, batch in enumerate(batches(hidden(vendor))):
        for run, lineage in runs(batch, vendor, str(tmp_path / f"{number}.csv")):
            texts.append(f"{run.xcom} {run.report} {run.error!r} {lineage}")
            codes |= {reject["code"] for reject in (run.report or {}).get("rejects", ())}
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file()).decode("utf-8", "replace")
    found = {
        "XCom and errors": " ".join(texts),
        "log": caplog.text + "".join(capfd.readouterr()),
        "spans": spans(),
        "ledger and rejects file": stored,
    }
    assert {source: markers_in(text) for source, text in found.items()} == {source: [] for source in found}
    assert "«(hidden)»" in found["XCom and errors"]
    assert "«(hidden)»" in found["ledger and rejects file"]
    assert {"NOT_A_NUMBER", *({"STAGE", "BAD_REQUEST"} if vendor == "close" else {"VALIDATION_ERROR"})} <= codes
    assert quoting.audit.writes == []
