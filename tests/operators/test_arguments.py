"""Every argument of every operator is checked when the task runs; what is wrong is said in sentences."""

from __future__ import annotations

import inspect
import math
from fractions import Fraction

import numpy as np
import pytest
from airflow.sdk import DAG, BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_crm.guardrails.limits import Guardrails
from airflow_provider_crm.operators.opportunity import UpdateOpportunityOperator
from airflow_provider_crm.operators.plan import PlanOpportunityUpdatesOperator, RevertOpportunityUpdatesOperator
from airflow_provider_crm.transfers.sql_to_opportunity import SqlToOpportunityOperator

OPERATORS = (
    UpdateOpportunityOperator,
    SqlToOpportunityOperator,
    PlanOpportunityUpdatesOperator,
    RevertOpportunityUpdatesOperator,
)
FLAGS = ("dry_run", "verify_echo", "changes_only", "retry_rejected", "capture_before")
GOOD = {"data": [{"id": "oppo_0", "arr": 5}]}
ROWS = {"id_column": "id", "fields": {"arr": "deal_value"}}
QUERY = {"sql": "SELECT 1", "sql_conn_id": "nowhere", **ROWS}


WRONG = (
    ({"max_rejected": 1.0}, "max_rejected is 1.0; write a count such as 10 (a whole number: 1 is one row), or a"),
    ({"max_rejected": math.nan}, "max_rejected is nan; write a count"),
    ({"max_rejected": True}, "max_rejected is True; write a count"),
    ({"max_rejected": "0.1"}, "max_rejected is '0.1'; write a count"),
    ({"max_rejected": None}, "max_rejected is None; write a count"),
    ({"defer_after": None}, "defer_after is None; write seconds as a number from 0 on, such as 60."),
    ({"defer_after": "60"}, "defer_after is '60'; write seconds"),
    ({"defer_after": -1}, "defer_after is -1; write seconds"),
    ({"defer_after": math.nan}, "defer_after is nan; write seconds"),
    ({"defer_after": math.inf}, "defer_after is inf; write seconds"),
    ({"defer_after": True}, "defer_after is True; write seconds"),
    ({"concurrency": True}, "concurrency is True; write a whole number from 1 to 64."),
    ({"concurrency": "4"}, "concurrency is '4'; write a whole number"),
    ({"concurrency": 4.0}, "concurrency is 4.0; write a whole number"),
    ({"upload_after": -1}, "upload_after is -1; write a whole number from 0 on, or None."),
    ({"upload_after": "5"}, "upload_after is '5'; write a whole number from 0 on, or None."),
    ({"budget_share": "0.9"}, "budget_share is '0.9'; write the part"),
    ({"backfill_budget_share": math.nan}, "backfill_budget_share is nan; write the part"),
    ({"id_column": 7}, "id_column is 7; write the name of the column"),
    ({"id_column": ""}, "id_column is ''; write the name of the column"),
    ({"fields": {}}, "fields is empty; write which column goes to which field"),
    ({"fields": ["arr"]}, "fields is ['arr']; write which column goes to which field"),
    ({"fields": {"arr": 1}}, "fields has 'arr': 1; write a column name and a field name, both as text."),
    ({"nulls": ["skip"]}, "nulls is ['skip']; write one of skip, clear, error"),
    ({"nulls": {"arr": 1}}, "nulls of column 'arr' is 1; write one of skip, clear, error."),
    ({"rounding": ["half-up"]}, "rounding is ['half-up']; write a way to round"),
    ({"on_duplicate": None}, "on_duplicate is None; write 'error' or 'last'."),
    ({"timezone": 3600}, "timezone is 3600; write an IANA zone"),
    ({"timezone": "None"}, "timezone is 'None'; write an IANA zone"),
    ({"guardrails": {"max_rows": 5}}, "guardrails is {'max_rows': 5}; write limits such as Guardrails("),
    ({"guardrails": Guardrails(max_rows="5")}, "guardrails: max_rows is '5'; write a number from 0 on."),
    ({"rejects_path": 5}, "rejects_path is 5; write a path as text"),
    ({"date_won_default": ["server"]}, "date_won_default is ['server']; write 'server' or 'as_of'"),
    ({"ledger_conn_id": ""}, "ledger_conn_id is ''; write the id of a connection"),
    (
        {"crm_conn_id": None},
        "crm_conn_id is None; write the id of a connection of type close, raze, hubspot or crm_salesforce.",
    ),
    ({"on_conflict": []}, "on_conflict is []; write one of fail, skip, overwrite."),
    ({"plan": ""}, "plan is ''; write the id of a plan"),
    ({"plan": 5}, "plan is 5; write the id of a plan"),
)
WRONG_QUERIES = (
    ({"sql": ["SELECT 1", "SELECT 2"]}, "sql is ['SELECT 1', 'SELECT 2']; write one query as text."),
    ({"sql": ""}, "sql is ''; write one query as text."),
    ({"sql_conn_id": None}, "sql_conn_id is None; write the id of a connection to a database."),
    ({"parameters": "2026-03-01"}, "parameters is '2026-03-01'; write a list of values, or a dict"),
    ({"chunk_rows": 0}, "chunk_rows is 0; write a whole number from 1 on."),
    ({"chunk_rows": None}, "chunk_rows is None; write a whole number from 1 on."),
)


@pytest.fixture
def refused(crm_sandbox, task):
    """Run an operator; return the sentence of its permanent failure, which comes before any call."""

    def run(kind=UpdateOpportunityOperator, **arguments):
        result = task(kind, **arguments)
        assert type(result.error) is AirflowFailException, repr(result.error)
        assert crm_sandbox.audit.calls == []
        return str(result.error)

    return run


