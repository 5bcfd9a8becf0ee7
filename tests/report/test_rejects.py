"""The rejects file in each of its forms, and the report's frame."""

from __future__ import annotations

import csv
import dataclasses
import json
import tracemalloc

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow.sdk import ObjectStoragePath
from airflow.sdk.io import attach
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_crm.exceptions import ConfigurationError
from airflow_provider_crm.report.rejects import Reject
from airflow_provider_crm.report.rejects_file import rejects_file
from airflow_provider_crm.report.report import SyncReport

SUFFIXES = ("csv", "jsonl", "parquet")


def reject(number, reason="no such record"):
    """One refused row."""
    return Reject(f"oppo_{number}", "rejected", "NOT_FOUND", reason)


def written(path, rejects, **arguments):
    """Write a file."""
    with rejects_file(path, **arguments) as write:
        for one in rejects:
            write(one)


def read(path):
    """The rows of a file, as dicts."""
    raw = path.read_bytes()
    if path.suffix == ".csv":
        return list(csv.DictReader(raw.decode().splitlines()))
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in raw.splitlines()]
    return pq.read_table(pa.BufferReader(raw)).to_pylist()


@pytest.fixture(params=SUFFIXES)
def path(request, tmp_path):
    """A file of each form."""
    return tmp_path / f"rejects.{request.param}"


def test_every_reject_is_a_row_with_four_columns(path):
    """Id, outcome, code and reason come back as they were, commas, quotes and all scripts included."""
    written(path, [reject(1), reject(2, 'says "no", ünless 値 fits')])
    assert read(path) == [
        {"record_id": "oppo_1", "outcome": "rejected", "code": "NOT_FOUND", "reason": "no such record"},
        {"record_id": "oppo_2", "outcome": "rejected", "code": "NOT_FOUND", "reason": 'says "no", ünless 値 fits'},
    ]


def test_a_run_without_rejects_empties_the_file(path):
    """The rejects of an earlier try are not left in the file."""
    written(path, [reject(1)])
    written(path, [])
    assert read(path) == []


def test_a_resumed_run_adds_to_the_file(path):
    """Rows from before and after a deferral are in one readable file, once each; nothing to add works, too."""
    written(path, [reject(number) for number in range(3)])
    written(path, [reject(3)], resumed=True)
    written(path, [], resumed=True)
    assert [row["record_id"] for row in read(path)] == [f"oppo_{number}" for number in range(4)]


def test_the_file_is_complete_when_the_run_breaks_off(path):
    """An error in the middle of a run leaves a readable file with all rejects so far."""

    def rejects():
        yield reject(1)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        written(path, rejects())
    assert [row["record_id"] for row in read(path)] == ["oppo_1"]


def test_half_a_character_breaks_no_file(path):
    """An id with a lone surrogate, which UTF-8 cannot encode, is written escaped."""
    written(path, [Reject("a\ud800b", "invalid", "RECORD_ID", "no id")])
    assert len(read(path)) == 1
    assert b"d800" in path.read_bytes()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_any_object_store_takes_it(suffix):
    """A file of an fsspec filesystem that is no disk, such as memory, is written, kept and added to."""
    attach("memory", fs=MemoryFileSystem())
    path = ObjectStoragePath(f"memory://rejects-tests/rejects.{suffix}")
    path.parent.mkdir(parents=True, exist_ok=True)
    written(path, [reject(1)])
    written(path, [reject(2)], resumed=True)
    assert [row["record_id"] for row in read(path)] == ["oppo_1", "oppo_2"]


def test_a_file_that_vanished_during_a_deferral_is_an_error(path):
    """Going on would lose its rows silently."""
    with pytest.raises(ConfigurationError, match="cannot be written"):
        written(path, [reject(1)], resumed=True)


