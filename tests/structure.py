"""Print how the package is built: its size, its imports, and what one written row passes through.

    python tests/structure.py

Imports are read from the source: those inside functions and those for annotations count, too. A circle is a set of
files that import each other, directly or by way of others. The chain is the longest way from file to file along
imports; it counts the product, without the sandbox and the demo.

One row is then written to the sandbox by the operator, and every call of a function of the package is watched. The row
enters a module when one of its functions is called with something that holds the row's record id or its amount. It
passes a type when a value of that class (a dataclass or a named tuple) holds one of them.

`BEFORE` has the figures of the layout that had all modules in the root of the package; `LIMITS` is tested.
"""

from __future__ import annotations

import ast
import dataclasses
import os
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import cache
from pathlib import Path
from types import FrameType

NAME = "airflow_provider_crm"
PACKAGE = Path(__file__).parents[1] / NAME
LIMITS = {
    "modules in the root": 8,
    "circles of imports": 0,
    "files in the longest chain of imports": 15,  # one more, as the limit of the day has a pacer of its own
    "files over 300 lines without a reason": 0,
    "functions over 40 lines": 0,
    "types that a row passes": 11,
    "modules that a row enters": 25,  # 20, and those that compare rows, put them together, send them, and renew claims
}
BEFORE = {
    "modules in the root": 63,
    "circles of imports": 5,
    "files in the longest chain of imports": 21,
    "files over 300 lines without a reason": 15,
    "functions over 40 lines": 2,
    "types that a row passes": 14,
    "modules that a row enters": 34,
}
_LONG_FILE, _LONG_FUNCTION = 300, 40
_REASON = "Over 300 lines because"
_RECORD, _AMOUNT = "oppo_traced", "170717.53"
_MARKS = (_RECORD, _AMOUNT, _AMOUNT.replace(".", ""))
_DEPTH = 4


def imports_of(package: Path) -> dict[str, set[str]]:
    """Return for each module, by its dotted name, the modules of the package that it imports."""
    modules = {_name(package, path): path for path in package.rglob("*.py")}
    graph = {}
    for name, path in modules.items():
        targets = {_module(target, modules) for target in _targets(ast.parse(path.read_text(encoding="utf-8")))}
        graph[name] = {target for target in targets if target is not None and target != name}
    return graph


def _name(package: Path, path: Path) -> str:
    parts = path.relative_to(package).with_suffix("").parts
    return ".".join([NAME, *(part for part in parts if part != "__init__")])


def _module(target: str, modules: Mapping[str, Path]) -> str | None:
    """Return the module that a name is in: `a.b.Class` is in `a.b`."""
    parent = target.rpartition(".")[0]
    return target if target in modules else parent if parent in modules else None