@pytest.mark.parametrize("kind", OPERATORS)
def test_every_argument_has_a_check(kind):
    """No argument can be added to an operator without saying what it takes."""
    own = {
        name
        for one in kind.__mro__
        if issubclass(one, BaseOperator)
        and one is not BaseOperator
        and one.__module__.startswith("airflow_provider_crm")
        for name, parameter in inspect.signature(one.__init__).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and name not in inspect.signature(BaseOperator).parameters
    }
    operator = kind.__new__(kind)
    assert set(operator.argument_checks()) == own


@pytest.mark.parametrize("any_database", ["sqlite"], indirect=True)
def test_a_flag_takes_only_booleans(refused):
    """Text is true in Python, and so a dry run for ever: whatever is neither True nor False is refused."""
    for value in ("", "no", "yes", "1", "None", "{{ params.flag }}", 0, 1, None, np.True_, [], "FALSE"):
        message = refused(**GOOD, **ROWS, **dict.fromkeys(FLAGS, value))
        for name in FLAGS:
            advice = f"True or False, or a template that renders to one of them, such as '{{{{ params.{name} }}}}'"
            assert f"{name} is {value!r}; write {advice}." in message


@pytest.mark.parametrize("any_database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("native", [False, True])
def test_a_flag_can_come_from_params(deals, task, native):
    """`dry_run="{{ params.dry_run }}"` does what the param says, rendered to text or to a native object."""
    with DAG("dag", schedule=None, render_template_as_native_obj=native) as dag:
        operator = UpdateOpportunityOperator(
            task_id="task", crm_conn_id="close_default", dry_run="{{ params.dry_run }}", **GOOD, **ROWS
        )
    for given, word in ((True, "not_sent"), ("true", "not_sent"), (False, "updated"), ("false", "unchanged")):
        copy = operator.prepare_for_execution()
        copy.render_template_fields({"params": {"dry_run": given}, "task": copy}, dag.get_template_env())
        assert task(UpdateOpportunityOperator, **GOOD, **ROWS, dry_run=copy.dry_run).outcomes == {word: 1}


@pytest.mark.parametrize("any_database", ["sqlite"], indirect=True)
def test_an_argument_of_a_wrong_type_is_a_sentence(refused):
    """No TypeError, whatever stands where a number, a word, a name or a mapping belongs."""
    for argument, start in WRONG:
        assert refused(**{**GOOD, **ROWS, **argument}).startswith(start)


@pytest.mark.parametrize("any_database", ["sqlite"], indirect=True)
def test_the_arguments_of_a_query_are_checked_as_well(refused):
    """The query's own arguments, before its connection is looked at."""
    for argument, start in WRONG_QUERIES:
        assert refused(SqlToOpportunityOperator, **{**QUERY, **argument}).startswith(start)


@pytest.mark.parametrize("any_database", ["sqlite"], indirect=True)
def test_the_arguments_of_a_plan_and_of_an_undo_are_checked_as_well(refused):
    """Both the arguments that all operators share, and their own."""
    operator = PlanOpportunityUpdatesOperator(task_id="plan", crm_conn_id="close_default", as_of=5, **GOOD, **ROWS)
    with pytest.raises(AirflowFailException, match=r"as_of is 5; write the name of the column with the data time, or"):
        operator.read_arguments()
    message = refused(PlanOpportunityUpdatesOperator, **GOOD, **ROWS, dry_run="no")
    assert message.startswith("dry_run is 'no'; write True or False")
    message = refused(RevertOpportunityUpdatesOperator, run_key="dag/task/run", plan_only="plan")
    assert message.startswith("plan_only is 'plan'; write True or False")
    assert refused(RevertOpportunityUpdatesOperator, run_key=None).startswith(
        "run_key is None; write the key of the run"
    )


@pytest.mark.parametrize("any_database", ["sqlite"], indirect=True)
def test_all_wrong_arguments_are_named_at_once(refused):
    """Three mistakes make three sentences, in one try."""
    message = refused(**GOOD, **ROWS, dry_run="no", defer_after="60", concurrency=0)
    assert all(f"{name} is " in message for name in ("dry_run", "defer_after", "concurrency"))


@pytest.mark.parametrize("any_database", ["sqlite"], indirect=True)
def test_an_optional_argument_may_render_to_nothing(deals, task):
    """A template such as `{{ params.zone or '' }}` renders to an empty text: the argument is left out."""
    empty = dict.fromkeys(("timezone", "rejects_path", "date_won_default"), "")
    operator = UpdateOpportunityOperator(task_id="task", crm_conn_id="close_default", as_of="", **GOOD, **ROWS)
    assert task(UpdateOpportunityOperator, **GOOD, **ROWS, **empty).outcomes == {"updated": 1}
    operator.read_arguments()
    assert operator.as_of is None


@pytest.mark.parametrize("any_database", ["sqlite"], indirect=True)
def test_numbers_of_other_libraries_are_numbers(deals, task):
    """Numbers of numpy and fractions are accepted where such a number is allowed."""
    for name, value in (
        ("max_rejected", np.int64(1)),
        ("max_rejected", np.float32(0.5)),
        ("max_rejected", Fraction(1, 2)),
        ("concurrency", np.int32(4)),
        ("defer_after", np.float64(1.5)),
        ("defer_after", 0),
    ):
        assert task(UpdateOpportunityOperator, **GOOD, **ROWS, **{name: value}).error is None
