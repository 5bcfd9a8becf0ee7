"""The contract finds every fault that is put into a vendor, and the tests of uploads those that are put into them."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from airflow_provider_crm.testing import VendorContract
from tests.vendors.mutations.run import ROOT
from tests.vendors.mutations.table import MUTATED

PROCESSES = 2
MUTANTS = [(mutated, mutant) for mutated in MUTATED for mutant in mutated.mutants]


def test_faults_fit_the_source():
    """Each fault replaces a text that occurs once, has a name of its own, and names tests that there are."""
    for mutated, mutant in MUTANTS:
        mutant.applied((ROOT / mutant.path).read_text(encoding="utf-8"))
        assert mutant.claims
        if mutated.sound is None:
            assert [one for one in mutant.claims if not hasattr(VendorContract, one)] == []
        else:
            tests = (ROOT / mutated.tests).read_text(encoding="utf-8")
            assert [one for one in mutant.claims if f"def {one.partition('[')[0]}(" not in tests] == []
            assert set(mutant.claims) <= set(mutated.sound)
        assert [one.name for one in mutated.mutants].count(mutant.name) == 1
        assert mutant.name not in mutated.equivalent


@pytest.mark.long
def test_no_fault_survives():
    """Of the claims that a fault names one fails with it; without any fault the claims hold in the same environment."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.vendors.mutations.run"]
    started = [
        subprocess.Popen([*command, str(part), str(PROCESSES)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for part in range(PROCESSES)
    ]
    lines = [line for one in started for line in one.communicate()[0].splitlines()]
    assert [one.returncode for one in started] == [0] * PROCESSES
    results = [json.loads(line) for line in lines]
    assert len(results) == len(MUTANTS) + len(MUTATED)
    assert [(tests, name, output) for tests, name, is_right, output in results if not is_right] == []
