"""Imports point one way, no two files import each other, and heavy libraries stay where they are needed."""

from __future__ import annotations

import ast
import functools
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest

import airflow_provider_crm
from tests.structure import LIMITS, circles, imports_of, long_files, long_functions, longest_chain, product

PACKAGE = Path(airflow_provider_crm.__file__).parent
NAME = "airflow_provider_crm"
EVERYWHERE = {"exceptions", "clock"}
"""What all parts may import."""
ARROWS = {
    "exceptions": set(),
    "clock": set(),
    "values": set(),
    "database": set(),
    "vendors": {"values"},
    "rows": {"values"},
    "ledger": {"values", "database"},
    "budget": {"vendors", "database"},
    "client": {"values", "vendors", "budget", "database"},
    "report": {"values", "budget"},
    "push": {"values", "vendors", "ledger", "client"},
    "plan": {"values", "vendors", "database", "ledger", "client", "push"},
    "guardrails": {"values", "vendors", "ledger", "push", "plan", "report"},
    "hooks": {"values", "vendors", "database", "budget", "client", "push"},
    "sync": {
        *("values", "vendors", "rows", "ledger", "budget"),
        *("push", "plan", "report", "guardrails", "hooks"),
    },
    "assets": set(),
    "openlineage": {"values"},
    "notifications": {"values", "database", "report", "hooks", "sync"},
    "operators": {"values", "rows", "hooks", "sync", "assets", "openlineage"},
    "transfers": {"rows", "hooks", "sync", "operators"},
    "queries": {"values", "vendors", "database", "budget", "report", "plan", "hooks"},
    "ui": {"values", "vendors", "report", "plan", "hooks", "queries"},
    "commands": {"vendors", "database", "ledger", "client", "plan", "hooks", "queries", "provider_info"},
    "cli": set(),
    "provider_info": {"vendors"},
    "sandbox": set(),
    "testing": {"values", "vendors", "client", "push", "hooks", "sandbox"},
    "demo": {"sandbox"},
}
"""What each part of the package may import of it, for annotations, too, beside `EVERYWHERE`."""
LIBRARIES = {
    "airflow": {
        *(
            "cli",
            "commands",
            "hooks",
            "sync",
            "operators",
            "transfers",
            "notifications",
            "ui",
            "openlineage",
            "assets",
            "demo",
        ),
        *("report", "queries"),
    },
    "pandas": {"rows", "hooks", "report"},
    "numpy": {"rows"},
    "pyarrow": {"rows", "report", "values"},
    "requests": {"client"},
    "urllib3": {"client"},
    "fastapi": {"ui"},
    "starlette": {"ui"},
    "uvicorn": {"sandbox"},
    "jinja2": {"ui", "notifications"},
    "sqlalchemy": {"notifications", "database", "ledger", "budget", "client", "plan", "queries", "commands"},
    "alembic": {"database"},
    "pytest": {"testing"},
    "rich": {"demo"},
}
"""The parts that may import a library."""
HEAVY = ("pandas", "numpy", "pyarrow", "requests", "urllib3", "fastapi", "sqlalchemy", "alembic")


class Import(NamedTuple):
    """One import: who, what, in which function, and whether only for annotations."""

    path: str
    part: str
    target: str
    function: str
    annotations_only: bool


class Reader(ast.NodeVisitor):
    """Collects the imports of one file."""

    def __init__(self, path):
        self.path = path
        self.found = []
        self.functions = [""]
        self.annotations_only = False

    def visit_FunctionDef(self, node):
        """Note which function an import is in."""
        self.functions.append(node.name)
        self.generic_visit(node)
        self.functions.pop()

    def visit_If(self, node):
        """Note which imports are for annotations only."""
        before = self.annotations_only
        self.annotations_only |= ast.unparse(node.test) == "TYPE_CHECKING"
        for child in node.body:
            self.visit(child)
        self.annotations_only = before
        for child in node.orelse:
            self.visit(child)

    def visit_Import(self, node):
        """`import a.b`."""
        for alias in node.names:
            self.note(alias.name)

    def visit_ImportFrom(self, node):
        """`from a import b`: of the package itself, b may be a module."""
        assert node.level == 0, f"{self.path} has a relative import"
        for alias in node.names if node.module == NAME else [None]:
            self.note(node.module if alias is None else f"{NAME}.{alias.name}")

    def note(self, target):
        """Keep one import."""
        relative = self.path.relative_to(PACKAGE)
        part = relative.parts[0].removesuffix(".py")
        self.found.append(Import(str(relative), part, target, self.functions[-1], self.annotations_only))