def test_a_parquet_file_that_was_changed_is_an_error(tmp_path):
    """A file that is no longer Parquet cannot be continued, and the message says so."""
    path = tmp_path / "rejects.parquet"
    path.write_bytes(b"something else")
    with pytest.raises(ConfigurationError, match="was changed while the task was deferred"):
        written(path, [reject(1)], resumed=True)


@pytest.mark.parametrize("resumed", [False, True])
def test_parquet_memory_does_not_grow_with_the_rows(tmp_path, resumed):
    """Eight times as many rejects, kept or added, take at most 1 MB more at the peak, in Python and in Arrow."""
    peaks = []
    for number, rows in enumerate((100, 10_000, 80_000)):  # the first one pays for what Arrow imports when it is used
        path = tmp_path / f"{number}.parquet"
        if resumed:
            written(path, map(reject, range(rows)))
        arrow = 0
        tracemalloc.start()
        with rejects_file(path, resumed=resumed) as write:
            for index in range(1_000 if resumed else rows):
                write(reject(index, f"reason {index}"))
                if index % 500 == 0:
                    arrow = max(arrow, pa.total_allocated_bytes())
        peaks.append(tracemalloc.get_traced_memory()[1] + arrow)
        tracemalloc.stop()
        assert pq.ParquetFile(path).metadata.num_rows == rows + (1_000 if resumed else 0)
    assert peaks[2] - peaks[1] < 1_000_000


REPORT = SyncReport("dag/task/run", "close", "close:host:orga", 3, 4, 1.5, {"updated": 1, "rejected": 2},
                    (reject(1), reject(2))
)  # fmt: skip


def test_the_report_as_a_frame():
    """One row per reject, text in every column."""
    frame = REPORT.to_frame()
    assert list(frame.columns) == ["record_id", "outcome", "code", "reason"]
    assert list(frame["record_id"]) == ["oppo_1", "oppo_2"]


def report_of(path, rejects):
    """The report of a run that wrote these rejects."""
    report = dataclasses.replace(REPORT, rejects=tuple(rejects[:20]), rejects_path=str(path))
    return SyncReport.from_dict(json.loads(json.dumps(report.to_dict())))


WEIRD = st.text(st.characters(codec=None) | st.sampled_from('\r\n\t\0",;=\ud800'), max_size=8)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.builds(Reject, WEIRD, st.just("rejected"), WEIRD, WEIRD), max_size=30))
def test_the_frame_has_all_rows_of_the_file(path, rejects):
    """Beyond the report's 20, whatever is in a row, and in the order of the file; empty text is no missing value."""
    written(path, rejects)
    frame = report_of(path, rejects).to_frame()
    assert list(frame.itertuples(index=False, name=None)) == [tuple(reject.to_row().values()) for reject in rejects]


def test_a_file_that_a_later_run_has_overwritten_is_refused(path):
    """Other rejects at the same place, or none, are an error instead of being shown as this run's."""
    rejects = [reject(number) for number in range(25)]
    for later in ([reject(number, "other") for number in range(25)], [reject(0)], []):
        written(path, later)
        with pytest.raises(ConfigurationError, match="no longer has the rejects of run dag/task/run"):
            report_of(path, rejects).to_frame()


def test_a_file_that_is_gone_is_an_error(tmp_path):
    """The first 20 are not passed off as all of them."""
    with pytest.raises(ConfigurationError, match="cannot be read from"):
        report_of(tmp_path / "gone.csv", [reject(1)]).to_frame()


def test_a_report_without_rejects_is_a_frame_with_columns():
    """Selecting a column of it works."""
    frame = SyncReport("dag/task/run", "close", "a", 1, 1, 1.0, {"updated": 1}).to_frame()
    assert (len(frame), list(frame["reason"])) == (0, [])


def test_a_report_comes_back_from_xcom():
    """The report that `to_dict` wrote is read again, whatever else the task put beside it."""
    values = json.loads(json.dumps({**REPORT.to_dict(), "plan_id": "p"}))
    assert SyncReport.from_dict(values) == REPORT
