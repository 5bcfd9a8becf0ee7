"""The spans of a run, as an exporter of OpenTelemetry's own gets them."""

from __future__ import annotations

import sys

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from airflow_provider_crm.guardrails.limits import Guardrails
from airflow_provider_crm.operators.opportunity import UpdateOpportunityOperator
from airflow_provider_crm.operators.plan import PlanOpportunityUpdatesOperator

from .conftest import NOW

CLOSE = {"id_column": "id", "fields": {"arr": "deal_value"}}


@pytest.fixture
def spans(monkeypatch):
    """Tracing is on for one test; returns what has been exported since the last time, by name."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)

    def exported():
        found = {span.name: span for span in exporter.get_finished_spans()}
        exporter.clear()
        return found

    yield exported
    provider.shutdown()


def parents(found):
    """The parent's name of each span; None for one that has none."""
    names = {span.context.span_id: name for name, span in found.items()}
    return {name: None if span.parent is None else names[span.parent.span_id] for name, span in found.items()}


def test_a_run_is_a_span_with_its_parts(deals, task, spans):
    """The catalogue, the guardrails and the rows are its children, inside the span that is current."""
    data = [{"id": "oppo_0", "arr": 7}, {"id": "oppo_1", "arr": "x"}]
    with trace.get_tracer("test").start_as_current_span("worker.task"):
        run = task(UpdateOpportunityOperator, data=data, guardrails=Guardrails(max_rows=9), max_rejected=1, **CLOSE)
    found = spans()
    assert parents(found) == {
        "worker.task": None,
        "crm.run": "worker.task",
        "crm.catalogue": "crm.run",
        "crm.write": "crm.run",
        "crm.guardrails": "crm.write",
    }
    assert dict(found["crm.run"].attributes) == {
        "crm.run_key": "dag/task/run",
        "crm.vendor": "close",
        "crm.account": run.report["account"],
        "crm.rows": 2,
        "crm.calls": run.report["calls"],
        "crm.waited": 0.0,
        "crm.rows.updated": 1,
        "crm.rows.invalid": 1,
    }


def test_a_plan_has_spans_too(deals, task, spans):
    """Its rows are read in a span of their own; the plan is named on the run's."""
    run = task(PlanOpportunityUpdatesOperator, data=[{"id": "oppo_0", "arr": 7}], **CLOSE)
    found = spans()
    assert parents(found) == {"crm.run": None, "crm.catalogue": "crm.run", "crm.plan": "crm.run"}
    assert found["crm.run"].attributes["crm.plan_id"] == run.report["plan_id"]


def test_a_failed_run_is_an_error(deals, task, spans):
    """The reason is on the span, with what became of the rows."""
    task(UpdateOpportunityOperator, data=[{"id": "oppo_gone", "arr": 7}], **CLOSE)
    run = spans()["crm.run"]
    assert run.status.status_code is StatusCode.ERROR
    assert "oppo_gone" in run.status.description
    assert run.attributes["crm.rows.rejected"] == 1


def test_a_deferred_run_is_no_error(deals, task, spans):
    """Each segment is a run of its own, with the counts up to then."""
    deals.set(close_limit=1, close_window=3600.0)
    deals.clock.set(NOW)  # the window has the whole hour left, whatever hour it is here
    data = [{"id": f"oppo_{number}", "arr": 7} for number in range(2)]
    assert task(UpdateOpportunityOperator, data=data, budget_share=1.0, **CLOSE).deferred is not None
    run = spans()["crm.run"]
    assert (run.status.status_code, run.attributes["crm.rows.updated"]) == (StatusCode.UNSET, 1)


def test_a_breach_is_an_error_of_the_guardrails(deals, task, spans):
    """The span that measured has the message."""
    task(UpdateOpportunityOperator, data=[{"id": "oppo_0", "arr": 7}], guardrails=Guardrails(max_rows=0), **CLOSE)
    found = spans()
    assert "max_rows: 1 rows" in found["crm.guardrails"].status.description


def test_no_span_contains_a_secret_or_a_value(deals, task, spans):
    """Neither the key nor the values of rows are in a trace, whose random ids contain any short number some day."""
    task(UpdateOpportunityOperator, data=[{"id": "oppo_0", "arr": "7731977319.31"}], max_rejected=1, **CLOSE)
    exported = "".join(span.to_json() for span in spans().values())
    assert [word for word in (deals.close.api_key, "7731977319.31", "773197731931") if word in exported] == []


def test_the_number_of_spans_does_not_grow_with_the_rows(deals, task, spans):
    """Three hundred rows make the spans of one."""
    rows = [{"id": f"oppo_{number}", "arr": "x"} for number in range(300)]
    task(UpdateOpportunityOperator, data=rows, **CLOSE)
    assert len(spans()) == 3


def test_nothing_is_recorded_where_tracing_is_off(deals, task):
    """Without a provider the present span is OpenTelemetry's own empty one, and no SDK of it is asked for."""
    assert not isinstance(trace.get_tracer_provider(), TracerProvider)
    seen = []

    class Seen(UpdateOpportunityOperator):
        def session_for(self, account):
            """Look at the span in the middle of the run."""
            seen.append(trace.get_current_span())
            return super().session_for(account)

    assert task(Seen, data=[{"id": "oppo_0", "arr": 7}], **CLOSE).error is None
    assert [span.is_recording() for span in seen] == [False]


def test_a_dag_file_pays_nothing_for_spans():
    """Importing them does not import OpenTelemetry."""
    import subprocess

    code = (
        "import sys, airflow_provider_crm.sync.spans\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