def imports():
    """All imports of the package."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        reader = Reader(path)
        reader.visit(ast.parse(path.read_text(encoding="utf-8")))
        found += reader.found
    return found


IMPORTS = imports()
OWN = [one for one in IMPORTS if one.target.startswith(f"{NAME}.") and one.target != f"{NAME}.__version__"]


def part_of(target):
    """The part of the package that a target belongs to."""
    return target.split(".")[1]


def test_every_part_has_its_place():
    """Each module and folder of the package is among the arrows."""
    parts = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in PACKAGE.rglob("*.py")}
    assert parts - {"__init__"} == ARROWS.keys()


@pytest.mark.parametrize("part", ARROWS)
def test_imports_follow_the_arrows(part):
    """A part imports what it may; each permission is used, so that none is left over."""
    used = {part_of(one.target) for one in OWN if one.part == part} - {part}
    assert used - EVERYWHERE == ARROWS[part]


def test_the_arrows_have_no_circle():
    """No part can be reached from itself."""
    graph = {part: targets | (EVERYWHERE & ARROWS.keys()) - {part} for part, targets in ARROWS.items()}
    assert circles({**graph, "exceptions": set(), "clock": set()}) == []


GRAPH = imports_of(PACKAGE)
STRUCTURE = {
    "modules in the root": [path.stem for path in PACKAGE.glob("*.py") if path.stem != "__init__"],
    "circles of imports": circles(GRAPH),
    "files in the longest chain of imports": longest_chain(product(GRAPH)),
    "files over 300 lines without a reason": long_files(PACKAGE),
    "functions over 40 lines": long_functions(PACKAGE),
}


@pytest.mark.parametrize("figure", STRUCTURE)
def test_the_structure_keeps_its_limits(figure):
    """No file imports itself by way of others, chains are short, files and functions, too."""
    assert len(STRUCTURE[figure]) <= LIMITS[figure], STRUCTURE[figure]


def test_no_two_classes_share_a_name():
    """A name stands for one class of the package, private ones included; classes within functions are left out."""
    names = Counter(
        statement.name.lstrip("_")
        for path in PACKAGE.rglob("*.py")
        for statement in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(statement, ast.ClassDef)
    )
    assert [name for name, count in names.items() if count > 1] == []


def test_a_row_passes_few_types_and_modules():
    """One row, traced from the frame to the wire and back, is held by few types and enters few modules."""
    code = """
import json
from tests.structure import trace_row
trace = trace_row()
print(json.dumps({"types that a row passes": sorted(trace.types), "modules that a row enters": sorted(trace.modules)}))
"""
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, cwd=PACKAGE.parent, capture_output=True, text=True, check=True)
    traced = json.loads(done.stdout.splitlines()[-1])
    assert {title: found for title, found in traced.items() if len(found) > LIMITS[title]} == {}


def test_the_sandbox_stands_alone():
    """The sandbox imports nothing of the package, so it cannot share its bugs."""
    assert [one for one in OWN if one.part == "sandbox" and part_of(one.target) != "sandbox"] == []


def test_nothing_of_the_product_needs_sandbox_or_demo():
    """Only the demo and what serves tests use the sandbox, and nothing uses those."""
    apart = {"sandbox", "demo", "testing"}
    assert [one for one in OWN if part_of(one.target) in apart and one.part not in apart] == []


def test_provider_info_knows_only_the_vendors():
    """What Airflow reads in every process imports the list of vendors and nothing else of the package."""
    assert {part_of(one.target) for one in OWN if one.part == "provider_info"} == {"vendors"}


def test_the_package_itself_imports_nothing():
    """`import airflow_provider_crm` costs nothing: Airflow's discovery does it everywhere."""
    assert [one for one in IMPORTS if one.path == "__init__.py" and one.target != "__future__"] == []


