"""The tests that the pages show pass, run by pytest in an environment like a user's."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys

import pytest

from tests.docs.pages import DOCS, ROOT, blocks_of

MY_DAG = """
from airflow.sdk import DAG, task
from airflow_provider_crm.hooks.close import CloseHook
from airflow_provider_crm.operators.opportunity import UpdateOpportunityOperator

@task
def deals():
    with CloseHook("close_default") as hook:
        return [{"deal": deal["id"], "arr": "500"} for deal in hook.list_opportunities()]

with DAG("my_dag") as my_dag:
    UpdateOpportunityOperator(
        task_id="deal_values", data=deals(), crm_conn_id="close_default", id_column="deal", fields={"arr": "deal_value"}
    )
"""
EXAMPLES = [
    block
    for page in ("testing.md", "rate-limits.md")
    for block in blocks_of(DOCS / page)
    if block.code.startswith("def test_")
]


@pytest.fixture(scope="module")
def result(tmp_path_factory, airflow_db):
    """What pytest says of all the tests, beside a DAG that writes an amount to each deal."""
    home = tmp_path_factory.mktemp("home")
    shutil.copy(airflow_db, home / "airflow.db")
    (home / "dags").mkdir()
    (home / "dags" / "my_dag.py").write_text(MY_DAG)
    code = "\n\n".join(["from my_dag import my_dag", *(block.code for block in EXAMPLES)])
    (home / "test_my_dag.py").write_text(code)
    inherited = {
        name: value for name, value in os.environ.items() if not name.upper().startswith(("AIRFLOW", "PYTEST"))
    }
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "--rootdir", str(home), "test_my_dag.py"],
        cwd=home,
        env=inherited
        | {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
            "PYTHONPATH": f"{ROOT}:{home / 'dags'}",
        },
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    return done.stdout


@pytest.mark.long
@pytest.mark.parametrize("block", EXAMPLES, ids=str)
def test_each_test_of_a_page_passes(result, block):
    """It needs nothing beside the DAG and the fixture."""
    name = re.match(r"def (\w+)", block.code)[1]
    assert f"::{name} PASSED" in result, result[-6000:]
