"""The short text for callbacks and notifiers."""

from __future__ import annotations

from types import SimpleNamespace

import jinja2
from airflow.sdk.exceptions import AirflowTaskTimeout

from airflow_provider_crm.notifications.failure_text import failure_text


def context_of(run, **also):
    """Airflow's context in a callback after the run."""

    def xcom_pull(key):
        return run.xcom.get(key)

    ti = run.context["ti"]
    ti.xcom_pull = xcom_pull
    return {"ti": ti, **also}


def failed(update):
    """A run with one row of each of four reasons, one of them twice."""
    rows = [
        {"id": "oppo_0", "arr": 1},
        {"id": "oppo_gone", "arr": 1},
        {"id": "oppo_1", "arr": "x"},
        {"id": "oppo_2", "arr": float("inf")},
        {"id": None, "arr": 1},
    ]
    return update(rows)


def test_a_callback_without_the_error_reads_the_report(deals, update):
    """A Dag's callback runs elsewhere: the text is made from the report in XCom, task and try first."""
    text = failure_text(context_of(failed(update)))
    assert text.splitlines()[:2] == [
        "dag.task, run run, try 1:",
        "Not every row landed. 5 rows: 1 updated, 3 invalid, 1 rejected.",
    ]
    assert len(text.splitlines()) == 6
    page = "https://airflow.example.com/plugin/crm/crm/task?dag_id=dag&run_id=run&task_id=task&map_index=-1"
    assert text.splitlines()[-1] == page


def test_the_commonest_reasons_of_all_rows_are_in_the_text(deals, update):
    """Not of the first rows only: three reasons with their number of rows and an example, the commonest first."""
    rows = [{"id": f"oppo_inf_{number}", "arr": float("inf")} for number in range(25)]
    rows += [{"id": f"oppo_gone_{number}", "arr": 1} for number in range(30)]
    rows += [{"id": f"oppo_text_{number}", "arr": "x"} for number in range(40)]
    rows += [{"id": None, "arr": 1}]
    _, counts, *reasons, _ = failure_text(context_of(update(rows))).splitlines()
    assert counts == "Not every row landed. 96 rows: 66 invalid, 30 rejected."
    assert [line.split(":")[0] for line in reasons] == [
        "40 invalid NOT_A_NUMBER, such as record 'oppo_text_0'",
        "30 rejected NOT_FOUND, such as record 'oppo_gone_0'",
        "25 invalid NOT_FINITE, such as record 'oppo_inf_0'",
    ]


def test_a_task_callback_gets_the_same_text(deals, update):
    """With the error at hand the text is that of the task's own message."""
    run = failed(update)
    assert failure_text(context_of(run, exception=run.error)) == failure_text(context_of(run))


def test_a_template_calls_it_without_an_argument(deals, update):
    """As a macro it takes the template's own context."""
    context = context_of(failed(update))
    template = jinja2.Environment(autoescape=True).from_string("<pre>{{ failure_text() }}</pre>")
    text = template.render(**context, failure_text=failure_text)
    assert "5 rows: 1 updated, 3 invalid, 1 rejected." in text


def test_a_task_without_a_report_shows_the_error():
    """A timeout or a killed worker leaves no report: the text is the error, or says where to look."""
    ti = SimpleNamespace(dag_id="d", task_id="t", map_index=3, run_id="r", try_number=2, xcom_pull=lambda key: None)
    title = "d.t[3], run r, try 2:\n"
    page = "\nhttps://airflow.example.com/plugin/crm/crm/task?dag_id=d&run_id=r&task_id=t&map_index=3"
    assert failure_text({"ti": ti, "exception": AirflowTaskTimeout()}) == f"{title}AirflowTaskTimeout{page}"
    assert failure_text({"ti": ti}) == f"{title}The task ended before it could report; its log says more.{page}"
