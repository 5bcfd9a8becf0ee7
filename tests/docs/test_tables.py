"""Tables of the pages list what the code has: arguments, options, metrics, outcomes and the rest."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re

import pytest

from airflow_provider_crm import exceptions
from airflow_provider_crm.budget.usage import BudgetUse, GroupUse
from airflow_provider_crm.database.schema import VERSION
from airflow_provider_crm.guardrails import Guardrails
from airflow_provider_crm.hooks.crm import CrmHook
from airflow_provider_crm.operators.opportunity import UpdateOpportunityOperator
from airflow_provider_crm.operators.opportunity_operator import OpportunityOperator
from airflow_provider_crm.plan.plan_row import PlanVerdict
from airflow_provider_crm.report.report import SyncReport
from airflow_provider_crm.sandbox import Sandbox
from airflow_provider_crm.transfers.sql_to_opportunity import SqlToOpportunityOperator
from airflow_provider_crm.values.opportunity import OutcomeWord
from airflow_provider_crm.vendors import VENDORS
from airflow_provider_crm.vendors.credentials import COMMON_EXTRA
from tests.docs.generated import generated_pages, renewed
from tests.docs.pages import DOCS, ROOT, blocks_of, first_cells, section, text_of

PACKAGE = ROOT / "airflow_provider_crm"
OWN_VENDORS = ("close", "hubspot", "raze", "salesforce")
CANONICAL = {"deal_value", "deal_currency", "stage", "date_won", "notes", "responsible_user_id"}


def parameters(function):
    """Return the named parameters of a function, with their defaults."""
    found = inspect.signature(function).parameters.values()
    return {one.name: one.default for one in found if one.kind is one.KEYWORD_ONLY}


@pytest.mark.parametrize("page", generated_pages(), ids=lambda page: page.name)
def test_generated_parts_are_up_to_date(page):
    """Nothing that a page takes from the code has changed since: else run `python -m tests.docs.generated`."""
    text = page.read_text(encoding="utf-8")
    assert renewed(text) == text


def test_all_arguments_of_operators_are_listed():
    """The tables have each argument once, and no other."""
    wanted = [
        *parameters(SqlToOpportunityOperator.__init__),
        *(name for name in parameters(UpdateOpportunityOperator.__init__) if name not in ("id_column", "fields")),
        *parameters(OpportunityOperator.__init__),
    ]
    assert first_cells(section(text_of("operators.md"), "Arguments")) == wanted


def test_defaults_of_operators_are_true():
    """A default that is a number, a text or a flag stands in the table as the code has it."""
    rows = re.findall(r"^\| `(\w+)` \|.*\| ([^|]*) \|$", section(text_of("operators.md"), "Arguments"), re.MULTILINE)
    defaults = parameters(SqlToOpportunityOperator.__init__) | parameters(OpportunityOperator.__init__)
    for name, shown in rows:
        default = defaults.get(name)
        if isinstance(default, (bool, int, float)) or (isinstance(default, str) and name in ("nulls", "rounding")):
            assert ast.literal_eval(shown.strip("`")) == default, name


def test_arguments_of_hooks_are_listed():
    """The page about rate limits has each argument of hooks for their part of the budget."""
    cells = first_cells(section(text_of("rate-limits.md"), "Scripts and notebooks"))
    assert set(cells) == {*parameters(CrmHook.__init__)}


def test_outcomes_are_listed():
    """The table has each word, in the order of the code."""
    assert first_cells(text_of("outcomes.md").partition("## The report")[0]) == [word.value for word in OutcomeWord]


def test_the_report_is_shown_with_all_its_keys():
    """The example of a report has the keys of the code, at every level."""
    (shown,) = [block.code for block in blocks_of(DOCS / "outcomes.md") if block.code.startswith('{\n    "run_key"')]
    report = eval(shown, {"__builtins__": {}})
    assert list(report) == [one.name for one in dataclasses.fields(SyncReport)]
    assert list(report["budget"]) == [one.name for one in dataclasses.fields(BudgetUse)]
    assert sorted(report["budget"]["groups"][0]) == sorted(one.name for one in dataclasses.fields(GroupUse))


def test_guardrails_are_listed():
    """The table has each limit, in the order of the code."""
    names = [one.name for one in dataclasses.fields(Guardrails)]
    assert first_cells(section(text_of("plans.md"), "Guardrails")) == names


def test_verdicts_of_plans_are_listed():
    """The table has each verdict."""
    assert set(first_cells(section(text_of("plans.md"), "Plan"))) == {verdict.value for verdict in PlanVerdict}


def named_in(path, function):
    """Return the names that are passed first to a function in a file, with `<outcome>` for what is filled in."""
    for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(call, ast.Call) and ast.unparse(call.func) in function:
            name = call.args[0]
            parts = name.values if isinstance(name, ast.JoinedStr) else [name]
            yield "".join(part.value if isinstance(part, ast.Constant) else "<outcome>" for part in parts)


def test_metrics_are_listed():
    """The table has each metric that the code records."""
    recorded = set(named_in(PACKAGE / "sync" / "metrics.py", ("stats.incr", "stats.gauge", "stats.timing")))
    assert set(first_cells(section(text_of("observability.md"), "Metrics"))) == recorded


def test_spans_are_listed():
    """The table has each span that the code opens."""
    opened = {name for path in PACKAGE.rglob("*.py") for name in named_in(path, ("span", "spans.span"))}
    assert set(first_cells(section(text_of("observability.md"), "Traces"))) == opened


def test_fields_of_connections_are_listed():
    """The table has each key of the extra that all vendors have."""
    cells = first_cells(section(text_of("connections.md"), "Fields of a connection"))
    assert cells == list(COMMON_EXTRA)


@pytest.mark.parametrize("name", OWN_VENDORS)
def test_a_vendors_page_names_what_the_vendor_has(name):
    """It has each key of the extra, each documented field, and the canonical fields in a table."""
    text = text_of(f"{name}.md")
    code = " ".join(re.findall(r"`([^`\n]+)`", text))
    named = set(re.findall(r"[\w.]+", code)) | set(re.findall(r'"(\w+)":', text))
    vendor = VENDORS[{"salesforce": "crm_salesforce"}.get(name, name)]
    assert {*vendor.extra} - named - {"access_token"} == set()
    if name != "hubspot":  # its properties are the portal's
        assert {field.name for field in vendor.documented_fields} - named == set()
    assert set(first_cells(section(text, "Fields"))) >= CANONICAL


def test_canonical_fields_are_listed():
    """The table has each canonical field, and what Close and HubSpot make of it."""
    table = section(text_of("fields.md"), "Canonical fields")
    assert first_cells(table) == ["both_crms", *CANONICAL] or set(first_cells(table)) == CANONICAL
    for name, column in (("close", 3), ("hubspot", 4), ("raze", 5)):
        targets = {field.name: field.target for field in VENDORS[name].documented_fields}
        for row in re.findall(r"^\| `.*$", table, re.MULTILINE):
            cells = [cell.strip() for cell in row.split("|")]
            if cells[column].startswith("`"):
                assert targets[cells[1].strip("`")] == cells[column].strip("`")


def test_errors_are_listed():
    """The table of what ends a run has each error that decides about it, and no other."""
    rows = section(text_of("design.md"), "How a run stops")
    named = set(re.findall(r"`(\w+Error)`", rows))
    known = {name for name, value in vars(exceptions).items() if inspect.isclass(value) and name.endswith("Error")}
    assert named <= known
    assert known - named <= {"CrmError", "TransientError", "UnknownFieldError"}


def test_parts_of_the_package_are_listed():
    """The tree has each folder and each module at the top of the package."""
    parts = {path.name.removesuffix(".py") for path in PACKAGE.iterdir() if not path.name.startswith(("_", "py.typed"))}
    named = set(re.findall(r"[\w]+(?=\.py|/)", section(text_of("design.md"), "Parts")))
    assert parts - named == set()


def test_versions_of_the_tables_are_listed():
    """The page about upgrades names the present version, and the changes of each."""
    text = section(text_of("upgrading.md"), "Upgrade a ledger")
    assert f"This package has version {VERSION} of the tables." in text
    assert re.findall(r"^\| (\d+) \|", text, re.MULTILINE) == [str(number) for number in range(2, VERSION + 1)]


def test_example_dags_are_listed():
    """The page about the demo names each example, by its id and its file."""
    files = (ROOT / "example_dags").rglob("*.py")
    texts = {f"../{path.relative_to(ROOT)}": path.read_text(encoding="utf-8") for path in files}
    ids = {(re.search(r"dag_id=\"(\w+)\"", text)[1], name) for name, text in texts.items()}
    table = section(text_of("demo.md"), "The example DAGs")
    assert set(re.findall(r"^\| \[`(\w+)`\]\(([^)]+)\)", table, re.MULTILINE)) == ids


def test_members_of_the_fixture_are_there():
    """What the page about tests says of `crm_sandbox` is there."""
    named = re.findall(r"`(?:crm_sandbox)?\.(\w+)", section(text_of("testing.md"), "In pytest"))
    with Sandbox() as sandbox:
        assert [name for name in named if not hasattr(sandbox, name) and name != "set"] == []
