"""An environment without pyarrow: everything but Parquet works, and Parquet is refused with what to install."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

_RUN = """
import sys
from importlib.util import find_spec

if find_spec("pyarrow") is not None:
    sys.modules["pyarrow"] = None  # from here on `import pyarrow` fails, as where it is not installed
import json
from pathlib import Path

from airflow_provider_crm.exceptions import ConfigurationError
from airflow_provider_crm.rows import frames
from airflow_provider_crm.report.rejects_file import check_rejects_path, read_rejects, rejects_file
from airflow_provider_crm.report.report import Reject

folder = Path(sys.argv[1])


def refusal(call):
    try:
        call()
    except ConfigurationError as err:
        return str(err)


(folder / "deals.csv").write_text("id,arr\\noppo_1,7\\n")
(folder / "deals.jsonl").write_text('{"id": "oppo_1", "arr": 7}\\n')
(folder / "deals.parquet").write_bytes(b"PAR1")
row = Reject("oppo_1", "invalid", "NO_ID", "no id")
for suffix in ("csv", "jsonl"):
    with rejects_file(folder / f"rejects.{suffix}") as write:
        write(row)
print(json.dumps({
    "read": [[str(cell) for cell in frame.iloc[0]] for name in ("deals.csv", "deals.jsonl")
             for frame in frames(str(folder / name))],
    "list": [[str(cell) for cell in frame.iloc[0]] for frame in frames([{"id": "oppo_1", "arr": 7}])],
    "rejects": [list(read_rejects(folder / f"rejects.{suffix}")) == [row] for suffix in ("csv", "jsonl")],
    "data": refusal(lambda: frames(str(folder / "deals.parquet"))),
    "data.pq": refusal(lambda: frames("deals.pq")),
    "rejects_path": refusal(lambda: check_rejects_path("s3://bucket/rejects.parquet")),
    "report": refusal(lambda: list(read_rejects(folder / "deals.parquet"))),
    "pyarrow": [name for name, module in sys.modules.items() if name.startswith("pyarrow") and module is not None],
}))
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Return what a process without pyarrow can do, and its error messages."""
    command = [sys.executable, "-c", _RUN, str(tmp_path_factory.mktemp("files"))]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_csv_and_json_lines_need_no_pyarrow(found):
    """Rows are read from lists, CSV and JSON lines, and refused rows written and read again."""
    assert found["pyarrow"] == []
    assert (found["read"], found["list"]) == ([["oppo_1", "7"]] * 2, [["oppo_1", "7"]])
    assert found["rejects"] == [True, True]


@pytest.mark.parametrize(
    ("use", "beginning"),
    [
        ("data", "data '"),
        ("data.pq", "data 'deals.pq' is a Parquet file"),
        ("rejects_path", "rejects_path 's3://bucket/rejects.parquet' is a Parquet file"),
        ("report", "'"),
    ],
)
def test_parquet_names_what_to_install(found, use, beginning):
    """Each use of a Parquet file is refused before anything is read or sent, with the command that installs pyarrow."""
    assert found[use].startswith(beginning)
    assert "is a Parquet file, and that needs pyarrow (" in found[use]
    assert found[use].endswith("pip install 'airflow-provider-crm[parquet]'.")
