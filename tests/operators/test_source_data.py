"""Rows as an argument: every operator reads the same kinds, and Airflow is shown what they are and no value."""

from __future__ import annotations

import ast
import inspect
import textwrap

import pandas as pd
import pyarrow as pa
import pytest
from airflow.sdk import DAG, task
from airflow.sdk.execution_time.task_runner import _serialize_rendered_fields
from airflow.serialization.helpers import serialize_template_field

from airflow_provider_crm.operators.opportunity import UpdateOpportunityOperator
from airflow_provider_crm.operators.opportunity_operator import OpportunityOperator
from airflow_provider_crm.operators.plan import PlanOpportunityUpdatesOperator, RevertOpportunityUpdatesOperator
from airflow_provider_crm.operators.source_data import SourceData, as_source_data
from airflow_provider_crm.transfers.sql_to_opportunity import SqlToOpportunityOperator

ROWS = {"id_column": "id", "fields": {"arr": "deal_value"}, "crm_conn_id": "close_default"}
WITH_DATA = (UpdateOpportunityOperator, PlanOpportunityUpdatesOperator)


@pytest.mark.parametrize("any_database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("kind", WITH_DATA)
def test_each_operator_reads_paths_on_any_store(deals, task, tmp_path, kind):
    """A URL is read by the object store of its scheme, by the plan as by the update; a missing file is named."""
    (tmp_path / "deals.csv").write_text("id,arr\noppo_0,5\n")
    arguments = {"id_column": "id", "fields": {"arr": "deal_value"}}
    for prefix in ("", "file://"):
        done = task(kind, data=f"{prefix}{tmp_path}/deals.csv", **arguments)
        assert (done.error, done.report["rows"]) == (None, 1)
    missing = f"file://{tmp_path}/none.csv"
    assert str(task(kind, data=missing, **arguments).error) == f"There is no file {missing!r}."
    assert str(task(kind, data="nowhere://deals.csv", **arguments).error) == (
        "The path 'nowhere://deals.csv' cannot be opened: Unsupported filesystem: 'nowhere'."
    )


@pytest.mark.parametrize(
    ("rows", "shown"),
    [
        ([{"id": "oppo_0", "arr": "S3CRET"}] * 2, "list, 2 rows, columns: id, arr"),
        (({"id": "S3CRET"},), "tuple, 1 row, columns: id"),
        (pd.DataFrame({"id": ["S3CRET"] * 3, "arr": [1, 2, 3]}), "DataFrame, 3 rows, columns: id, arr"),
        (pd.DataFrame({"resolve": ["S3CRET"]}), "DataFrame, 1 row, columns: resolve"),
        (pa.table({"id": ["S3CRET"]}), "Table, 1 row, columns: id"),
        (iter([{"id": "S3CRET"}]), "list_iterator"),
        ("[{'id': 'S3CRET'}]", "text of 18 characters that looks like rows"),
        ([{f"c{number}": "S3CRET" for number in range(60)}], None),
    ],
    ids=["list", "tuple", "frame", "frame with a column resolve", "Arrow", "generator", "text", "many columns"],
)
def test_what_airflow_stores_says_what_the_rows_are(rows, shown):
    """The rendered field is kind, size and columns; no value, whichever kind of rows it is."""
    operator = UpdateOpportunityOperator(task_id="task", data=None, **ROWS)
    operator.data = as_source_data(rows, rendered=True)
    stored = _serialize_rendered_fields(operator)["data"]
    assert "S3CRET" not in f"{stored}{operator.data}{operator.data!r}"
    assert stored == (shown or f"list, 1 row, columns: {', '.join(f'c{number}' for number in range(50))} and 10 more")


def test_a_frame_in_a_dag_file_does_not_stand_in_the_serialized_dag():
    """Of a frame that a DAG file makes, Airflow's serialized DAG has the same summary."""
    operator = UpdateOpportunityOperator(task_id="task", data=pd.DataFrame({"id": ["S3CRET"]}), **ROWS)
    assert serialize_template_field(operator.data, "data") == "DataFrame, 1 row, columns: id"


@pytest.mark.parametrize("kind", WITH_DATA)
def test_outputs_of_other_tasks_stay_upstream(kind):
    """`data` is a template field still: another task's output, also inside a list, makes that task an upstream one."""
    with DAG("dag", schedule=None):

        @task
        def rows():
            return []

        whole, inside = rows(), rows.override(task_id="other")()
        one = kind(task_id="one", data=whole, **ROWS)
        two = kind(task_id="two", data=[{"id": "x", "arr": inside}], **ROWS)
    assert (one.upstream_task_ids, two.upstream_task_ids) == ({"rows"}, {"other"})


def test_templates_in_a_list_are_rendered_and_rows_of_a_task_are_not():
    """Text of the DAG file is a template; text from elsewhere never is."""
    operator = UpdateOpportunityOperator(task_id="task", data=[{"id": "{{ 6 * 7 }}"}], **ROWS)
    operator.render_template_fields({"task": operator})
    assert isinstance(operator.data, SourceData)
    assert operator.data.value == [{"id": "42"}]
    operator.data = SourceData([{"id": "{{ 6 * 7 }}"}])
    operator.render_template_fields({"task": operator})
    assert operator.data.value == [{"id": "{{ 6 * 7 }}"}]


@pytest.mark.parametrize(
    "kind", [OpportunityOperator, *WITH_DATA, RevertOpportunityUpdatesOperator, SqlToOpportunityOperator]
)
def test_init_only_assigns(kind):
    """No logic on arguments in `__init__`: what is a template there is a value only when the task runs."""
    (made,) = ast.parse(textwrap.dedent(inspect.getsource(kind.__init__))).body
    allowed = {"as_source_data", "super", "__init__"}
    for statement in made.body:
        assert isinstance(statement, (ast.Assign, ast.AnnAssign, ast.Expr)), ast.unparse(statement)
        calls = [node.func for node in ast.walk(statement) if isinstance(node, ast.Call)]
        assert {getattr(call, "id", getattr(call, "attr", None)) for call in calls} <= allowed
        assert not any(isinstance(node, (ast.BoolOp, ast.UnaryOp, ast.IfExp)) for node in ast.walk(statement))
