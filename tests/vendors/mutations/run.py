"""Put faults into vendors and uploads, one at a time, and run the tests that have to find them.

`python -m tests.vendors.mutations.run PART PARTS` tries every PARTS-th fault from the one numbered PART, and prints a
line of JSON for each; a third argument chooses those whose tests have it in their name, such as `uploads`. What all of
them need is imported once; each fault gets a forked process of its own, into which the faulty module is loaded before
anything else of the vendors.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import json
import os
import sys
import tempfile
from pathlib import Path

import pytest

from tests.vendors.mutations.table import MUTATED

ROOT = Path(__file__).parents[3]
NEEDED = (
    "airflow.sdk", "pandas", "requests", "uvicorn", "airflow_provider_crm.push.run", "airflow_provider_crm.hooks.crm",
    "airflow_provider_crm.sandbox.loopback", "airflow_provider_crm.testing.contract",
)  # fmt: skip
PYTEST = ("-q", "-x", "--tb=line", "-p", "no:cacheprovider", "-W", "ignore")
OF_CONTRACT = ("--noconftest",)
WITH_FIXTURES = ("-p", "airflow_provider_crm.testing.pytest_plugin")
SOUND = ("test_protocol", "test_probe", "test_value_arrives", "test_undo", "test_every_status")
KILLED = pytest.ExitCode.TESTS_FAILED


class FaultyModule(importlib.abc.Loader, importlib.abc.MetaPathFinder):
    """Loads one module from another source than its file's."""

    def __init__(self, mutant):
        self.mutant = mutant

    def find_spec(self, fullname, path=None, target=None):
        """Find the faulty module only."""
        if fullname != self.mutant.module:
            return None
        return importlib.machinery.ModuleSpec(fullname, self, origin=str(ROOT / self.mutant.path))

    def create_module(self, spec):
        """Leave that to Python."""

    def exec_module(self, module):
        """Run the faulty source."""
        path = ROOT / self.mutant.path
        exec(compile(self.mutant.applied(path.read_text(encoding="utf-8")), str(path), "exec"), module.__dict__)


def forget_package():
    """Forget all modules of the package: any of them may have imported from a faulty one."""
    for name in [*sys.modules]:
        if name.partition(".")[0] == "airflow_provider_crm":
            del sys.modules[name]


def forget_vendors():
    """Forget the modules of the vendors, which Airflow has loaded when it looked for providers."""
    faulty = {mutant.module for mutated in MUTATED if mutated.sound is None for mutant in mutated.mutants}
    packages = {module.rpartition(".")[0] for module in faulty} - {"airflow_provider_crm.vendors"}
    for name in [*sys.modules]:
        if name in faulty or name.startswith(tuple(packages)):
            del sys.modules[name]


def run_claims(mutated, mutant, output):
    """Run the claims against a fault, in this process; None stands for no fault, and claims that then hold."""
    is_vendor = mutated.sound is None
    claims = mutant.claims if mutant else mutated.sound or SOUND
    forget = forget_vendors if is_vendor else forget_package
    forget()
    if mutant is not None:
        sys.meta_path.insert(0, FaultyModule(mutant))
        importlib.import_module(mutant.module)
    os.dup2(output.fileno(), 1)
    os.dup2(output.fileno(), 2)
    options = OF_CONTRACT if is_vendor else WITH_FIXTURES
    return pytest.main([*PYTEST, *options, *(f"{mutated.tests}::{claim}" for claim in claims)])


def verdict(mutated, mutant):
    """Return the exit code of the claims in a process of their own, and what they printed."""
    with tempfile.TemporaryFile("w+") as output:
        child = os.fork()
        if child == 0:
            code = 99
            try:
                code = int(run_claims(mutated, mutant, output))
            finally:
                os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        output.seek(0)
        return code, output.read()


def main(part, parts, wanted=""):
    """Try a part of the faults, of those whose tests have a text in their name."""
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # none is needed, and all of them cost time
    for name in NEEDED:
        importlib.import_module(name)
    chosen = [mutated for mutated in MUTATED if wanted in mutated.tests]
    tasks = [(mutated, mutant) for mutated in chosen for mutant in (None, *mutated.mutants)]
    for mutated, mutant in tasks[part::parts]:
        code, output = verdict(mutated, mutant)
        expected = int(KILLED if mutant else pytest.ExitCode.OK)
        name = "no fault" if mutant is None else mutant.name
        sys.stdout.write(f"{json.dumps([mutated.tests, name, code == expected, output[-1500:]])}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    os.chdir(ROOT)
    main(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