@pytest.mark.parametrize(("library", "parts"), LIBRARIES.items())
def test_libraries_stay_in_their_place(library, parts):
    """Only the parts that are named know a library; imports for annotations cost nothing and do not count."""
    users = {one.part for one in IMPORTS if one.target.split(".")[0] == library and not one.annotations_only}
    assert users == parts


def test_a_report_knows_airflow_only_where_it_reads_the_rejects_file():
    """The file may be on any object store, which Airflow opens with its own connections."""
    users = [one for one in IMPORTS if one.part == "report" and one.target.startswith("airflow.")]
    assert {(one.target, one.function) for one in users} == {("airflow.sdk", "_rejects_on_file")}


def test_only_get_df_of_the_hooks_makes_frames():
    """A hook imports pandas inside `get_df`, where the user asked for it."""
    users = [one for one in IMPORTS if one.part == "hooks" and one.target == "pandas" and not one.annotations_only]
    assert {one.function for one in users} == {"get_df"}


@functools.cache
def modules(before, after):
    """The modules that a fresh interpreter has loaded by `after` beyond those of `before`."""
    code = f"""
import sys, json
{before}
known = set(sys.modules)
{after}
print(json.dumps(sorted(set(sys.modules) - known)))
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def loaded(before, after):
    """The libraries of those modules."""
    return {name.partition(".")[0] for name in modules(before, after)}


SDK = "import airflow.sdk; airflow.sdk.DAG, airflow.sdk.BaseOperator"
OPERATORS = f"from {NAME}.operators import opportunity, plan; from {NAME}.transfers import sql_to_opportunity"


def test_a_dag_file_pays_for_nothing_heavy():
    """Importing the operators loads no library that Airflow's own SDK had not loaded already."""
    found = loaded(SDK, OPERATORS)
    assert NAME in found
    assert [name for name in HEAVY if name in found] == []


def test_a_dag_file_pays_for_arguments_only():
    """What reads, writes and reports rows is loaded by a task that runs: a DAG file is parsed all the time."""
    found = modules(SDK, OPERATORS)
    own = {name.removeprefix(f"{NAME}.") for name in found if name.startswith(f"{NAME}.")}
    operators = {"segmented_operator", "opportunity_operator", "source_data", "opportunity", "plan", "links"}
    assert {f"operators.{name}" for name in operators} < own
    assert own <= {
        *("exceptions", "hooks", "hooks.ledger", "hooks.page"),
        *("operators", "transfers", "transfers.sql_to_opportunity"),
        *(f"operators.{name}" for name in operators),
    }


def test_a_task_does_not_pay_for_the_pages():
    """Every process of Airflow imports the plugin: that loads neither the server nor the ledger's tables."""
    found = loaded("import airflow.sdk.plugins_manager", f"from {NAME}.ui import plugin; plugin.CrmPlugin")
    assert NAME in found
    assert [name for name in (*HEAVY, "starlette", "jinja2") if name in found] == []


def test_only_the_pages_know_the_api_server():
    """Airflow's API server is the pages' business alone."""
    users = [one for one in IMPORTS if one.target.startswith("airflow.api_fastapi")]
    assert {one.part for one in users} == {"ui"}


def test_discovery_pays_for_nothing_heavy():
    """Making the provider info loads no library at all that costs time, Airflow included."""
    found = loaded("", f"from {NAME}.provider_info import get_provider_info; get_provider_info()")
    assert NAME in found
    assert [name for name in (*HEAVY, "airflow") if name in found] == []