def _targets(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def circles(graph: Mapping[str, set[str]]) -> list[set[str]]:
    """Return the sets of modules that import each other."""
    reached = {name: _reachable(graph, name) for name in graph}
    found: list[set[str]] = []
    for name in sorted(graph):
        mates = {other for other in reached[name] if name in reached[other]}
        if len(mates) > 1 and mates not in found:
            found.append(mates)
    return found


def _reachable(graph: Mapping[str, set[str]], start: str) -> set[str]:
    seen: set[str] = set()
    left = [start]
    while left:
        for target in graph[left.pop()] - seen:
            seen.add(target)
            left.append(target)
    return seen


def longest_chain(graph: Mapping[str, set[str]]) -> list[str]:
    """Return the longest way along imports, from the importer down; each circle counts as one file."""
    circle = {name: frozenset(mates) for mates in circles(graph) for name in mates}

    def node(name: str) -> frozenset[str]:
        return circle.get(name, frozenset([name]))

    @cache
    def way(names: frozenset[str]) -> tuple[str, ...]:
        beyond = {node(target) for name in names for target in graph[name]} - {names}
        return (" + ".join(sorted(names)), *max(map(way, beyond), key=len, default=()))

    return list(max((way(node(name)) for name in sorted(graph)), key=len))


def product(graph: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """Return the graph without the sandbox, the demo and what serves tests."""
    apart = tuple(f"{NAME}.{part}" for part in ("sandbox", "demo", "testing"))
    kept = {name for name in graph if not name.startswith(apart)}
    return {name: graph[name] & kept for name in sorted(kept)}


def long_files(package: Path) -> list[str]:
    """Return the files over 300 lines whose docstring gives no reason, as `module (lines)`."""
    found = []
    for path in sorted(package.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if (lines := len(text.splitlines())) > _LONG_FILE and _REASON not in (ast.get_docstring(ast.parse(text)) or ""):
            found.append(f"{_name(package, path)} ({lines})")
    return found


def long_functions(package: Path) -> list[str]:
    """Return the functions whose bodies have over 40 lines, docstrings left out, as `module.function (lines)`."""
    found = []
    for path in sorted(package.rglob("*.py")):
        functions = (
            node
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.FunctionDef) and _lines_of_code(node) > _LONG_FUNCTION
        )
        found += (f"{_name(package, path)}.{node.name} ({_lines_of_code(node)})" for node in functions)
    return found


def _lines_of_code(node: ast.FunctionDef) -> int:
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


class RowTrace:
    """Watches the calls of the package's functions, and notes where one row goes.

    Attributes:
        modules: Modules whose functions were called with the row.
        types: Classes whose values held it.
    """

    def __init__(self) -> None:
        self.modules: set[str] = set()
        self.types: set[str] = set()

    def __call__(self, frame: FrameType, event: str, result: object) -> None:
        """Take an event of `sys.setprofile`."""
        module = frame.f_globals.get("__name__", "")
        if not module.startswith(NAME) or module.startswith((f"{NAME}.sandbox", f"{NAME}.testing")):
            return
        if event == "call":
            code = frame.f_code
            names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
            values = [frame.f_locals[name] for name in names if name in frame.f_locals]
            found = [value for value in values if not _is_service(value) and self._holds(value, _DEPTH)]
            if found:
                self.modules.add(module)
        elif event == "return" and not _is_service(result):
            self._holds(result, _DEPTH)

    def _holds(self, value: object, depth: int) -> bool:
        """Return whether a value holds the record's id or the amount, and note the types of the values that do."""
        if isinstance(value, (str, int, float, Decimal)):
            return any(mark in str(value) for mark in _MARKS)
        if depth == 0:
            return False
        held = [part for part in _parts(value) if self._holds(part, depth - 1)]
        if held and type(value).__module__.startswith(NAME):
            self.types.add(f"{type(value).__module__}.{type(value).__qualname__}")
        return bool(held)


def _is_service(value: object) -> bool:
    """Return whether something is no value: an object that works on rows may hold many of them."""
    ours = type(value).__module__.startswith(NAME)
    return ours and not (dataclasses.is_dataclass(value) or isinstance(value, tuple))


def _parts(value: object) -> list[object]:
    if isinstance(value, Mapping):
        return [*value.keys(), *value.values()]
    if isinstance(value, (list, tuple, set, frozenset)):
        return list(value)
    if type(value).__name__ == "DataFrame":
        return [value[column].tolist() for column in value]  # type: ignore[index, attr-defined]
    if dataclasses.is_dataclass(value) and type(value).__module__.startswith(NAME):
        return [getattr(value, one.name, None) for one in dataclasses.fields(value)]
    return []


def trace_row() -> RowTrace:
    """Write one row to the sandbox's Close by the operator, and return where it went."""
    from airflow_provider_crm.sandbox import Sandbox
    from tests.operators.conftest import Impatient, Run

    trace = RowTrace()
    with tempfile.TemporaryDirectory() as home, Sandbox() as sandbox:
        os.environ["AIRFLOW_HOME"] = home
        os.environ |= {f"AIRFLOW_CONN_{name.upper()}": uri for name, uri in sandbox.connection_uris().items()}
        sandbox.close.add_opportunity(id=_RECORD)
        data = [{"id": _RECORD, "arr": _AMOUNT}]
        operator = Impatient(
            task_id="task", crm_conn_id="close_default", data=data, id_column="id", fields={"arr": "deal_value"}
        )
        sys.setprofile(trace)
        threading.setprofile(trace)
        try:
            run = Run().of(operator.execute)
        finally:
            sys.setprofile(None)
            threading.setprofile(None)
        if run.error is not None:
            raise run.error
        if run.outcomes != {"updated": 1}:
            raise ValueError(run.report)
    return trace


def figures(package: Path = PACKAGE) -> dict[str, list[str]]:
    """Return the entries behind each figure, by its title."""
    graph = imports_of(package)
    trace = trace_row()
    return {
        "modules in the root": sorted(path.stem for path in package.glob("*.py") if path.stem != "__init__"),
        "circles of imports": [", ".join(sorted(mates)) for mates in circles(graph)],
        "files in the longest chain of imports": longest_chain(product(graph)),
        "files over 300 lines without a reason": long_files(package),
        "functions over 40 lines": long_functions(package),
        "types that a row passes": sorted(trace.types),
        "modules that a row enters": sorted(trace.modules),
    }


def main() -> None:
    """Print the import graph and the figures."""
    for name, targets in product(imports_of(PACKAGE)).items():
        print(name, "->", ", ".join(sorted(targets)) or "nothing of the package")
    print()
    for title, found in figures().items():
        before = f", {BEFORE[title]} before" if title in BEFORE else ""
        print(f"{title}: {len(found)} (at most {LIMITS[title]}{before})", *found, sep="\n    ")


if __name__ == "__main__":
    sys.path.insert(0, str(PACKAGE.parent))
    main()
