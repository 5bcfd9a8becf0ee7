"""Files as `data`: memory does not grow with their rows."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

FEW, MANY = 10_000, 200_000
READ = """
import sys
from pathlib import Path
from airflow_provider_crm.rows import frames
rows = sum(len(frame) for frame in frames(sys.argv[1]))
print(rows, int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]))
"""


def texts(rows):
    """Yield texts of 500 letters that no compression makes small."""
    letters = np.random.default_rng(0).bytes(250 * rows).hex()
    return [letters[start : start + 500] for start in range(0, 500 * rows, 500)]


def write(path, rows):
    """Write a file with one row per opportunity; a Parquet file is one row group."""
    columns = {"id": [f"oppo_{number}" for number in range(rows)], "text": texts(rows)}
    if path.suffix == ".parquet":
        pq.write_table(pa.table(columns), path)
        return
    with path.open("w") as file:
        if path.suffix == ".csv":
            file.write("id,text\n")
        for record_id, text in zip(*columns.values(), strict=True):
            file.write(
                f"{record_id},{text}\n" if path.suffix == ".csv" else json.dumps({"id": record_id, "text": text}) + "\n"
            )


def peak(path):
    """Return the rows, and the largest memory in KiB, of a process that reads the file chunk by chunk."""
    done = subprocess.run([sys.executable, "-c", READ, path], capture_output=True, text=True, check=True, timeout=120)
    return tuple(map(int, done.stdout.split()))


@pytest.mark.long
@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_many_rows_take_the_memory_of_few(tmp_path, suffix):
    """Twenty times the rows, 100 MB, take no more memory than the first chunk does, give or take 20%."""
    found = {}
    for rows in (FEW, MANY):
        path = tmp_path / f"{rows}.{suffix}"
        write(path, rows)
        read, found[rows] = peak(path)
        assert read == rows
    assert found[MANY] < 1.2 * found[FEW]
